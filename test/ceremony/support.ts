import { bn254 } from '@noble/curves/bn254.js';
import { blake2b } from '@noble/hashes/blake2.js';
import { type MemoryFile, powersOfTau } from 'snarkjs';
import {
  type Engine,
  encodeG1,
  Fr,
  type G1Point,
  type G2Point,
  vectorFromScalars,
} from '../../src/algebra/index.js';
import { SeededStream } from '../../src/algebra/seeded.js';
import { concatBytes, utf8ToBytes } from '../../src/bytes.js';
import { firstChallenge } from '../../src/ceremony/powersChain.js';
import { parseBinFile, serializeBinFile } from '../../src/circuit/binfile.js';
import { type PhaseOneSecrets, PTAU_SECTION, ptauFromSecrets } from '../../src/circuit/ptau.js';
import { multiplyGenerator } from '../../src/kzg/fixedBase.js';
import { scalars } from '../circuit/helpers.js';

/** Beacon of the files that snarkjs makes here. */
export const BEACON = '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff';

/** A prepared file made with snarkjs's own commands, and the response hashes that they returned. */
export async function snarkjsPtau(
  engine: Engine,
  power: number,
): Promise<{ ptau: Uint8Array; hashes: readonly Uint8Array[] }> {
  const files: MemoryFile[] = Array.from({ length: 5 }, () => ({ type: 'mem' }));
  const [blank, first, second, last, prepared] = files as [
    MemoryFile,
    MemoryFile,
    MemoryFile,
    MemoryFile,
    MemoryFile,
  ];
  await powersOfTau.newAccumulator(engine.curve, power, blank);
  const hashes = [
    await powersOfTau.contribute(blank.data!, first, 'Alice', 'entropy of a test'),
    await powersOfTau.contribute(first.data!, second, 'Bób', 'entropy of another'),
    await powersOfTau.beacon(second.data!, last, 'final beacon', BEACON, 10),
  ];
  await powersOfTau.preparePhase2(last.data!, prepared);
  return { ptau: prepared.data!, hashes: hashes.filter((hash) => hash !== false) };
}

/** Secrets of a file whose only contributor is known. */
export function knownSecrets(seed: string): PhaseOneSecrets {
  const [tau, alpha, beta] = scalars(seed, 3) as [bigint, bigint, bigint];
  return { tau, alpha, beta };
}

/**
 * A prepared file whose only contributor has the given secrets: valid, and made in a moment.
 *
 * @param power as small as 1
 */
export async function knownPtau(
  engine: Engine,
  secrets: PhaseOneSecrets,
  power: number,
): Promise<Uint8Array> {
  const bare = await ptauFromSecrets(engine, secrets, power);
  const section = await contributionSection(engine, secrets, power);
  return withSection(bare, PTAU_SECTION.contributions, () => section);
}

/** Section 7 with one contribution that multiplies tau, alpha and beta by the secrets. */
export async function contributionSection(
  engine: Engine,
  secrets: PhaseOneSecrets,
  ceremonyPower: number,
  note: Uint8Array = concatBytes(Uint8Array.of(0, 0, 0, 0, 7, 0, 0, 0, 1, 5), utf8ToBytes('known')),
): Promise<Uint8Array> {
  const { tau, alpha, beta } = secrets;
  const g1 = (scalar: bigint) => multiplyGenerator(engine, 'G1', vectorFromScalars(engine, [scalar]));
  const g2 = (scalar: bigint) => multiplyGenerator(engine, 'G2', vectorFromScalars(engine, [scalar]));
  const challenge = firstChallenge(engine, ceremonyPower);
  const keys = await Promise.all(
    [tau, alpha, beta].map(async (secret, i) => {
      const base = BigInt(i + 3);
      const [s, sx] = (await Promise.all([g1(base), g1(Fr.mul(base, secret))])) as [G1Point, G1Point];
      const hash = blake2b(concatBytes(Uint8Array.of(i), challenge, encodeG1(s), encodeG1(sx)));
      const { G2 } = engine.curve;
      const spx = G2.toAffine(G2.timesScalar(G2.toJacobian(new SeededStream(engine, hash).g2()), secret));
      return { s, sx, spx: spx as G2Point };
    }),
  );
  return concatBytes(
    Uint8Array.of(1, 0, 0, 0),
    await g1(tau),
    await g2(tau),
    await g1(alpha),
    await g1(beta),
    await g2(beta),
    ...keys.flatMap(({ s, sx }) => [s, sx]),
    ...keys.map(({ spx }) => spx),
    // no hash state, no next challenge: nothing depends on them
    new Uint8Array(216 + 64),
    note,
  );
}

/** A file of snarkjs with one section changed; null drops it. */
export function withSection(
  file: Uint8Array,
  id: number,
  change: (data: Uint8Array) => Uint8Array | null,
): Uint8Array {
  const kind = String.fromCharCode(...file.subarray(0, 4)) as 'ptau' | 'zkey';
  const sections = [...parseBinFile(file, kind, 1, 'INTERNAL')].flatMap(([sectionId, data]) => {
    const next = sectionId === id ? change(data.slice()) : data;
    return next === null ? [] : [{ id: sectionId, data: next }];
  });
  return serializeBinFile(kind, 1, sections);
}

/** One section of a file of snarkjs. */
export function sectionOf(file: Uint8Array, id: number): Uint8Array {
  const kind = String.fromCharCode(...file.subarray(0, 4)) as 'ptau' | 'zkey';
  return parseBinFile(file, kind, 1, 'INTERNAL').get(id)!.slice();
}

/** The bytes with some of them overwritten. */
export function overwritten(bytes: Uint8Array, at: number, part: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy.set(part, at);
  return copy;
}

/** Little-endian u32. */
export function u32le(value: number): Uint8Array {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value, true);
  return out;
}

/** An affine G1 point with both coordinates raised by Q: the same point, not canonical. */
export function nonCanonical(point: Uint8Array): Uint8Array {
  const Q = 21888242871839275222246405745257275088696311157297823662689037894645226208583n;
  const out = new Uint8Array(point.length);
  for (let at = 0; at < point.length; at += 32) {
    let value = 0n;
    for (let i = 31; i >= 0; i--) value = (value << 8n) | BigInt(point[at + i]!);
    value += Q;
    for (let i = 0; i < 32; i++) out[at + i] = Number((value >> BigInt(8 * i)) & 0xffn);
  }
  return out;
}

/** A point on the twist that lies outside the subgroup of order R, affine in ffjavascript's form. */
export function outsideSubgroup(engine: Engine): Uint8Array {
  const { Fp2 } = bn254.fields;
  const b = Fp2.div(Fp2.create({ c0: 3n, c1: 0n }), Fp2.create({ c0: 9n, c1: 1n }));
  for (let i = 1n; ; i++) {
    const x = Fp2.create({ c0: i, c1: 1n });
    const square = Fp2.add(Fp2.mul(Fp2.sqr(x), x), b);
    try {
      const y = Fp2.sqrt(square);
      const { G2 } = engine.curve;
      return G2.toAffine(
        G2.fromObject([
          [x.c0, x.c1],
          [y.c0, y.c1],
        ]),
      );
    } catch {
      // no point with this x
    }
  }
}

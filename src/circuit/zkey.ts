import { G1_BYTES, type G1Point, G2_BYTES, type G2Point } from '../algebra/points.js';
import { concatBytes, equalBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { parseBinFile } from './binfile.js';
import { groth16DomainSize, publicSignalCount, wireCount } from './size.js';
import { encodeVerificationKey, icCount, type VerificationKey } from './verificationKey.js';

/** Section ids of a Groth16 .zkey (snarkjs, src/zkey_utils.js). */
export const ZKEY_SECTION = {
  protocol: 1,
  header: 2,
  ic: 3,
  coefficients: 4,
  a: 5,
  b1: 6,
  b2: 7,
  c: 8,
  h: 9,
  contributions: 10,
} as const;

/** Sections 1: the number of the proof system. */
const GROTH16 = 1;

const FIELD_BYTES = 32;

/** Offsets in section 2: n8q | q | n8r | r | nVars | nPublic | domainSize | points. */
const COUNTS_OFFSET = 2 * (4 + FIELD_BYTES);
/** alpha1 | beta1 | beta2 | gamma2 | delta1 | delta2. */
export const POINTS_OFFSET = COUNTS_OFFSET + 12;

/** u32 matrix | u32 row | u32 wire | 32-byte value. */
export const COEFFICIENT_BYTES = 12 + FIELD_BYTES;

/** Points of a proving key that the verification key repeats, in ffjavascript's form, unchecked. */
export type UncheckedKey = Omit<VerificationKey, 'pairs'>;

/**
 * Reads the verification part of a proving key and checks every count and length of the file against
 * RankCheck(K), so that no loop over the rest can leave it.
 *
 * Points are not checked here: compare with a parsed verification key ({@link matchesVerificationKey}).
 *
 * @throws ZkLoraError `PARAMETERS_MALFORMED`.
 */
export function readProvingKey(zkey: Uint8Array, pairs: number): UncheckedKey {
  const refuse = (reason: string) =>
    new ZkLoraError(
      'PARAMETERS_MALFORMED',
      `proving key for ${pairs} pairs refused: ${reason}; fetch the parameter set again or make a new one`,
    );
  const sections = parseBinFile(zkey, 'zkey', 1, 'PARAMETERS_MALFORMED');
  const section = (id: number): Uint8Array => {
    const data = sections.get(id);
    if (data === undefined) throw refuse(`section ${id} is missing`);
    return data;
  };

  const wires = wireCount(pairs);
  const signals = publicSignalCount(pairs);
  const domainSize = groth16DomainSize(pairs);
  const headerBytes = POINTS_OFFSET + 3 * G1_BYTES + 3 * G2_BYTES;
  const lengths: [number, number][] = [
    [ZKEY_SECTION.protocol, 4],
    [ZKEY_SECTION.header, headerBytes],
    [ZKEY_SECTION.ic, icCount(pairs) * G1_BYTES],
    [ZKEY_SECTION.a, wires * G1_BYTES],
    [ZKEY_SECTION.b1, wires * G1_BYTES],
    [ZKEY_SECTION.b2, wires * G2_BYTES],
    [ZKEY_SECTION.c, (wires - signals - 1) * G1_BYTES],
    [ZKEY_SECTION.h, domainSize * G1_BYTES],
  ];
  for (const [id, length] of lengths) {
    if (section(id).length !== length) {
      throw refuse(`section ${id} has ${section(id).length} bytes, RankCheck(${pairs}) needs ${length}`);
    }
  }
  section(ZKEY_SECTION.contributions);
  if (viewOf(section(ZKEY_SECTION.protocol)).getUint32(0, true) !== GROTH16)
    throw refuse('it is no Groth16 key');

  const header = section(ZKEY_SECTION.header);
  const counts = viewOf(header.subarray(COUNTS_OFFSET));
  [wires, signals, domainSize].forEach((expected, i) => {
    const count = counts.getUint32(4 * i, true);
    if (count !== expected) throw refuse(`it declares ${count}, RankCheck(${pairs}) needs ${expected}`);
  });
  const reason = coefficientsOutOfRange(section(ZKEY_SECTION.coefficients), wires, domainSize);
  if (reason !== null) throw refuse(reason);

  // alpha1 | beta1 | beta2 | gamma2 | delta1 | delta2
  const g1 = (at: number) => header.slice(at, at + G1_BYTES) as G1Point;
  const g2 = (at: number) => header.slice(at, at + G2_BYTES) as G2Point;
  const beta2 = POINTS_OFFSET + 2 * G1_BYTES;
  return {
    alpha: g1(POINTS_OFFSET),
    beta: g2(beta2),
    gamma: g2(beta2 + G2_BYTES),
    delta: g2(beta2 + 2 * G2_BYTES + G1_BYTES),
    ic: section(ZKEY_SECTION.ic).slice(),
  };
}

/** What a prover takes from a proving key; points affine in ffjavascript's form, views into the key. */
export interface ProverKey {
  readonly domainSize: number;
  /** Wires before it are the constant and the public signals. */
  readonly firstPrivateWire: number;
  readonly alpha1: Uint8Array;
  readonly beta1: Uint8Array;
  readonly beta2: Uint8Array;
  readonly delta1: Uint8Array;
  readonly delta2: Uint8Array;
  /** u32 matrix | u32 row | u32 wire | value times 2^512, for each entry of A and B. */
  readonly coefficients: Uint8Array;
  /** By wire. */
  readonly aPoints: Uint8Array;
  readonly b1Points: Uint8Array;
  readonly b2Points: Uint8Array;
  /** By private wire. */
  readonly cPoints: Uint8Array;
  /** By point of the odd half of twice the domain. */
  readonly hPoints: Uint8Array;
}

/**
 * Reads the prover's part of a proving key, with the checks of {@link readProvingKey}.
 *
 * @throws ZkLoraError `PARAMETERS_MALFORMED`.
 */
export function readProverKey(zkey: Uint8Array, pairs: number): ProverKey {
  readProvingKey(zkey, pairs);
  const sections = parseBinFile(zkey, 'zkey', 1, 'PARAMETERS_MALFORMED');
  const section = (id: number) => sections.get(id)!;
  let at = POINTS_OFFSET;
  const next = (bytes: number) => {
    at += bytes;
    return section(ZKEY_SECTION.header).subarray(at - bytes, at);
  };
  const [alpha1, beta1, beta2, , delta1, delta2] = [
    G1_BYTES,
    G1_BYTES,
    G2_BYTES,
    G2_BYTES,
    G1_BYTES,
    G2_BYTES,
  ].map(next) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  return {
    domainSize: groth16DomainSize(pairs),
    firstPrivateWire: publicSignalCount(pairs) + 1,
    alpha1,
    beta1,
    beta2,
    delta1,
    delta2,
    coefficients: section(ZKEY_SECTION.coefficients).subarray(4),
    aPoints: section(ZKEY_SECTION.a),
    b1Points: section(ZKEY_SECTION.b1),
    b2Points: section(ZKEY_SECTION.b2),
    cPoints: section(ZKEY_SECTION.c),
    hPoints: section(ZKEY_SECTION.h),
  };
}

/** Whether a proving key holds exactly the points of a verification key. */
export function matchesVerificationKey(zkey: Uint8Array, key: VerificationKey): boolean {
  const inside = readProvingKey(zkey, key.pairs);
  const join = (k: UncheckedKey) => concatBytes(k.alpha, k.beta, k.gamma, k.delta, k.ic);
  return equalBytes(join(inside), join(key));
}

/** The verification key of a proving key, encoded; a reader's checks come with parsing it. */
export function exportVerificationKey(zkey: Uint8Array, pairs: number): Uint8Array {
  return encodeVerificationKey(readProvingKey(zkey, pairs));
}

function coefficientsOutOfRange(data: Uint8Array, wires: number, domainSize: number): string | null {
  const view = viewOf(data);
  if (data.length < 4 || view.getUint32(0, true) * COEFFICIENT_BYTES !== data.length - 4) {
    return 'the coefficient section has the wrong length';
  }
  for (let at = 4; at < data.length; at += COEFFICIENT_BYTES) {
    const inRange =
      view.getUint32(at, true) < 2 &&
      view.getUint32(at + 4, true) < domainSize &&
      view.getUint32(at + 8, true) < wires;
    if (!inRange) return 'a coefficient lies outside its matrix';
  }
  return null;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

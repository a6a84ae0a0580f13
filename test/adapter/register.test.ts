import { bn254 } from '@noble/curves/bn254.js';
import { ed25519 } from '@noble/curves/ed25519.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { moduleBlinders } from '../../src/adapter/blinders.js';
import {
  adapterId,
  parseAdapterCommitment,
  serializeAdapterCommitment,
} from '../../src/adapter/commitment.js';
import { domainSizeFor, registerAdapter } from '../../src/adapter/register.js';
import { assertSecretMatches } from '../../src/adapter/secret.js';
import type { QuantizedModule } from '../../src/adapter/types.js';
import { type Engine, loadEngine, rootOfUnity } from '../../src/algebra/index.js';
import { bytesToHex, hexToBytes } from '../../src/bytes.js';
import { type ProverSrs, srsFromSecret } from '../../src/kzg/srs.js';
import { refusalOf } from './refusal.js';

const TAU = 0x123456789abcdefn;
const N = 512;
const Fr = bn254.fields.Fr;
const PARAMETERS = 'ab'.repeat(32);
const BASE = 'cd'.repeat(32);

let engine: Engine;
let srs: ProverSrs;
beforeAll(async () => {
  engine = await loadEngine();
  srs = await srsFromSecret(engine, TAU, N);
});
afterAll(() => engine.terminate());

const modules: readonly QuantizedModule[] = [
  {
    name: 'h.0.attn',
    rank: 2,
    inFeatures: 3,
    outFeatures: 2,
    a: Int16Array.of(1, -32767, 32767, 0, 5, -1),
    aExponent: -20,
    bT: Int16Array.of(7, -8, 32767, 0),
    bExponent: -21,
    scaling: 2,
  },
  {
    name: 'h.0.mlp',
    rank: 1,
    inFeatures: N,
    outFeatures: 1,
    a: Int16Array.from({ length: N }, (_, i) => (i * 7919) % 32768),
    aExponent: 0,
    bT: Int16Array.of(0),
    bExponent: 0,
    scaling: 0.5,
  },
];

/** sum values[i] L_i(tau) + blinder Z_H(tau), with L_i(tau) = w^i (tau^N - 1) / (N (tau - w^i)). */
function committedScalar(values: Int16Array, blinder: bigint): bigint {
  const w = rootOfUnity(engine, N);
  const vanishing = Fr.sub(Fr.pow(TAU, BigInt(N)), 1n);
  let sum = Fr.mul(blinder, vanishing);
  let root = 1n;
  for (const value of values) {
    const basis = Fr.div(Fr.mul(root, vanishing), Fr.mul(BigInt(N), Fr.sub(TAU, root)));
    sum = Fr.add(sum, Fr.mul(basis, Fr.create(BigInt(value))));
    root = Fr.mul(root, w);
  }
  return sum;
}

/** Uncompressed big-endian x | y, hex. */
function pointHex(scalar: bigint): string {
  const { x, y } = bn254.G1.Point.BASE.multiply(scalar).toAffine();
  return [x, y].map((coordinate) => coordinate.toString(16).padStart(64, '0')).join('');
}

const register = (change: object = {}) =>
  registerAdapter({ engine, srs, parametersId: PARAMETERS, modules, baseDigest: BASE, ...change });

describe('registerAdapter', () => {
  it('commits to every row as an independent computation with the secret tau does', async () => {
    const { commitment, secret } = await register();
    const salt = hexToBytes(commitment.salt);
    for (const [index, module] of modules.entries()) {
      const blinders = moduleBlinders(hexToBytes(secret.blindingSecret), salt, module);
      const committed = commitment.modules[index]!;
      for (let j = 0; j < module.rank; j++) {
        const a = module.a.subarray(j * module.inFeatures, (j + 1) * module.inFeatures);
        const b = module.bT.subarray(j * module.outFeatures, (j + 1) * module.outFeatures);
        expect(committed.aRows[j]).toBe(pointHex(committedScalar(a, blinders.a[j]!)));
        expect(committed.bColumns[j]).toBe(pointHex(committedScalar(b, blinders.b[j]!)));
      }
    }
  });

  it('gives a commitment and a secret that belong together', async () => {
    const { commitment, secret } = await register({ lineageDigest: 'ef'.repeat(32) });
    expect(commitment).toMatchObject({
      parametersId: PARAMETERS,
      baseDigest: BASE,
      lineageDigest: 'ef'.repeat(32),
      domainSize: N,
      registrationProof: null,
    });
    expect(commitment.modules.map(({ aRows: _, bColumns: __, ...rest }) => rest)).toEqual(
      modules.map(({ a: _, bT: __, ...rest }) => ({ ...rest, columnOffset: 0 })),
    );
    expect(parseAdapterCommitment(serializeAdapterCommitment(commitment))).toEqual(commitment);
    expect(secret.adapterId).toBe(adapterId(commitment));
    expect(() => assertSecretMatches(secret, commitment)).not.toThrow();
    const text = serializeAdapterCommitment(commitment);
    expect(text).not.toContain(secret.blindingSecret);
    expect(text).not.toContain(secret.contributorSecretKey);
  });

  it('uses the contributor key it is given', async () => {
    const seed = new Uint8Array(32).fill(3);
    const { commitment, secret } = await register({ contributorSecretKey: seed });
    expect(commitment.contributorKey).toBe(bytesToHex(ed25519.getPublicKey(seed)));
    expect(secret.contributorSecretKey).toBe(bytesToHex(seed));
    expect(commitment.lineageDigest).toBe('00'.repeat(32));
  });

  it('shares nothing between two registrations of the same weights, nor between equal rows', async () => {
    const twin: QuantizedModule = { ...modules[0]!, name: 'twin', a: Int16Array.of(1, 2, 3, 1, 2, 3) };
    const [first, second] = await Promise.all([
      register({ modules: [...modules, twin] }),
      register({ modules: [...modules, twin] }),
    ]);
    const points = [first, second].flatMap(({ commitment }) =>
      commitment.modules.flatMap(({ aRows, bColumns }) => [...aRows, ...bColumns]),
    );
    expect(new Set(points).size).toBe(points.length);
    expect(first.commitment.salt).not.toBe(second.commitment.salt);
    expect(first.secret.blindingSecret).not.toBe(second.secret.blindingSecret);
    expect(first.secret.contributorSecretKey).not.toBe(second.secret.contributorSecretKey);
  });

  it('reports progress over all rows', async () => {
    const seen: [number, number][] = [];
    await register({ onProgress: (done: number, total: number) => seen.push([done, total]) });
    expect(seen.at(-1)).toEqual([6, 6]);
    expect(seen.length).toBe(6);
  });

  it.each<[string, () => object, string]>([
    ['a short key', () => ({ contributorSecretKey: new Uint8Array(31) }), 'USAGE'],
    ['a base digest that is none', () => ({ baseDigest: 'CD'.repeat(32) }), 'COMMITMENT_MALFORMED'],
    ['no modules', () => ({ modules: [] }), 'COMMITMENT_MALFORMED'],
    ['a module named twice', () => ({ modules: [modules[0], modules[0]] }), 'COMMITMENT_MALFORMED'],
    ['sizes that lie', () => ({ modules: [{ ...modules[0], rank: 3 }] }), 'ADAPTER_MALFORMED'],
    ['a domain too small', () => ({ modules: [{ ...modules[0], outFeatures: 513 }] }), 'SHAPE_MISMATCH'],
    [
      'outputs that could overflow',
      () => ({
        modules: [
          {
            ...modules[0],
            rank: 4095,
            inFeatures: 500,
            outFeatures: 1,
            a: new Int16Array(4095 * 500).fill(32767),
            bT: new Int16Array(4095).fill(32767),
          },
        ],
      }),
      'ADAPTER_OVERFLOW',
    ],
  ])('refuses %s before any work', async (_, change, code) => {
    let worked = false;
    const onProgress = () => {
      worked = true;
    };
    expect((await refusalOf(register({ ...change(), onProgress }))).code).toBe(code);
    expect(worked).toBe(false);
  });
});

describe('domainSizeFor', () => {
  const size = (inFeatures: number, outFeatures: number) => domainSizeFor([{ inFeatures, outFeatures }]);

  it('is the power of two that holds every row, at least 512', () => {
    expect([size(1, 1), size(512, 512), size(513, 1), size(1, 1025), size(2 ** 20, 1)]).toEqual([
      512,
      512,
      1024,
      2048,
      2 ** 20,
    ]);
    expect(
      domainSizeFor([
        { inFeatures: 1, outFeatures: 2 },
        { inFeatures: 3000, outFeatures: 1 },
      ]),
    ).toBe(4096);
  });

  it('has a limit', async () => {
    const error = await refusalOf((async () => size(2 ** 20 + 1, 1))());
    expect(error.code).toBe('ADAPTER_UNSUPPORTED');
  });
});

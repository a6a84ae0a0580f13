import { bn254 } from '@noble/curves/bn254.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeG2, type Engine, encodeG2, type G2Point, loadEngine } from '../../src/algebra/index.js';
import { commitRows } from '../../src/kzg/index.js';
import { type ProverSrs, srsFromSecret } from '../../src/kzg/srs.js';
import {
  cipherLeaf,
  encodeRow,
  fraudChallenge,
  MerkleTree,
  makeFraudProof,
  RowCipher,
  rowsLeaf,
  type SettlementRow,
} from '../../src/settlement/index.js';

const N = 512;
const TAU = 123456789012345678901234567890n;
const ID = `0x${'ab'.repeat(32)}` as const;
const { Fr } = bn254.fields;
const G1 = bn254.G1.Point;
const G2 = bn254.G2.Point;
const masterKey = new Uint8Array(32).fill(9);

let engine: Engine;
let srs: ProverSrs;
let tauG2: G2Point;

beforeAll(async () => {
  engine = await loadEngine();
  srs = await srsFromSecret(engine, TAU, N);
  const { x, y } = G2.BASE.multiply(TAU).toAffine();
  const words = [x.c1, x.c0, y.c1, y.c0].map((value) => value.toString(16).padStart(64, '0'));
  tauG2 = decodeG2(Uint8Array.from(Buffer.from(words.join(''), 'hex')));
});
afterAll(() => engine.terminate());

/** Row 0 of an adapter of one row: committed to `committed`, delivered as `delivered`. */
async function scene(
  offset: number,
  committed: { values: Int16Array; blinder: bigint },
  delivered: { values: Int16Array; blinder: bigint },
) {
  const [point] = await commitRows(engine, srs, [{ ...committed, offset }]);
  const row = { row: 0, module: 0, matrix: 'A', rank: 0, offset, length: committed.values.length } as const;
  const settlementRow: SettlementRow = { ...row, point: point! };
  const ciphertext = encodeRow(delivered);
  new RowCipher(masterKey).apply(0, ciphertext);
  return {
    offerId: ID,
    masterKey,
    committed: settlementRow,
    ciphertext,
    rowsTree: new MerkleTree([rowsLeaf(settlementRow)]),
    cipherTree: new MerkleTree([cipherLeaf(0, keccak_256(ciphertext))]),
  };
}

/** f(x) of a row, straight from the definition of the Lagrange basis. */
function evaluate(offset: number, values: Int16Array, blinder: bigint, x: bigint): bigint {
  const w = Fr.pow(5n, (Fr.ORDER - 1n) / BigInt(N));
  const vanishing = Fr.sub(Fr.pow(x, BigInt(N)), 1n);
  let sum = Fr.mul(blinder, vanishing);
  values.forEach((value, i) => {
    const node = Fr.pow(w, BigInt(offset + i));
    const basis = Fr.div(Fr.mul(vanishing, node), Fr.mul(BigInt(N), Fr.sub(x, node)));
    sum = Fr.add(sum, Fr.mul(Fr.create(BigInt(value)), basis));
  });
  return sum;
}

const point = ([x, y]: readonly [bigint, bigint]) =>
  x === 0n && y === 0n ? G1.ZERO : G1.fromAffine({ x, y });

describe('fraud proof', () => {
  const values = Int16Array.from({ length: 37 }, (_, i) => ((i * 7919) % 32768) - 16000);

  it.each([
    ['one weight', { values: values.map((v, i) => (i === 36 ? v + 1 : v)), blinder: 77n }],
    ['the blinder', { values, blinder: 78n }],
    ['everything', { values: new Int16Array(37), blinder: 0n }],
  ])('opens F at z to the delivered row where %s differs', async (_, delivered) => {
    const offset = 5;
    const given = await scene(offset, { values, blinder: 77n }, delivered);
    const proof = (await makeFraudProof(engine, srs, tauG2, given))!;
    const F = point(proof.delivered);
    const expected = evaluate(offset, delivered.values, delivered.blinder, TAU);
    expect(F.equals(expected === 0n ? G1.ZERO : G1.BASE.multiply(expected))).toBe(true);

    const z = fraudChallenge({
      offerId: ID,
      row: 0,
      cipherHash: keccak_256(given.ciphertext),
      registered: given.committed.point,
      delivered: Uint8Array.from(
        Buffer.from(proof.delivered.map((c) => c.toString(16).padStart(64, '0')).join(''), 'hex'),
      ),
    });
    const y = evaluate(offset, delivered.values, delivered.blinder, z);
    const W = point(proof.opening);
    const times = (P: typeof F, k: bigint) => (k === 0n ? G1.ZERO : P.multiply(k));
    const left = F.subtract(times(G1.BASE, y)).add(times(W, z));
    expect(left.equals(times(W, TAU))).toBe(true);
    expect(proof.tauG2).toEqual(
      [0, 1, 2, 3].map((i) =>
        BigInt(`0x${Buffer.from(encodeG2(tauG2).subarray(32 * i, 32 * i + 32)).toString('hex')}`),
      ),
    );
  });

  it('is not made for a row that is the committed one', async () => {
    const given = await scene(0, { values, blinder: 77n }, { values, blinder: 77n });
    expect(await makeFraudProof(engine, srs, tauG2, given)).toBeUndefined();
  });

  it('refuses a row that does not fit the domain', async () => {
    const given = await scene(0, { values, blinder: 77n }, { values, blinder: 77n });
    const outside = { ...given, committed: { ...given.committed, offset: N - 36 } };
    await expect(makeFraudProof(engine, srs, tauG2, outside)).rejects.toMatchObject({
      code: 'STATEMENT_INVALID',
    });
  });
});

import { bn254 } from '@noble/curves/bn254.js';
import { concatBytes } from '@noble/curves/utils.js';
import fc from 'fast-check';
import { BigBuffer } from 'ffjavascript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pointQuad } from '../../src/algebra/curveKernels.js';
import { EIGENVALUE as W } from '../../src/algebra/endomorphism.js';
import { DOUBLING } from '../../src/algebra/foldKernels.js';
import * as al from '../../src/algebra/index.js';
import { bucketSum, bucketSumRows, MAX_TERMS } from '../../src/algebra/multiExp.js';
import { placeSum } from '../../src/algebra/placeSum.js';
import { QUAD_BYTES } from '../../src/algebra/quadField.js';
import { operandCode } from '../../src/algebra/slotKernels.js';
import { toBytes } from '../../src/littleEndian.js';
import { refusalOf } from '../adapter/refusal.js';
import { affine } from '../support/affine.js';
import '../support/deterministic.js';

const { Fr, R } = al;
const { BASE } = bn254.G1.Point;
let engine: al.Engine;
beforeAll(async () => {
  engine = await al.loadEngine();
});
afterAll(() => engine.terminate());

const extremes = [0n, 1n, 2n, R - 1n, R - 2n, R >> 1n, 2n ** 253n, 2n ** 128n - 1n];
const scalar = fc.oneof(fc.bigInt({ min: 0n, max: R - 1n }), fc.constantFrom(...extremes));
/** Logarithms of points, small so that equal and opposite points occur. */
const logarithm = fc.oneof(fc.bigInt({ min: 1n, max: R - 1n }), fc.constantFrom(1n, 2n, R - 1n, R - 2n));
const total = (values: readonly bigint[]) => values.reduce((sum, value) => Fr.add(sum, value), 0n);
const dot = (a: readonly bigint[], b: readonly bigint[]) =>
  a.reduce((sum, value, i) => Fr.add(sum, Fr.mul(value, b[i]!)), 0n);

describe('multi-scalar multiplication by buckets', () => {
  it('equals noble-curves, with equal and opposite points', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(logarithm, scalar), { minLength: 1, maxLength: 44 }),
        async (terms) => {
          const logarithms = terms.map(([k]) => k);
          const scalars = terms.map(([, s]) => s);
          const got = await al.multiScalarMultiply(
            engine,
            al.joinPoints(logarithms.map(affine)),
            al.vectorFromScalars(engine, scalars),
          );
          expect(got).toEqual(affine(dot(logarithms, scalars)));
        },
      ),
      { numRuns: 30 },
    );
  });

  /** Points 3 G, 3 k G, 3 k^2 G, ... of a group, and their logarithms. */
  async function manyPoints(
    count: number,
    group = engine.curve.G1,
  ): Promise<{ bases: Uint8Array; logarithms: bigint[] }> {
    const ratio = R - 12345n;
    const generators = concatBytes(...Array.from({ length: count }, () => group.gAffine));
    const [first, step] = [3n, ratio].map((k) => al.vectorFromScalars(engine, [k])) as [
      Uint8Array,
      Uint8Array,
    ];
    const multiples = await group.batchApplyKey(generators, first, step, 'affine', 'jacobian');
    const logarithms = [3n];
    while (logarithms.length < count) logarithms.push(Fr.mul(logarithms.at(-1)!, ratio));
    return { bases: await group.batchToAffine(multiples), logarithms };
  }

  it('is right at sizes with other digit widths and numbers of rounds', async () => {
    const { G1 } = engine.curve;
    const { bases, logarithms } = await manyPoints(3000);
    // up to 40 terms in this thread, up to 300 by places
    for (const count of [2, 7, 40, 41, 300, 301, 3000]) {
      const scalars = Array.from({ length: count }, (_, i) => Fr.pow(R - 7n, BigInt(i)));
      const vector = al.vectorToBytes(engine, al.vectorFromScalars(engine, scalars));
      const sum = await bucketSum(engine, bases.slice(0, count * al.G1_BYTES), vector);
      expect(G1.toAffine(sum!)).toEqual(affine(dot(scalars, logarithms.slice(0, count))));
    }
  });

  it('is right where all points share a bucket, where most have none, and where lanes differ', async () => {
    const { G1 } = engine.curve;
    const { bases, logarithms } = await manyPoints(700);
    const digits = (i: number) => BigInt(i % 5 === 0 ? i : 0);
    const cases: readonly ((i: number) => bigint)[] = [
      () => R - 1n,
      () => 0x0101_0101n,
      (i) => (i % 300 === 0 ? 2n ** 200n + 3n : 0n),
      // one window full, the next nearly empty
      (i) => 77n + (digits(i) << 64n),
      (i) => (i < 2 ? 5n : 0n),
    ];
    for (const scalarAt of cases) {
      const scalars = logarithms.map((_, i) => scalarAt(i));
      const sum = await bucketSum(
        engine,
        bases,
        al.vectorToBytes(engine, al.vectorFromScalars(engine, scalars)),
      );
      expect(G1.toAffine(sum!)).toEqual(affine(dot(scalars, logarithms)));
    }
    const rows = [() => -32768, (i: number) => (i % 2 === 0 ? 128 : -128), digits, () => 0].map((at) =>
      Int16Array.from(logarithms, (_, i) => Number(at(i))),
    );
    const sums = await bucketSumRows(engine, bases, rows);
    const want = rows.map((row) =>
      affine(
        dot(
          Array.from(row, (v) => Fr.create(BigInt(v))),
          logarithms,
        ),
      ),
    );
    expect(sums.map((sum) => G1.toAffine(sum!))).toEqual(want);
  });

  it('takes every digit at every end of a sum by places', async () => {
    const { bases, logarithms } = await manyPoints(70);
    const near = Array.from({ length: 64 }, (_, i) =>
      Fr.create(BigInt(i >> 3) - 4n + (BigInt(i & 7) - 4n) * W),
    );
    const top = 2n ** 123n;
    const cases = [
      [...near, R - 1n, R >> 1n, W, Fr.neg(W), Fr.mul(W, W), 0n],
      near.map((digit) => Fr.add(Fr.mul(digit, top), 1n)),
      near.map(() => 0n),
      // one place of one lane has all the terms, or all but one
      near.map(() => 8n ** 12n),
      near.map((_, i) => (i === 5 ? 1n : 8n ** 40n)),
    ];
    for (const scalars of cases) {
      const points = bases.slice(0, scalars.length * al.G1_BYTES);
      const vector = al.vectorToBytes(engine, al.vectorFromScalars(engine, scalars));
      const want = affine(dot(scalars, logarithms.slice(0, scalars.length)));
      for (const length of ['short', 'long'] as const) {
        const sum = await placeSum(engine, points, vector, length);
        expect(engine.curve.G1.toAffine(sum!)).toEqual(want);
      }
    }
  });

  it('takes equal and opposite points at one place, and multiples of each other', async () => {
    const digits = [1n, R - 1n, 3n, Fr.sub(1n, W), W, 8n];
    for (const known of [
      [7n],
      [7n, R - 7n],
      [7n, 14n, 21n],
      [7n, Fr.mul(7n, W), Fr.mul(7n, Fr.sub(1n, W))],
    ]) {
      const logarithms = Array.from({ length: 48 }, (_, i) => known[i % known.length]!);
      const scalars = logarithms.map((_, i) => digits[(i >> 3) % digits.length]!);
      const vector = al.vectorToBytes(engine, al.vectorFromScalars(engine, scalars));
      const sum = await placeSum(engine, al.joinPoints(logarithms.map(affine)), vector, 'long');
      expect(engine.curve.G1.toAffine(sum!)).toEqual(affine(dot(scalars, logarithms)));
    }
  });

  it('has no sum by places with the identity among the points', async () => {
    const points = al.joinPoints([3n, 0n, 5n].map(affine));
    const scalars = al.vectorToBytes(engine, al.vectorFromScalars(engine, [2n, 7n, 9n]));
    expect(await placeSum(engine, points, scalars, 'short')).toBeUndefined();
  });

  it('is right where two points of a pair have the same x, in any lane and round', async () => {
    const { G1 } = engine.curve;
    const count = 512;
    const { bases, logarithms } = await manyPoints(count);
    for (const lane of [0, 1, 2, 3]) {
      for (const round of [0, 1, 2, 3]) {
        // of the points of one bucket, the sum of the first 2^round is that of the next ones or its negative
        const block = 2 ** round;
        const last = 2 * block - 1;
        const sumOf = (from: number, to: number) => total(logarithms.slice(from, to));
        const first = sumOf(0, block);
        const wanted = lane % 2 === 0 ? first : Fr.neg(first);
        const known = logarithms.with(last, Fr.sub(wanted, sumOf(block, last)));
        const points = bases.slice();
        points.set(affine(known[last]!), last * al.G1_BYTES);
        const full = new Int16Array(count).fill(lane % 2 === 0 ? 1 : 256);
        const empty = new Int16Array(count);
        const sums = await bucketSumRows(engine, points, lane < 2 ? [full, empty] : [empty, full]);
        const want = Fr.mul(BigInt(full[0]!), total(known));
        expect(sums.map((sum) => G1.toAffine(sum!))).toEqual(
          (lane < 2 ? [want, 0n] : [0n, want]).map(affine),
        );
      }
    }
  });

  it('keeps coordinates small over many rounds, and multiplies many points part by part', async () => {
    const { G1 } = engine.curve;
    const count = MAX_TERMS + 5;
    const multiples = new Uint8Array(count * al.G1_JACOBIAN_BYTES);
    let multiple = G1.zero;
    for (let i = 0; i < count; i++) {
      multiple = G1.add(multiple, G1.g);
      multiples.set(multiple, i * al.G1_JACOBIAN_BYTES);
    }
    const bases = await G1.batchToAffine(multiples);
    const sums = await bucketSumRows(engine, bases, [new Int16Array(count).fill(257)]);
    const want = Fr.mul(257n, (BigInt(count) * BigInt(count + 1)) / 2n);
    expect(sums.map((sum) => G1.toAffine(sum!))).toEqual([affine(want)]);
    const scalars = al.vectorToBytes(engine, al.constantVector(engine, 257n, count));
    expect(G1.toAffine((await bucketSum(engine, bases, scalars))!)).toEqual(affine(want));
  });

  it('does the same in G2, with equal and opposite points and many rounds', async () => {
    const { G2 } = engine.curve;
    const g2 = (k: bigint) => G2.toAffine(G2.timesFr(G2.g, al.vectorFromScalars(engine, [Fr.create(k)])));
    const count = 500;
    const { bases, logarithms } = await manyPoints(count, G2);
    const sumOf = async (points: Uint8Array, scalars: readonly bigint[]) => {
      const vector = al.vectorToBytes(engine, al.vectorFromScalars(engine, scalars));
      return G2.toAffine((await bucketSum(engine, points, vector, 'G2'))!);
    };
    for (const size of [8, 63, count]) {
      const scalars = Array.from({ length: size }, (_, i) => Fr.pow(R - 7n, BigInt(i + 1)));
      const points = bases.slice(0, size * al.G2_BYTES);
      expect(await sumOf(points, scalars)).toEqual(g2(dot(scalars, logarithms.slice(0, size))));
    }
    const few = [1n, R - 1n, 2n, R - 2n, 5n];
    const known = Array.from({ length: 300 }, (_, i) => few[i % few.length]!);
    const scalars = known.map((_, i) => Fr.pow(3n, BigInt(i % 160)));
    expect(await sumOf(concatBytes(...known.map(g2)), scalars)).toEqual(g2(dot(scalars, known)));
    // through the library's name, with terms that are the identity, and a sum that is
    const padded = concatBytes(new Uint8Array(al.G2_BYTES), bases.slice(0, 9 * al.G2_BYTES));
    const vector = al.vectorToBytes(engine, al.vectorFromScalars(engine, [9n, ...scalars.slice(0, 9)]));
    expect(G2.toAffine(await G2.multiExpAffine(padded, vector))).toEqual(
      g2(dot(scalars.slice(0, 9), logarithms.slice(0, 9))),
    );
    const opposite = concatBytes(...Array.from({ length: 20 }, (_, i) => g2(i % 2 === 0 ? 7n : R - 7n)));
    const ones = al.vectorToBytes(engine, al.constantVector(engine, R - 1n, 20));
    expect(G2.isZero(await G2.multiExpAffine(opposite, ones))).toBe(true);
  });

  it('leaves to the library what it does not cover: 256-bit scalars, and buffers that are no arrays', async () => {
    const { G1 } = engine.curve;
    const logarithms = Array.from({ length: 12 }, (_, i) => BigInt(i + 1));
    const bases = al.joinPoints(logarithms.map(affine));
    const wide = new Uint8Array(12 * 32).fill(255);
    const want = affine(
      dot(
        logarithms,
        logarithms.map(() => (2n ** 256n - 1n) % R),
      ),
    );
    expect(G1.toAffine(await G1.multiExpAffine(bases, wide))).toEqual(want);

    const scalars = al.vectorToBytes(engine, al.vectorFromScalars(engine, logarithms));
    const big = new BigBuffer(scalars.byteLength);
    big.set(scalars);
    const product = await G1.multiExpAffine(bases, big as unknown as Uint8Array);
    expect(G1.toAffine(product)).toEqual(affine(dot(logarithms, logarithms)));
  });

  it.each([1, 2, 3, 7, 8, 9])('takes the first bases for %i scalars, and refuses fewer', async (count) => {
    const logarithms = Array.from({ length: 10 }, (_, i) => BigInt(i + 1));
    const bases = al.joinPoints(logarithms.map(affine));
    const ones = al.constantVector(engine, 1n, count);
    expect(await al.multiScalarMultiply(engine, bases, ones)).toEqual(
      affine(total(logarithms.slice(0, count))),
    );
    const fewer = bases.subarray(0, (count - 1) * al.G1_BYTES);
    expect((await refusalOf(al.multiScalarMultiply(engine, fewer, ones))).code).toBe('INTERNAL');
    const scalars = al.vectorToBytes(engine, ones);
    expect((await refusalOf(placeSum(engine, bases, scalars, 'short'))).code).toBe('INTERNAL');
  });

  it('takes the identity among the bases', async () => {
    const logarithms = [0n, ...Array.from({ length: 20 }, (_, i) => BigInt(i))];
    const scalars = logarithms.map((_, i) => R - BigInt(i) - 1n);
    const bases = al.joinPoints(logarithms.map(affine));
    const got = await al.multiScalarMultiply(engine, bases, al.vectorFromScalars(engine, scalars));
    expect(got).toEqual(affine(dot(logarithms, scalars)));
    const few = al.vectorFromScalars(engine, scalars.slice(0, 3));
    expect(await al.multiScalarMultiply(engine, bases.slice(0, 3 * al.G1_BYTES), few)).toEqual(
      affine(dot(logarithms.slice(0, 3), scalars)),
    );
    const rows = [Int16Array.from(logarithms, (_, i) => i - 3)];
    expect(await al.multiplyIntegerRows(engine, bases, rows)).toEqual([
      affine(logarithms.reduce((sum, k, i) => sum + k * BigInt(i - 3), 0n)),
    ]);
  });

  it('multiplies int16 rows, odd and even in number, at the ends of their range', async () => {
    const entry = fc.oneof(
      fc.integer({ min: -32768, max: 32767 }),
      fc.constantFrom(-32768, 32767, -128, 127, 0),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(entry, { minLength: 5, maxLength: 5 }), { minLength: 1, maxLength: 6 }),
        fc.array(logarithm, { minLength: 5, maxLength: 5 }),
        async (rows, logarithms) => {
          const got = await bucketSumRows(
            engine,
            al.joinPoints(logarithms.map(affine)),
            rows.map((row) => Int16Array.from(row)),
          );
          const want = rows.map((row) =>
            affine(
              dot(
                row.map((v) => Fr.create(BigInt(v))),
                logarithms,
              ),
            ),
          );
          expect(got.map((point) => engine.curve.G1.toAffine(point!))).toEqual(want);
        },
      ),
      { numRuns: 20 },
    );
  });

  it('shows an addition that the formulas do not cover by a zero Z, for ever', async () => {
    const { x, y } = BASE.toAffine();
    for (const sign of [0, -1]) {
      const stored = engine.sync(({ call, put, alloc, get }) => {
        const p = put(pointQuad([x, y, 1n]));
        const points = put(al.joinPoints([...Array(4).fill(affine(1n)), ...Array(4).fill(affine(5n))]));
        const slots = alloc(9 * QUAD_BYTES);
        call.zg_loadSlots!(points, 4 * al.G1_BYTES, 2, 1, slots + QUAD_BYTES, QUAD_BYTES);
        // +-G, then twice and +-5G
        const steps = [operandCode(1, 0, sign < 0), DOUBLING, operandCode(5, 0, sign < 0)];
        call.zg_runProgram!(p, slots, QUAD_BYTES, put(toBytes(Uint32Array.from(steps))), steps.length);
        const out = alloc(4 * 96);
        call.zg_storePoints!(p, out);
        return get(out, 96);
      });
      expect(stored.subarray(64)).toEqual(new Uint8Array(32));
    }
  });

  it('never lets a sum of chosen points meet its random starts', async () => {
    const bases = al.joinPoints(Array.from({ length: 64 }, (_, i) => affine(i % 2 === 0 ? 1n : R - 1n)));
    const scalars = al.vectorToBytes(engine, al.constantVector(engine, R - 1n, 64));
    const sum = await bucketSum(engine, bases, scalars);
    expect(engine.curve.G1.isZero(sum!)).toBe(true);
  });
});

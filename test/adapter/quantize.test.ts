import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exponentFor, maxMagnitude, powerOfTwo, roundHalfEven } from '../../src/adapter/fixedPoint.js';
import { MAX_EXPONENT, MIN_EXPONENT } from '../../src/adapter/limits.js';
import { fitsInt64, OUTPUT_BOUND, outputBound } from '../../src/adapter/overflow.js';
import type { FloatModule } from '../../src/adapter/peft.js';
import { quantizeActivations, quantizeModule } from '../../src/adapter/quantize.js';
import { refusal } from './refusal.js';

const MAX_FLOAT32 = 2 ** 128 - 2 ** 104;
const MIN_FLOAT32 = 2 ** -149;

/** All magnitudes, subnormals and the extremes of float32. */
const float = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(0, -0, MAX_FLOAT32, -MAX_FLOAT32, MIN_FLOAT32, -MIN_FLOAT32, 1, -1),
);

/** A float32 times 2^163: an integer, exactly. */
const scaled = (value: number): bigint => BigInt(value * 2 ** 149) << 14n;

/** Asserts that q * 2^e is a nearest multiple of 2^e to a float32, with ties to even q. */
function expectNearest(value: number, q: number, exponent: number): void {
  const unit = 1n << BigInt(exponent + 163);
  const error = scaled(value) - BigInt(q) * unit;
  const twice = error < 0n ? -2n * error : 2n * error;
  expect(twice < unit || (twice === unit && q % 2 === 0)).toBe(true);
}

/** Nearest integer, ties to even, to max / 2^exponent. */
function referenceRound(max: number, exponent: number): bigint {
  const unit = 1n << BigInt(exponent + 163);
  const [quotient, rest] = [scaled(max) / unit, (scaled(max) % unit) * 2n];
  return rest > unit || (rest === unit && quotient % 2n === 1n) ? quotient + 1n : quotient;
}

function module(change: Partial<FloatModule>): FloatModule {
  return {
    name: 'm',
    rank: 1,
    inFeatures: 1,
    outFeatures: 1,
    a: Float32Array.of(1),
    b: Float32Array.of(1),
    scaling: 1,
    ...change,
  };
}

describe('fixed point', () => {
  it('makes every power of two exactly', () => {
    for (let e = -1022; e <= 1023; e++) expect(powerOfTwo(e)).toBe(2 ** e);
  });

  it('rounds ties to even', () => {
    const values = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999999999999994, 32766.5, 32767.5, -32767.499];
    expect(values.map((value) => roundHalfEven(value) + 0)).toEqual([
      0, 2, 2, 0, -2, -2, 0, 32766, 32768, -32767,
    ]);
  });

  it('lets NaN and infinity through the largest magnitude', () => {
    expect(maxMagnitude(Float32Array.of(1, NaN, 2))).toBeNaN();
    expect(maxMagnitude(Float32Array.of(NaN, 1))).toBeNaN();
    expect(maxMagnitude(Float32Array.of(1, -Infinity))).toBe(Infinity);
    expect(maxMagnitude(Float32Array.of(-3, 2))).toBe(3);
    expect(maxMagnitude(new Float32Array(0))).toBe(0);
  });

  it.each([
    [0, 15, 0],
    [32767, 15, 0],
    [32767.498046875, 15, 0],
    [32767.5, 15, 1], // would round to 32768
    [32768, 15, 1],
    [1, 15, -14],
    [MIN_FLOAT32, 15, MIN_EXPONENT],
    [MAX_FLOAT32, 12, MAX_EXPONENT],
    [MAX_FLOAT32, 15, 114],
  ])('exponentFor(%d, %i) = %i', (max, bits, exponent) => {
    expect(exponentFor(max, bits)).toBe(exponent);
  });

  it('finds the smallest exponent that holds the largest value', () => {
    const limit = (bits: number) => (1n << BigInt(bits)) - 1n;
    fc.assert(
      fc.property(float, fc.integer({ min: 12, max: 15 }), (value, bits) => {
        const max = Math.abs(value);
        fc.pre(max > 0);
        const exponent = exponentFor(max, bits);
        expect(exponent).toBeGreaterThanOrEqual(MIN_EXPONENT);
        expect(exponent).toBeLessThanOrEqual(MAX_EXPONENT);
        expect(referenceRound(max, exponent) <= limit(bits)).toBe(true);
        if (exponent > MIN_EXPONENT) expect(referenceRound(max, exponent - 1) > limit(bits)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('quantizeModule', () => {
  const shape = fc.record({
    rank: fc.integer({ min: 1, max: 4 }),
    inFeatures: fc.integer({ min: 1, max: 6 }),
    outFeatures: fc.integer({ min: 1, max: 6 }),
  });
  const matrix = (size: number) => fc.array(float, { minLength: size, maxLength: size });
  const modules = shape.chain((sizes) =>
    fc
      .tuple(matrix(sizes.rank * sizes.inFeatures), matrix(sizes.rank * sizes.outFeatures))
      .map(([a, b]) => module({ ...sizes, a: Float32Array.from(a), b: Float32Array.from(b) })),
  );

  it('gives nearest integers in [-32767, 32767], with B transposed', () => {
    fc.assert(
      fc.property(modules, (m) => {
        const q = quantizeModule(m);
        expect(q).toMatchObject({ name: 'm', scaling: 1, rank: m.rank });
        for (const [i, value] of m.a.entries()) expectNearest(value, q.a[i]!, q.aExponent);
        for (let row = 0; row < m.outFeatures; row++) {
          for (let j = 0; j < m.rank; j++) {
            expectNearest(m.b[row * m.rank + j]!, q.bT[j * m.outFeatures + row]!, q.bExponent);
          }
        }
        expect(Math.min(...q.a, ...q.bT)).toBeGreaterThanOrEqual(-32767);
        expect(fitsInt64(q)).toBe(true);
        expect(quantizeModule(m)).toEqual(q);
      }),
      { numRuns: 500 },
    );
  });

  it('gives matrices of zeros the exponent 0', () => {
    const q = quantizeModule(module({ a: Float32Array.of(0), b: Float32Array.of(-0) }));
    expect([q.aExponent, q.bExponent, q.a[0], q.bT[0]]).toEqual([0, 0, 0, 0]);
  });

  it('takes fewer bits where outputs could overflow, of B first', () => {
    // |A|_1 = 2^14 * n, |B| = 2^14: bound 2^28 n, that is 2^48 at n = 2^20.
    const inFeatures = 2 ** 20;
    const just = quantizeModule(module({ inFeatures, a: new Float32Array(inFeatures).fill(1) }));
    expect([just.aExponent, just.bExponent]).toEqual([-14, -13]);
    expect(outputBound(just)).toBe(2 ** 47);

    const rank = 8;
    const wide = quantizeModule(
      module({
        rank,
        inFeatures: 2 ** 18,
        a: new Float32Array(rank * 2 ** 18).fill(1),
        b: new Float32Array(rank).fill(1),
      }),
    );
    // 2^28 * 2^18 * 2^3 = 2^49: a bit of B, then one of A.
    expect([wide.aExponent, wide.bExponent]).toEqual([-13, -13]);
    expect(outputBound(wide)).toBe(2 ** 47);
  });

  it('refuses a module that overflows even at 12 bits', () => {
    const [rank, inFeatures] = [4095, 4104];
    // 4095^2 * 4104 * 4095 is just above 2^48.
    const a = new Float32Array(rank * inFeatures).fill(4095);
    const m = module({ rank, inFeatures, a, b: new Float32Array(rank).fill(4095) });
    expect(refusal(() => quantizeModule(m)).code).toBe('ADAPTER_OVERFLOW');
  });

  it('refuses NaN, infinity and sizes that lie', () => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      expect(refusal(() => quantizeModule(module({ a: Float32Array.of(bad) }))).code).toBe(
        'ADAPTER_MALFORMED',
      );
      expect(refusal(() => quantizeModule(module({ b: Float32Array.of(bad) }))).code).toBe(
        'ADAPTER_MALFORMED',
      );
    }
    for (const change of [
      { inFeatures: 2 },
      { outFeatures: 0 },
      { rank: 0 },
      { rank: 1.5 },
      { rank: 4096 },
    ]) {
      expect(refusal(() => quantizeModule(module(change))).code).toBe('ADAPTER_MALFORMED');
    }
  });
});

describe('outputBound', () => {
  it('is exact, and refuses from 2^48 on', () => {
    // Row 0: |B| = 2^14, |A_0|_1 = 2^34 - 1 or 2^34. Row 1 adds up to 2^14.
    const inFeatures = 2 ** 20;
    const a = new Int16Array(2 * inFeatures).fill(-16384, 0, inFeatures);
    const m = { name: 'm', rank: 2, inFeatures, outFeatures: 1, a, aExponent: 0, bExponent: 0, scaling: 1 };
    a[0] = -16383;
    a[inFeatures] = 16383;
    const bT = Int16Array.of(-16384, 1);
    expect(outputBound({ ...m, bT })).toBe(2 ** 48 - 1);
    expect(fitsInt64({ ...m, bT })).toBe(true);
    a[inFeatures + 1] = -1;
    expect(outputBound({ ...m, bT })).toBe(OUTPUT_BOUND);
    expect(fitsInt64({ ...m, bT })).toBe(false);
  });

  it('is the largest sum of products of magnitudes', () => {
    const int16 = fc.integer({ min: -32768, max: 32767 });
    fc.assert(
      fc.property(
        fc.array(int16, { minLength: 6, maxLength: 6 }),
        fc.array(int16, { minLength: 4, maxLength: 4 }),
        (av, bv) => {
          const [a, bT] = [Int16Array.from(av), Int16Array.from(bv)];
          const norms = [0, 3].map((at) =>
            av.slice(at, at + 3).reduce((sum, value) => sum + Math.abs(value), 0),
          );
          const sums = [0, 1].map((i) => Math.abs(bv[i]!) * norms[0]! + Math.abs(bv[2 + i]!) * norms[1]!);
          const m = {
            name: 'm',
            rank: 2,
            inFeatures: 3,
            outFeatures: 2,
            a,
            bT,
            aExponent: 0,
            bExponent: 0,
            scaling: 1,
          };
          expect(outputBound(m)).toBe(Math.max(...sums));
        },
      ),
    );
  });
});

describe('quantizeActivations', () => {
  it('gives each row its own finest grid', () => {
    const row = fc.array(float, { minLength: 3, maxLength: 3 });
    fc.assert(
      fc.property(fc.array(row, { maxLength: 4 }), (rows) => {
        const { x, exponents } = quantizeActivations(Float32Array.from(rows.flat()), rows.length, 3);
        for (const [t, values] of rows.entries()) {
          const max = Math.max(...values.map(Math.abs));
          expect(exponents[t]).toBe(exponentFor(max, 15));
          for (const [i, value] of values.entries()) expectNearest(value, x[3 * t + i]!, exponents[t]!);
        }
      }),
    );
  });

  it('gives rows of zeros the exponent 0', () => {
    const { x, exponents } = quantizeActivations(Float32Array.of(0, -0, 1, 0), 2, 2);
    expect([...x]).toEqual([0, 0, 16384, 0]);
    expect([...exponents]).toEqual([0, -14]);
  });

  it('refuses NaN, infinity and a wrong length', () => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const error = refusal(() => quantizeActivations(Float32Array.of(1, 2, 3, bad), 2, 2));
      expect(error.code).toBe('STATEMENT_INVALID');
      expect(error.message).toContain('token 1');
    }
    expect(refusal(() => quantizeActivations(new Float32Array(5), 2, 2)).code).toBe('STATEMENT_INVALID');
  });
});

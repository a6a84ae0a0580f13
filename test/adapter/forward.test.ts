import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyExact, scaleDelta } from '../../src/adapter/forward.js';
import { MAX_EXPONENT, MIN_EXPONENT } from '../../src/adapter/limits.js';
import { fitsInt64 } from '../../src/adapter/overflow.js';
import type { QuantizedModule } from '../../src/adapter/types.js';
import { refusal } from './refusal.js';

function makeModule(change: Partial<QuantizedModule>): QuantizedModule {
  return {
    name: 'm',
    rank: 1,
    inFeatures: 1,
    outFeatures: 1,
    a: Int16Array.of(1),
    bT: Int16Array.of(1),
    aExponent: 0,
    bExponent: 0,
    scaling: 1,
    ...change,
  };
}

/** X A^T B^T with bigints. */
function reference(m: QuantizedModule, x: Int16Array, tokens: number): bigint[] {
  const y: bigint[] = [];
  for (let t = 0; t < tokens; t++) {
    const z = Array.from({ length: m.rank }, (_, j) => {
      let sum = 0n;
      for (let i = 0; i < m.inFeatures; i++)
        sum += BigInt(x[t * m.inFeatures + i]!) * BigInt(m.a[j * m.inFeatures + i]!);
      return sum;
    });
    for (let k = 0; k < m.outFeatures; k++) {
      y.push(z.reduce((sum, value, j) => sum + value * BigInt(m.bT[j * m.outFeatures + k]!), 0n));
    }
  }
  return y;
}

const int16 = fc.oneof(
  fc.integer({ min: -32768, max: 32767 }),
  fc.constantFrom(-32768, -32767, 32767, 0, 1, -1),
);
const int16s = (length: number) =>
  fc.array(int16, { minLength: length, maxLength: length }).map((values) => Int16Array.from(values));
/** What quantisation gives: int16 without -32768. */
const weights = (length: number) =>
  int16s(length).map((values) => values.map((value) => Math.max(value, -32767)));

describe('applyExact', () => {
  const cases = fc
    .record({
      rank: fc.integer({ min: 1, max: 17 }),
      inFeatures: fc.integer({ min: 1, max: 17 }),
      outFeatures: fc.integer({ min: 1, max: 9 }),
      tokens: fc.integer({ min: 0, max: 4 }),
    })
    .chain(({ tokens, ...sizes }) =>
      fc.record({
        m: fc
          .tuple(weights(sizes.rank * sizes.inFeatures), weights(sizes.rank * sizes.outFeatures))
          .map(([a, bT]) => makeModule({ ...sizes, a, bT })),
        x: int16s(tokens * sizes.inFeatures),
        tokens: fc.constant(tokens),
      }),
    );

  it('equals the product over the integers', () => {
    fc.assert(
      fc.property(cases, ({ m, x, tokens }) => {
        expect([...applyExact(m, x, tokens)]).toEqual(reference(m, x, tokens));
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    [-32768, 1n],
    [32767, -1n],
    [-1, 1n],
  ])('is exact at the output bound, with activations %i', (activation, sign) => {
    // Bound 2^48 - 1, as in the test of outputBound: |Y| up to 2^63 - 2^15.
    const inFeatures = 2 ** 20;
    const a = new Int16Array(2 * inFeatures).fill(-16384, 0, inFeatures);
    a[0] = -16383;
    a[inFeatures] = -16383;
    const m = makeModule({ rank: 2, inFeatures, outFeatures: 2, a, bT: Int16Array.of(16384, -16384, 1, -1) });
    expect(fitsInt64(m)).toBe(true);
    const magnitude = (2n ** 48n - 1n) * BigInt(Math.abs(activation));
    const y = applyExact(m, new Int16Array(inFeatures).fill(activation), 1);
    expect([...y]).toEqual([sign * magnitude, -sign * magnitude]);
  });

  it('is exact for large mixed signs and many ranks', () => {
    // Products near 2^60 that nearly cancel: every low bit counts.
    const [rank, inFeatures, outFeatures, tokens] = [33, 4096, 5, 2];
    let state = 12345;
    const next = () => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return (state >>> 15) - 2 ** 16 > 0 ? 32767 - (state & 3) : -32767 + (state & 3);
    };
    const fill = (length: number) => Int16Array.from({ length }, next);
    const x = fill(tokens * inFeatures);
    const a = fill(rank * inFeatures);
    // Row 0 follows x, to reach the largest sums.
    for (let i = 0; i < inFeatures; i++) a[i] = Math.sign(x[i]!) * 32767;
    const m = makeModule({ rank, inFeatures, outFeatures, a, bT: fill(rank * outFeatures) });
    expect([...applyExact(m, x, tokens)]).toEqual(reference(m, x, tokens));
  });

  it('is exact where the largest products meet in every lane', () => {
    const [rank, inFeatures, outFeatures, tokens] = [16, 24, 6, 2];
    for (const [x, a, b] of [
      [-32768, -32767, 32767],
      [-32768, 32767, -32767],
      [32767, 32767, 32767],
    ] as const) {
      const m = makeModule({
        rank,
        inFeatures,
        outFeatures,
        a: new Int16Array(rank * inFeatures).fill(a),
        bT: new Int16Array(rank * outFeatures).fill(b),
      });
      const rows = new Int16Array(tokens * inFeatures).fill(x);
      expect([...applyExact(m, rows, tokens)]).toEqual(reference(m, rows, tokens));
    }
  });

  it('gives the same for many tokens, which go through memory in parts, into a given place', () => {
    const [rank, inFeatures, outFeatures, tokens] = [1, 5, 4099, 33];
    const fill = (length: number) =>
      Int16Array.from({ length }, (_, i) => (Math.imul(i + 1, 40_503) % 65_535) - 32_767 || 1).map((value) =>
        Math.max(value, -32_767),
      );
    const m = makeModule({
      rank,
      inFeatures,
      outFeatures,
      a: fill(rank * inFeatures),
      bT: fill(rank * outFeatures),
    });
    const x = fill(tokens * inFeatures);
    const place = new BigInt64Array(tokens * outFeatures).fill(7n);
    expect(applyExact(m, x, tokens, place)).toBe(place);
    expect(place).toEqual(BigInt64Array.from(reference(m, x, tokens)));
    expect(refusal(() => applyExact(m, x, tokens, place.subarray(1))).code).toBe('INTERNAL');
  });

  it('refuses weights of -32768', () => {
    for (const change of [{ a: Int16Array.of(-32768) }, { bT: Int16Array.of(-32768) }]) {
      expect(refusal(() => applyExact(makeModule(change), Int16Array.of(1), 1)).code).toBe(
        'ADAPTER_MALFORMED',
      );
    }
  });

  it('accepts a view that starts inside a buffer', () => {
    const x = new Int16Array([9, 2, 3]).subarray(1);
    expect([...applyExact(makeModule({ a: Int16Array.of(-5) }), x, 2)]).toEqual([-10n, -15n]);
  });

  it('refuses activations of another size', () => {
    const m = makeModule({ inFeatures: 2, a: Int16Array.of(1, 2) });
    for (const [length, tokens] of [
      [3, 2],
      [4, 1],
      [0, -1],
      [3, 1.5],
    ] as const) {
      expect(refusal(() => applyExact(m, new Int16Array(length), tokens)).code).toBe('STATEMENT_INVALID');
    }
  });

  it('refuses a module whose outputs could overflow, or that lies about its sizes', () => {
    const inFeatures = 2 ** 19;
    const big = makeModule({
      inFeatures,
      a: new Int16Array(inFeatures).fill(32767),
      bT: Int16Array.of(32767),
    });
    expect(refusal(() => applyExact(big, new Int16Array(inFeatures), 1)).code).toBe('ADAPTER_OVERFLOW');
    expect(refusal(() => applyExact(makeModule({ rank: 2 }), new Int16Array(1), 1)).code).toBe(
      'ADAPTER_MALFORMED',
    );
  });
});

/** The nearest multiple of a power of two with at most `bits` significant bits, ties to even: value / 2^shift. */
function roundBits(value: bigint, bits: number, minShift = 0): bigint {
  const magnitude = value < 0n ? -value : value;
  const shift = BigInt(Math.max(minShift, magnitude.toString(2).length - bits, 0));
  const unit = 1n << shift;
  const rest = (magnitude % unit) * 2n;
  let quotient = magnitude / unit;
  if (rest > unit || (rest === unit && quotient % 2n === 1n)) quotient += 1n;
  return (value < 0n ? -quotient : quotient) * unit;
}

/** Fraction bits of the reference's fixed-point numbers. */
const SCALE = 1400n;

/** A float64 times 2^1400, exactly. */
function exactly(value: number): bigint {
  let [v, shift] = [value, 0];
  while (!Number.isInteger(v)) {
    v *= 2;
    shift++;
  }
  return BigInt(v) << (SCALE - BigInt(shift));
}

/** The docstring's roundings, in bigints; null beyond float32. */
function referenceDelta(y: bigint, exponent: number, scaling: number): bigint | null {
  const rounded = roundBits(y, 53);
  const product = roundBits(rounded * exactly(scaling), 53);
  const shifted = exponent >= 0 ? product << BigInt(exponent) : product >> BigInt(-exponent);
  const delta = roundBits(shifted, 24, Number(SCALE) - 149);
  return (delta < 0n ? -delta : delta) >= 1n << (SCALE + 128n) ? null : delta;
}

describe('scaleDelta', () => {
  const exponent = fc.integer({ min: MIN_EXPONENT, max: MAX_EXPONENT });
  const moderate = fc.integer({ min: -40, max: 10 });
  const y = fc.oneof(
    fc.bigInt({ min: -(2n ** 63n) + 1n, max: 2n ** 63n - 1n }),
    // Halfway between float64 neighbours, and around the word boundary.
    fc
      .tuple(fc.bigInt({ min: 0n, max: 2n ** 53n - 1n }), fc.constantFrom(511n, 512n, 513n))
      .map(([a, b]) => a * 1024n + b),
    fc.constantFrom(0n, 1n, -1n, 2n ** 32n, -(2n ** 32n), 2n ** 32n - 1n, 2n ** 63n - 1n, -(2n ** 63n) + 1n),
    fc.bigInt({ min: -1000n, max: 1000n }),
  );
  const scaling = fc.oneof(
    fc.constantFrom(1, 2, 0.5, 4 / 3, 16 / Math.sqrt(8), -1, 2 ** -64, 2 ** 64, 1 / 3),
    fc.double({ min: 2 ** -20, max: 2 ** 20, noNaN: true }),
  );

  it('rounds as documented, against a bigint reference', () => {
    fc.assert(
      fc.property(
        fc.oneof(y, y),
        fc.oneof(moderate, exponent),
        moderate,
        moderate,
        scaling,
        (v, e, aExponent, bExponent, s) => {
          const m = { outFeatures: 1, aExponent, bExponent, scaling: s };
          const expected = referenceDelta(v, e + aExponent + bExponent, s);
          const call = () => scaleDelta(BigInt64Array.of(v), Int16Array.of(e), m);
          if (expected === null) expect(refusal(call).code).toBe('STATEMENT_INVALID');
          else expect(exactly(call()[0]!)).toBe(expected);
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('keeps float32 subnormals and rounds what is below them to zero', () => {
    const m = { outFeatures: 3, aExponent: -100, bExponent: -50, scaling: 1 };
    expect([...scaleDelta(BigInt64Array.of(1n, 2n, 3n), Int16Array.of(0), m)]).toEqual([
      0, // 2^-150 ties to even
      2 ** -149,
      2 ** -148,
    ]);
  });

  it('uses each token its own exponent', () => {
    const m = { outFeatures: 2, aExponent: 0, bExponent: -1, scaling: 3 };
    const delta = scaleDelta(BigInt64Array.of(1n, -2n, 3n, 4n), Int16Array.of(0, 3), m);
    expect([...delta]).toEqual([1.5, -3, 36, 48]);
  });

  it('survives the extremes of every factor', () => {
    const low = { outFeatures: 1, aExponent: MIN_EXPONENT, bExponent: MIN_EXPONENT, scaling: 2 ** -64 };
    expect(scaleDelta(BigInt64Array.of(1n), Int16Array.of(MIN_EXPONENT), low)[0]).toBe(0);
    const high = { outFeatures: 1, aExponent: MAX_EXPONENT, bExponent: MAX_EXPONENT, scaling: 2 ** 64 };
    const call = () => scaleDelta(BigInt64Array.of(2n ** 63n - 1n), Int16Array.of(MAX_EXPONENT), high);
    expect(refusal(call).code).toBe('STATEMENT_INVALID');
    expect(scaleDelta(BigInt64Array.of(0n), Int16Array.of(MAX_EXPONENT), high)[0]).toBe(0);
  });

  it('refuses lengths, exponents and scalings out of range', () => {
    const m = { outFeatures: 1, aExponent: 0, bExponent: 0, scaling: 1 };
    const one = BigInt64Array.of(1n);
    const codeOf = (y64: BigInt64Array, exponents: Int16Array, change: object = {}) =>
      refusal(() => scaleDelta(y64, exponents, { ...m, ...change })).code;
    expect(codeOf(one, Int16Array.of(0, 0))).toBe('STATEMENT_INVALID');
    expect(codeOf(one, Int16Array.of(MAX_EXPONENT + 1))).toBe('STATEMENT_INVALID');
    expect(codeOf(one, Int16Array.of(MIN_EXPONENT - 1))).toBe('STATEMENT_INVALID');
    for (const change of [
      { scaling: NaN },
      { scaling: 0 },
      { scaling: Infinity },
      { scaling: 2 ** 65 },
      { aExponent: 200 },
      { bExponent: -200 },
      { aExponent: 0.5 },
    ]) {
      expect(codeOf(one, Int16Array.of(0), change)).toBe('STATEMENT_INVALID');
    }
  });
});

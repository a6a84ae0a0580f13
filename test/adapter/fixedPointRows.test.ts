import { describe, expect, it } from 'vitest';
import { exponentFor, maxMagnitude, powerOfTwo, quantizeInto } from '../../src/adapter/fixedPoint.js';
import { magnitudeSums, roundRows, scaleRows } from '../../src/adapter/fixedPointRows.js';
import { scaleDelta } from '../../src/adapter/forward.js';
import { quantizeActivations } from '../../src/adapter/quantize.js';
import { toBytes } from '../../src/littleEndian.js';
import { seeded } from '../support/scenario.js';
import { refusal } from './refusal.js';

/** Widths on both sides of whole blocks, and so many values that they go through memory in parts. */
const SHAPES = [
  [1, 1],
  [3, 2],
  [5, 4],
  [7, 7],
  [2, 8],
  [3, 9],
  [17, 2051],
  [3, 50_000],
] as const;

/** Random 32-bit words. */
function wordsOf(seed: number): () => number {
  const random = seeded(seed);
  return () => random() * 2 ** 32;
}

const MANTISSAS = [0, 1, 0x3fffff, 0x400000, 0x400001, 0x7fffff];

/** Float32 by its bits. */
function floats(words: readonly number[]): Float32Array {
  return new Float32Array(Uint32Array.from(words).buffer);
}

/** Every exponent of finite float32 with the ends and the middle of its mantissas, of both signs. */
const finite = floats(
  Array.from({ length: 255 }, (_, exponent) => exponent).flatMap((exponent) =>
    MANTISSAS.flatMap((mantissa) => [0, 2 ** 31].map((sign) => sign + exponent * 2 ** 23 + mantissa)),
  ),
);

/** Random bits, without NaN and infinity. */
function randomFloats(length: number, seed: number): Float32Array {
  const random = wordsOf(seed);
  const values = floats(Array.from({ length }, random));
  return values.map((value) => (Number.isFinite(value) ? value : -0));
}

/** As it was before there were kernels: a value at a time. */
function plainRounding(values: Float32Array, rows: number): { x: Int16Array; exponents: Int16Array } {
  const width = values.length / rows;
  const x = new Int16Array(values.length);
  const exponents = new Int16Array(rows);
  for (let row = 0; row < rows; row += 1) {
    const [from, to] = [row * width, (row + 1) * width];
    exponents[row] = exponentFor(maxMagnitude(values, from, to), 15);
    quantizeInto(x, values, exponents[row]!, from, to);
  }
  return { x, exponents };
}

describe('rounding of rows', () => {
  it.each(SHAPES)('gives the bits of plain code: %d rows of %d', (rows, width) => {
    const values = randomFloats(rows * width, width);
    // rows of one size, as a model's are
    const random = wordsOf(rows);
    const even = values.map(() => (random() / 2 ** 31 - 1) * 8);
    for (const given of [values, even]) {
      expect(quantizeActivations(given, rows, width)).toEqual(plainRounding(given, rows));
    }
  });

  it('gives them for every exponent, of rows whose largest value is any', () => {
    for (const value of finite) {
      const row = Float32Array.of(
        value,
        value / 2,
        value / 3,
        -value / 2 ** 14,
        value / 2 ** 15,
        value / 2 ** 16,
        1e-45,
      );
      expect(quantizeActivations(row, 1, row.length)).toEqual(plainRounding(row, 1));
    }
    expect(quantizeActivations(finite, 1, finite.length)).toEqual(plainRounding(finite, 1));
  });

  it('rounds halves to even', () => {
    const values = Float32Array.of(0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 32_766.5, -32_766.5, -0, 0.49999997);
    expect([...roundRows(values, values.length, () => 1)]).toEqual([
      0, 2, 2, 0, -2, -2, 32_766, -32_766, 0, 0,
    ]);
  });

  it.each([NaN, Infinity, -Infinity])('shows %d wherever it stands, and no other row', (bad) => {
    for (const width of [1, 7, 8, 9, 24]) {
      for (let place = 0; place < width; place += 1) {
        const values = new Float32Array(3 * width).fill(3);
        values[width + place] = bad;
        const found: number[] = [];
        roundRows(values, width, (_, max) => {
          found.push(max);
          return 1;
        });
        expect(found).toEqual([3, Number.isNaN(bad) ? NaN : Infinity, 3]);
        expect(refusal(() => quantizeActivations(values, 3, width)).message).toContain('token 1');
      }
    }
  });

  it('takes NaN of any bits', () => {
    for (const word of [0x7f800001, 0x7fffffff, 0xff800001, 0xffffffff, 0x7fc00000]) {
      const max: number[] = [];
      roundRows(floats([word, 0x7f800000, 0x3f800000]), 3, (_, one) => max.push(one) && 1);
      expect(max).toEqual([NaN]);
    }
  });
});

describe('sums of magnitudes', () => {
  it.each(SHAPES)('are exact: %d rows of %d', (rows, width) => {
    const random = wordsOf(width);
    const x = Int16Array.from({ length: rows * width }, random);
    const expected = Array.from({ length: rows }, (_, row) =>
      x.subarray(row * width, (row + 1) * width).reduce((sum, value) => sum + Math.abs(value), 0),
    );
    expect([...magnitudeSums(x, width)]).toEqual(expected);
  });

  it('reach 2^35', () => {
    expect([...magnitudeSums(new Int16Array(2 ** 20).fill(-(2 ** 15)), 2 ** 20)]).toEqual([2 ** 35]);
    expect([...magnitudeSums(new Int16Array(0), 5)]).toEqual([]);
  });
});

describe('scaling of rows', () => {
  /** As it was before there were kernels. */
  function plainScaling(y: BigInt64Array, rows: number, factors: readonly number[]) {
    const width = y.length / rows;
    const words = new Int32Array(y.buffer, y.byteOffset, 2 * y.length);
    const values = new Float32Array(y.length);
    const largest = new Float64Array(rows);
    for (let i = 0; i < y.length; i += 1) {
      const row = Math.floor(i / width);
      const value = words[2 * i + 1]! * 2 ** 32 + (words[2 * i]! >>> 0);
      values[i] = value * factors[row]!;
      largest[row] = Math.max(largest[row]!, Math.abs(value));
    }
    return { values, largest };
  }

  function expectSame(y: BigInt64Array, rows: number, factors: readonly number[]): void {
    const scaled = scaleRows(y, y.length / rows, (row) => factors[row]!);
    const plain = plainScaling(y, rows, factors);
    // by their bits: -0 and 0 are two results
    expect(Buffer.compare(toBytes(scaled.values), toBytes(plain.values))).toBe(0);
    expect(scaled.largest).toEqual(plain.largest);
  }

  const factorsOf = (rows: number, seed: number): number[] => {
    const random = wordsOf(seed);
    return Array.from({ length: rows }, () => {
      const factor = powerOfTwo(Math.floor(random() % 400) - 250) * (random() / 2 ** 31);
      return random() % 2 < 1 ? factor : -factor;
    });
  };

  it.each(SHAPES)('gives the bits of plain code: %d rows of %d', (rows, width) => {
    const random = wordsOf(7 * width);
    const words = Uint32Array.from({ length: 2 * rows * width }, random);
    const any = new BigInt64Array(words.buffer);
    // most of a model's deltas have few bits
    const small = any.map((value, i) => value >> BigInt(i % 64));
    for (const y of [any, small]) expectSame(y, rows, factorsOf(rows, width));
  });

  it('gives them at the edges of words, of float64 and of float32', () => {
    const powers = Array.from({ length: 64 }, (_, bit) => 1n << BigInt(bit));
    const near = powers.flatMap((power) =>
      [-1025n, -1024n, -513n, -512n, -2n, -1n, 0n, 1n, 2n, 511n, 512n, 1025n].map((d) => power + d),
    );
    const y = BigInt64Array.from([0n, ...near, ...near.map((value) => -value)]);
    const factors = [
      1,
      -1,
      1 / 3,
      powerOfTwo(-149),
      powerOfTwo(-150) * 1.0000001,
      powerOfTwo(-212),
      -powerOfTwo(65),
      powerOfTwo(127),
      powerOfTwo(-1000),
    ];
    for (const factor of factors) expectSame(y, 1, [factor]);
    expect(Object.is(scaleRows(BigInt64Array.of(0n), 1, () => -1).values[0], -0)).toBe(true);
  });

  it('lets a caller refuse what it sees before what float32 cannot hold', () => {
    const module = { outFeatures: 2, aExponent: 100, bExponent: 0, scaling: 1 };
    const y = BigInt64Array.of(1n, 2n, 2n ** 60n, -(2n ** 61n));
    const call = (accept?: (largest: Float64Array) => void) => () =>
      scaleDelta(y, Int16Array.of(0, 0), module, accept);
    expect(refusal(call()).message).toContain('token 1');
    const seen: number[][] = [];
    expect(refusal(call((largest) => void seen.push([...largest]))).code).toBe('STATEMENT_INVALID');
    expect(seen).toEqual([[2, 2 ** 61]]);
    expect(
      call(() => {
        throw new Error('refused');
      }),
    ).toThrow('refused');
  });
});

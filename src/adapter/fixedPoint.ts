/** A vector of integers and the power of two they are multiples of: value = integer * 2^exponent. */
export interface FixedPoint {
  readonly integers: Int16Array;
  readonly exponent: number;
}

/** 1.5 * 2^52: adding and subtracting it rounds a float64 below 2^51 to the nearest integer, ties to even. */
const ROUNDING = 1.5 * 2 ** 52;

const EXPONENT_BIAS = 1023;

/** One for all: they are needed for each row of activations. */
const bits = new DataView(new ArrayBuffer(8));

/** 2^exponent, exactly, for -1022 <= exponent <= 1023; made from its bits because `**` need not be exact. */
export function powerOfTwo(exponent: number): number {
  bits.setUint32(0, (exponent + EXPONENT_BIAS) << 20);
  bits.setUint32(4, 0);
  return bits.getFloat64(0);
}

/** Nearest integer, ties to even, for |value| < 2^51. */
export function roundHalfEven(value: number): number {
  return value + ROUNDING - ROUNDING;
}

/** Largest magnitude from one place on to before another; NaN or infinite when any value is. */
export function maxMagnitude(values: Float32Array, from = 0, to = values.length): number {
  let max = 0;
  for (let i = from; i < to; i++) {
    const magnitude = Math.abs(values[i]!);
    if (magnitude <= max) continue;
    if (Number.isNaN(magnitude)) return NaN;
    max = magnitude;
  }
  return max;
}

/**
 * Smallest exponent e for which round(max / 2^e) <= 2^magnitudeBits - 1; 0 for max = 0.
 *
 * Finest possible grid: with one less, the largest value would not fit.
 */
export function exponentFor(max: number, magnitudeBits: number): number {
  if (max === 0) return 0;
  bits.setFloat64(0, max); // a float32, even a subnormal one, is a normal float64
  const log2 = ((bits.getUint32(0) >>> 20) & 0x7ff) - EXPONENT_BIAS;
  const exponent = log2 - (magnitudeBits - 1);
  // With n bits max / 2^exponent lies in [2^(n-1), 2^n); from 2^n - 1/2 on it would round up to 2^n.
  return max * powerOfTwo(-exponent) < 2 ** magnitudeBits - 0.5 ? exponent : exponent + 1;
}

/**
 * Nearest integers (ties to even) to finite values / 2^exponent, into the same places of `out`, from one on to before
 * another. The division is exact.
 */
export function quantizeInto(
  out: Int16Array,
  values: Float32Array,
  exponent: number,
  from = 0,
  to = values.length,
): void {
  const inverse = powerOfTwo(-exponent);
  for (let i = from; i < to; i++) out[i] = roundHalfEven(values[i]! * inverse);
}

/** A vector of integers and the power of two they are multiples of: value = integer * 2^exponent. */
export interface FixedPoint {
  readonly integers: Int16Array;
  readonly exponent: number;
}

/** 1.5 * 2^52: adding and subtracting it rounds a float64 below 2^51 to the nearest integer, ties to even. */
const ROUNDING = 1.5 * 2 ** 52;

const EXPONENT_BIAS = 1023;

/** 2^exponent, exactly, for -1022 <= exponent <= 1023; made from its bits because `**` need not be exact. */
export function powerOfTwo(exponent: number): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, (exponent + EXPONENT_BIAS) << 20);
  return view.getFloat64(0);
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
 * Smallest exponent e for which round(max / 2^e) <= 2^bits - 1; 0 for max = 0.
 *
 * Finest possible grid: with one less, the largest value would not fit.
 */
export function exponentFor(max: number, bits: number): number {
  if (max === 0) return 0;
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, max); // a float32, even a subnormal one, is a normal float64
  const log2 = ((view.getUint32(0) >>> 20) & 0x7ff) - EXPONENT_BIAS;
  const exponent = log2 - (bits - 1);
  // max / 2^exponent lies in [2^(bits-1), 2^bits); from 2^bits - 1/2 on it would round up to 2^bits.
  return max * powerOfTwo(-exponent) < 2 ** bits - 0.5 ? exponent : exponent + 1;
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

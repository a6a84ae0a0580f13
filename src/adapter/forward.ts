import { ZkLoraError } from '../errors.js';
import { powerOfTwo } from './fixedPoint.js';
import { MAX_EXPONENT, MAX_SCALING, MIN_EXPONENT, MIN_SCALING } from './limits.js';
import { assertFitsInt64, assertModuleShape } from './overflow.js';
import type { QuantizedModule } from './types.js';

/** The left operand of the second product is split here: 22 low bits, at most 28 high bits and a sign. */
const SPLIT = 2 ** 22;
const TWO_32 = 2 ** 32;

/** Rows of A converted to float64 at a time. */
const ROWS = 4;

/**
 * Y = X A^T B^T over the integers, row-major `[tokens, outFeatures]`: exact for any int16 X (docs/protocol.md,
 * "Fixed point").
 *
 * float64 arithmetic throughout: |X A^T| <= 2^15 * 2^35 is exact; its entries Z are split as Zh * 2^22 + Zl, and
 * the two products with B^T stay below 2^53 (by the module's output bound, checked here, and 2^22 * 2^15 * rank).
 *
 * @param x int16, row-major `[tokens, inFeatures]`.
 * @throws ZkLoraError `STATEMENT_INVALID` for a wrong length, `ADAPTER_OVERFLOW`, `ADAPTER_MALFORMED`
 */
export function applyExact(module: QuantizedModule, x: Int16Array, tokens: number): BigInt64Array {
  const { rank, inFeatures, outFeatures, bT } = module;
  assertModuleShape(module);
  assertFitsInt64(module);
  if (!Number.isInteger(tokens) || tokens < 0 || x.length !== tokens * inFeatures) {
    throw new ZkLoraError(
      'STATEMENT_INVALID',
      `${x.length} activations do not make ${tokens} rows of ${inFeatures}; send one row for each token`,
    );
  }
  const z = projectDown(module, x, tokens);
  const y = new BigInt64Array(tokens * outFeatures);
  const words = new Uint32Array(y.buffer); // little-endian: low word first
  const high = new Float64Array(outFeatures);
  const low = new Float64Array(outFeatures);
  for (let token = 0; token < tokens; token++) {
    high.fill(0);
    low.fill(0);
    for (let j = 0; j < rank; j++) {
      const value = z[token * rank + j]!;
      const valueHigh = Math.floor(value / SPLIT);
      const valueLow = value - valueHigh * SPLIT;
      const row = j * outFeatures;
      for (let i = 0; i < outFeatures; i++) {
        const weight = bT[row + i]!;
        high[i]! += valueHigh * weight;
        low[i]! += valueLow * weight;
      }
    }
    writeSums(words, 2 * token * outFeatures, high, low);
  }
  return y;
}

/**
 * delta = Y * 2^(e_x + e_A + e_B) * scaling, row-major `[tokens, outFeatures]`.
 *
 * Y is rounded to float64 once, multiplied by the (exact) power of two times scaling with one more rounding, and
 * rounded to float32: the same bits on every IEEE 754 machine.
 *
 * @param exponents e_x of each token, `[tokens]`.
 * @throws ZkLoraError `STATEMENT_INVALID` for a wrong length, an exponent or scaling out of range, or a delta
 * beyond float32.
 */
export function scaleDelta(
  y: BigInt64Array,
  exponents: Int16Array,
  module: Pick<QuantizedModule, 'outFeatures' | 'aExponent' | 'bExponent' | 'scaling'>,
): Float32Array {
  const { outFeatures, aExponent, bExponent, scaling } = module;
  if (y.length !== exponents.length * outFeatures) {
    throw new ZkLoraError(
      'STATEMENT_INVALID',
      `${y.length} outputs do not make ${exponents.length} rows of ${outFeatures}; ask the contributor again`,
    );
  }
  if (!isExponent(aExponent) || !isExponent(bExponent) || !isScaling(scaling)) {
    throw new ZkLoraError(
      'STATEMENT_INVALID',
      'a module exponent or scaling is out of range; check the adapter',
    );
  }
  const highWords = new Int32Array(y.buffer, y.byteOffset, 2 * y.length);
  const lowWords = new Uint32Array(y.buffer, y.byteOffset, 2 * y.length);
  const delta = new Float32Array(y.length);
  for (let token = 0; token < exponents.length; token++) {
    const exponent = exponents[token]!;
    if (!isExponent(exponent)) {
      throw new ZkLoraError(
        'STATEMENT_INVALID',
        `the exponent of token ${token} is out of range; quantise again`,
      );
    }
    const factor = powerOfTwo(exponent + aExponent + bExponent) * scaling;
    for (let i = token * outFeatures; i < (token + 1) * outFeatures; i++) {
      const value = Math.fround((highWords[2 * i + 1]! * TWO_32 + lowWords[2 * i]!) * factor);
      if (!Number.isFinite(value)) {
        throw new ZkLoraError(
          'STATEMENT_INVALID',
          `a delta of token ${token} is beyond float32; the adapter or its scaling does not fit this model`,
        );
      }
      delta[i] = value;
    }
  }
  return delta;
}

/** Z = X A^T, row-major `[tokens, rank]`, exact in float64. */
function projectDown({ rank, inFeatures, a }: QuantizedModule, x: Int16Array, tokens: number): Float64Array {
  const z = new Float64Array(tokens * rank);
  const rows = Array.from({ length: ROWS }, () => new Float64Array(inFeatures));
  const [a0, a1, a2, a3] = rows as [Float64Array, Float64Array, Float64Array, Float64Array];
  for (let j = 0; j < rank; j += ROWS) {
    const count = Math.min(ROWS, rank - j);
    // Rows beyond the rank keep what they held; their sums are dropped below.
    for (let row = 0; row < count; row++)
      rows[row]!.set(a.subarray((j + row) * inFeatures, (j + row + 1) * inFeatures));
    for (let token = 0; token < tokens; token++) {
      const start = token * inFeatures;
      let s0 = 0;
      let s1 = 0;
      let s2 = 0;
      let s3 = 0;
      for (let i = 0; i < inFeatures; i++) {
        const value = x[start + i]!;
        s0 += value * a0[i]!;
        s1 += value * a1[i]!;
        s2 += value * a2[i]!;
        s3 += value * a3[i]!;
      }
      const sums = [s0, s1, s2, s3];
      for (let row = 0; row < count; row++) z[token * rank + j + row] = sums[row]!;
    }
  }
  return z;
}

/** Writes high * 2^22 + low as 64-bit two's complement, two 32-bit words per entry. */
function writeSums(words: Uint32Array, start: number, high: Float64Array, low: Float64Array): void {
  for (let i = 0; i < high.length; i++) {
    // high * 2^22 = quotient * 2^32 + (high mod 2^10) * 2^22; then the rest and its carry.
    const quotient = Math.floor(high[i]! / 1024);
    const rest = (high[i]! - quotient * 1024) * SPLIT + low[i]!;
    const carry = Math.floor(rest / TWO_32);
    words[start + 2 * i] = rest - carry * TWO_32;
    words[start + 2 * i + 1] = quotient + carry; // stored modulo 2^32: two's complement
  }
}

function isExponent(value: number): boolean {
  return Number.isInteger(value) && value >= MIN_EXPONENT && value <= MAX_EXPONENT;
}

function isScaling(value: number): boolean {
  return Math.abs(value) >= MIN_SCALING && Math.abs(value) <= MAX_SCALING;
}

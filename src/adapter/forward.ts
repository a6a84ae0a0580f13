import { ZkLoraError } from '../errors.js';
import { ExactProduct } from './exactProduct.js';
import { powerOfTwo } from './fixedPoint.js';
import { MAX_EXPONENT, MAX_SCALING, MIN_EXPONENT, MIN_SCALING } from './limits.js';
import { assertFitsInt64, assertModuleShape } from './overflow.js';
import type { QuantizedModule } from './types.js';

const TWO_32 = 2 ** 32;
const TWO_63 = 2 ** 63;

/** Made at the first product. */
let products: ExactProduct | undefined;

/**
 * Y = X A^T B^T over the integers, row-major `[tokens, outFeatures]`: exact for any int16 X (docs/protocol.md,
 * "Fixed point").
 *
 * @param x int16, row-major `[tokens, inFeatures]`.
 * @param out takes the result, for callers who have a place for it
 * @throws ZkLoraError `STATEMENT_INVALID` for a wrong length, `ADAPTER_OVERFLOW`, `ADAPTER_MALFORMED`
 */
export function applyExact(
  module: QuantizedModule,
  x: Int16Array,
  tokens: number,
  out?: BigInt64Array,
): BigInt64Array {
  const { inFeatures, outFeatures } = module;
  assertModuleShape(module);
  assertFitsInt64(module);
  if (!Number.isInteger(tokens) || tokens < 0 || x.length !== tokens * inFeatures) {
    throw new ZkLoraError(
      'STATEMENT_INVALID',
      `${x.length} activations do not make ${tokens} rows of ${inFeatures}; send one row for each token`,
    );
  }
  const y = out ?? new BigInt64Array(tokens * outFeatures);
  if (y.length !== tokens * outFeatures) {
    throw new ZkLoraError('INTERNAL', 'the place for the outputs has another size');
  }
  products ??= new ExactProduct();
  products.run(module, x, tokens, y);
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
  const words = new Int32Array(y.buffer, y.byteOffset, 2 * y.length);
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
      delta[i] = (words[2 * i + 1]! * TWO_32 + (words[2 * i]! >>> 0)) * factor;
    }
    // 2^63, rounded as its delta is: where that is finite, all are
    if (Number.isFinite(Math.fround(TWO_63 * factor))) continue;
    for (let i = token * outFeatures; i < (token + 1) * outFeatures; i++) {
      if (!Number.isFinite(delta[i]!)) {
        throw new ZkLoraError(
          'STATEMENT_INVALID',
          `a delta of token ${token} is beyond float32; the adapter or its scaling does not fit this model`,
        );
      }
    }
  }
  return delta;
}

function isExponent(value: number): boolean {
  return Number.isInteger(value) && value >= MIN_EXPONENT && value <= MAX_EXPONENT;
}

function isScaling(value: number): boolean {
  return Math.abs(value) >= MIN_SCALING && Math.abs(value) <= MAX_SCALING;
}

import { ZkLoraError } from '../errors.js';
import { ExactProduct, type OrderedWeights, orderWeights } from './exactProduct.js';
import { powerOfTwo } from './fixedPoint.js';
import { scaleRows } from './fixedPointRows.js';
import { MAX_EXPONENT, MAX_SCALING, MIN_EXPONENT, MIN_SCALING } from './limits.js';
import { assertFitsInt64, assertModuleShape } from './overflow.js';
import type { QuantizedModule } from './types.js';

/** Made at the first product. */
let products: ExactProduct | undefined;

/** The product with one module's weights, which are checked and put in order once. They do not change any more. */
export class ModuleProduct {
  readonly #module: QuantizedModule;
  readonly #weights: OrderedWeights;

  /** @throws ZkLoraError `ADAPTER_OVERFLOW`, `ADAPTER_MALFORMED` */
  constructor(module: QuantizedModule) {
    assertModuleShape(module);
    assertFitsInt64(module);
    this.#module = module;
    this.#weights = orderWeights(module);
  }

  /** Of the weights that it holds beside the module's own. */
  get bytes(): number {
    return this.#weights.a.byteLength + this.#weights.b.byteLength;
  }

  /**
   * Y = X A^T B^T over the integers, row-major `[tokens, outFeatures]`: exact for any int16 X (docs/protocol.md,
   * "Fixed point").
   *
   * @param x int16, row-major `[tokens, inFeatures]`.
   * @param out takes the result, for callers who have a place for it
   * @throws ZkLoraError `STATEMENT_INVALID` for a wrong length
   */
  apply(x: Int16Array, tokens: number, out?: BigInt64Array): BigInt64Array {
    const { inFeatures, outFeatures } = this.#module;
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
    products.run(this.#module, this.#weights, x, tokens, y);
    return y;
  }
}

/**
 * {@link ModuleProduct.apply} for who needs a module once.
 *
 * @throws ZkLoraError `STATEMENT_INVALID` for a wrong length, `ADAPTER_OVERFLOW`, `ADAPTER_MALFORMED`
 */
export function applyExact(
  module: QuantizedModule,
  x: Int16Array,
  tokens: number,
  out?: BigInt64Array,
): BigInt64Array {
  return new ModuleProduct(module).apply(x, tokens, out);
}

/**
 * delta = Y * 2^(e_x + e_A + e_B) * scaling, row-major `[tokens, outFeatures]`.
 *
 * Y is rounded to float64 once, multiplied by the (exact) power of two times scaling with one more rounding, and
 * rounded to float32: the same bits on every IEEE 754 machine.
 *
 * @param exponents e_x of each token, `[tokens]`.
 * @param accept sees the largest magnitude in Y of each token, rounded to float64, and may refuse them by an error
 * @throws ZkLoraError `STATEMENT_INVALID` for a wrong length, an exponent or scaling out of range, or a delta
 * beyond float32.
 */
export function scaleDelta(
  y: BigInt64Array,
  exponents: Int16Array,
  module: Pick<QuantizedModule, 'outFeatures' | 'aExponent' | 'bExponent' | 'scaling'>,
  accept?: (largest: Float64Array) => void,
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
  const factorOf = (token: number): number => {
    const exponent = exponents[token]!;
    if (!isExponent(exponent)) {
      throw new ZkLoraError(
        'STATEMENT_INVALID',
        `the exponent of token ${token} is out of range; quantise again`,
      );
    }
    return powerOfTwo(exponent + aExponent + bExponent) * scaling;
  };
  const { values, largest } = scaleRows(y, outFeatures, factorOf);
  accept?.(largest);
  for (let token = 0; token < exponents.length; token++) {
    // the largest one, rounded as its delta is: where that is finite, all are
    if (Number.isFinite(Math.fround(largest[token]! * factorOf(token)))) continue;
    throw new ZkLoraError(
      'STATEMENT_INVALID',
      `a delta of token ${token} is beyond float32; the adapter or its scaling does not fit this model`,
    );
  }
  return values;
}

function isExponent(value: number): boolean {
  return Number.isInteger(value) && value >= MIN_EXPONENT && value <= MAX_EXPONENT;
}

function isScaling(value: number): boolean {
  return Math.abs(value) >= MIN_SCALING && Math.abs(value) <= MAX_SCALING;
}

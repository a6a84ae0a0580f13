import { ZkLoraError } from '../errors.js';
import type { ActivationRows } from '../protocol/session.js';
import { exponentFor, type FixedPoint, maxMagnitude, powerOfTwo, quantizeInto } from './fixedPoint.js';
import { roundRows } from './fixedPointRows.js';
import { MAGNITUDE_BITS, MIN_MAGNITUDE_BITS } from './limits.js';
import { assertModuleShape, fitsInt64 } from './overflow.js';
import type { FloatModule } from './peft.js';
import { quoted } from './quoted.js';
import type { QuantizedModule } from './types.js';

/**
 * Rounds a module's matrices to int16 in [-32767, 32767] with one power-of-two exponent each (docs/protocol.md,
 * "Fixed point"): the finest grid that holds the largest weight, nearest integer, ties to even. A matrix of
 * zeros has exponent 0.
 *
 * Where outputs could leave int64 (see {@link fitsInt64}), the matrices lose one bit at a time, the one with
 * more bits first (B when equal), down to 12. The result depends on the weights alone.
 *
 * @throws ZkLoraError `ADAPTER_OVERFLOW` when 12 bits are still too many, `ADAPTER_MALFORMED` for NaN or infinite
 * weights or sizes that do not match the shape.
 */
export function quantizeModule(module: FloatModule): QuantizedModule {
  const { name, rank, inFeatures, outFeatures, scaling } = module;
  assertModuleShape({ name, rank, inFeatures, outFeatures, a: module.a, bT: module.b });
  const bT = transpose(module.b, outFeatures, rank);
  const maxA = finiteMax(module.a, name, 'A');
  const maxB = finiteMax(bT, name, 'B');
  let bitsA = MAGNITUDE_BITS;
  let bitsB = MAGNITUDE_BITS;
  let a = quantizeMatrix(module.a, maxA, bitsA);
  let b = quantizeMatrix(bT, maxB, bitsB);
  for (;;) {
    const quantized: QuantizedModule = {
      name,
      rank,
      inFeatures,
      outFeatures,
      a: a.integers,
      aExponent: a.exponent,
      bT: b.integers,
      bExponent: b.exponent,
      scaling,
    };
    if (fitsInt64(quantized)) return quantized;
    if (bitsB >= bitsA && bitsB > MIN_MAGNITUDE_BITS) b = quantizeMatrix(bT, maxB, --bitsB);
    else if (bitsA > MIN_MAGNITUDE_BITS) a = quantizeMatrix(module.a, maxA, --bitsA);
    else {
      throw new ZkLoraError(
        'ADAPTER_OVERFLOW',
        `outputs of module ${quoted(name)} can exceed 64 bits even with ${MIN_MAGNITUDE_BITS}-bit weights; lower its rank or leave it out`,
        { details: { module: name } },
      );
    }
  }
}

/**
 * Rounds activations, row-major `[tokens, features]`, to int16 in [-32767, 32767] with one power-of-two exponent
 * per row; same rounding as {@link quantizeModule}.
 *
 * @throws ZkLoraError `STATEMENT_INVALID` for NaN, infinite values or a wrong length.
 */
export function quantizeActivations(values: Float32Array, tokens: number, features: number): ActivationRows {
  if (values.length !== tokens * features) {
    throw new ZkLoraError(
      'STATEMENT_INVALID',
      `${values.length} activations do not make ${tokens} rows of ${features}; pass the layer's whole input`,
    );
  }
  const exponents = new Int16Array(tokens);
  const x = roundRows(values, features, (token, max) => {
    if (!Number.isFinite(max)) {
      throw new ZkLoraError(
        'STATEMENT_INVALID',
        `activations of token ${token} hold NaN or infinite values; check the base model and its input`,
      );
    }
    const exponent = exponentFor(max, MAGNITUDE_BITS);
    exponents[token] = exponent;
    return powerOfTwo(-exponent);
  });
  return { x, exponents };
}

function quantizeMatrix(values: Float32Array, max: number, bits: number): FixedPoint {
  const integers = new Int16Array(values.length);
  const exponent = exponentFor(max, bits);
  quantizeInto(integers, values, exponent);
  return { integers, exponent };
}

function finiteMax(values: Float32Array, name: string, matrix: 'A' | 'B'): number {
  const max = maxMagnitude(values);
  if (Number.isFinite(max)) return max;
  throw new ZkLoraError(
    'ADAPTER_MALFORMED',
    `module ${quoted(name)} has NaN or infinite values in lora_${matrix}; train or save the adapter again`,
    { details: { module: name } },
  );
}

/** Row-major `[rows, columns]` to row-major `[columns, rows]`. */
function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++)
      out[column * rows + row] = values[row * columns + column]!;
  }
  return out;
}

import { ZkLoraError } from '../errors.js';
import { MAX_FEATURES, MAX_RANK } from './limits.js';
import { quoted } from './quoted.js';
import type { QuantizedModule } from './types.js';

/**
 * max_i sum_j |B_ij| * |A_j|_1 must stay below this: times the 2^15 of an activation's magnitude it bounds every
 * output below 2^63 (docs/protocol.md, "Fixed point").
 */
export const OUTPUT_BOUND = 2 ** 48;

/**
 * max over outputs i of sum_j |B_ij| * |A_j|_1: the largest output, for activations of magnitude 1.
 *
 * Exact wherever the result is below 2^53: |A_j|_1 <= 2^35 and each term <= 2^50 are exact float64 values.
 */
export function outputBound({ rank, inFeatures, outFeatures, a, bT }: QuantizedModule): number {
  const sums = new Float64Array(outFeatures);
  for (let j = 0; j < rank; j++) {
    let norm = 0;
    for (let i = j * inFeatures; i < (j + 1) * inFeatures; i++) norm += Math.abs(a[i]!);
    const row = j * outFeatures;
    for (let i = 0; i < outFeatures; i++) sums[i]! += Math.abs(bT[row + i]!) * norm;
  }
  let max = 0;
  for (let i = 0; i < outFeatures; i++) max = Math.max(max, sums[i]!);
  return max;
}

/** Whether no int16 activations can make an output of the module leave [-2^63 + 1, 2^63 - 1]. */
export function fitsInt64(module: QuantizedModule): boolean {
  return outputBound(module) < OUTPUT_BOUND;
}

/** @throws ZkLoraError `ADAPTER_OVERFLOW` unless {@link fitsInt64}. */
export function assertFitsInt64(module: QuantizedModule): void {
  if (fitsInt64(module)) return;
  throw new ZkLoraError(
    'ADAPTER_OVERFLOW',
    `outputs of module ${quoted(module.name)} can exceed 64 bits; quantise it with fewer bits or lower its rank`,
    { details: { module: module.name } },
  );
}

/** Names, sizes and matrices of a module, in floats or integers. */
interface ModuleShape extends Pick<QuantizedModule, 'name' | 'rank' | 'inFeatures' | 'outFeatures'> {
  readonly a: { readonly length: number };
  readonly bT: { readonly length: number };
}

/** @throws ZkLoraError `ADAPTER_MALFORMED` unless sizes are in range and the matrices have them. */
export function assertModuleShape(module: ModuleShape): void {
  const { name, rank, inFeatures, outFeatures, a, bT } = module;
  const sane =
    isSize(rank, MAX_RANK) && isSize(inFeatures, MAX_FEATURES) && isSize(outFeatures, MAX_FEATURES);
  if (sane && a.length === rank * inFeatures && bT.length === rank * outFeatures) return;
  throw new ZkLoraError(
    'ADAPTER_MALFORMED',
    `module ${quoted(name)} has sizes out of range or matrices of another size; read the adapter again`,
    { details: { module: name } },
  );
}

function isSize(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= max;
}

import { ZkLoraError } from '../errors.js';
import { type ExactKernels, exactKernels, FEATURES, LIMB_BYTES, OUTPUTS, RANKS } from './exactKernels.js';
import { joinRows, reserve, spreadRows } from './kernelMemory.js';
import { quoted } from './quoted.js';
import type { QuantizedModule } from './types.js';

/** Activations and sums in the kernels' memory at a time, in bytes, unless one token needs more. */
const BLOCK_BYTES = 2 ** 20;

/** The one weight that int16 has and the grid has not: its products could pass the kernels' sums. */
const OFF_GRID = -(2 ** 15);

/** Where everything lies in the kernels' memory, and how many tokens fit. */
interface Layout {
  readonly tokens: number;
  readonly featureBlocks: number;
  readonly outputBlocks: number;
  readonly x: number;
  readonly a: number;
  readonly b: number;
  readonly z: number;
  readonly y: number;
  readonly end: number;
}

/** Matrices of a module in the order in which the kernels read them: eight ranks, then the next eight. */
export interface OrderedWeights {
  readonly a: Int16Array;
  readonly b: Int16Array;
}

/**
 * Puts a module's matrices into the kernels' order; ranks, features and outputs are filled up with zeros.
 *
 * @throws ZkLoraError `ADAPTER_MALFORMED` for a weight of -32768
 */
export function orderWeights(module: QuantizedModule): OrderedWeights {
  const { rank, inFeatures, outFeatures, a, bT, name } = module;
  const groups = Math.ceil(rank / RANKS);
  const aLength = Math.ceil(inFeatures / FEATURES) * FEATURES * RANKS;
  const bLength = Math.ceil(outFeatures / OUTPUTS) * OUTPUTS * RANKS;
  const ordered = { a: new Int16Array(groups * aLength), b: new Int16Array(groups * bLength) };
  for (let j = 0; j < rank; j++) {
    const row = j % RANKS;
    const rows = ordered.a.subarray(((j - row) / RANKS) * aLength);
    for (let i = 0; i < inFeatures; i++) {
      const weight = a[j * inFeatures + i]!;
      if (weight === OFF_GRID) throw offGrid(name);
      rows[((i >> 3) * RANKS + row) * FEATURES + (i & 7)] = weight;
    }
    const columns = ordered.b.subarray(((j - row) / RANKS) * bLength);
    const pair = row >> 1;
    for (let i = 0; i < outFeatures; i++) {
      const weight = bT[j * outFeatures + i]!;
      if (weight === OFF_GRID) throw offGrid(name);
      columns[((i >> 2) * (RANKS / 2) + pair) * 2 * OUTPUTS + 2 * (i & 3) + (row & 1)] = weight;
    }
  }
  return ordered;
}

/** Products over the integers, made in a memory of its own that is used again. */
export class ExactProduct {
  readonly #kernels: ExactKernels = exactKernels();

  /**
   * Writes X A^T B^T into `y`; sizes have been checked, and that outputs fit int64.
   *
   * @param weights the module's
   */
  run(
    module: Pick<QuantizedModule, 'rank' | 'inFeatures' | 'outFeatures'>,
    weights: OrderedWeights,
    x: Int16Array,
    tokens: number,
    y: BigInt64Array,
  ): void {
    const { rank, inFeatures, outFeatures } = module;
    const layout = layoutOf(module, tokens);
    const { memory, functions } = this.#kernels;
    reserve(memory, layout.end);
    const features = layout.featureBlocks * FEATURES;
    const outputs = layout.outputBlocks * OUTPUTS;
    for (let first = 0; first < tokens; first += layout.tokens) {
      const count = Math.min(layout.tokens, tokens - first);
      const rows = this.#int16(layout.x, count * features);
      if (features !== inFeatures) rows.fill(0);
      spreadRows(rows, x.subarray(first * inFeatures, (first + count) * inFeatures), inFeatures, features);
      for (let group = 0; group * RANKS < rank; group++) {
        this.#put(layout.a, weights.a, group, features * RANKS);
        this.#put(layout.b, weights.b, group, outputs * RANKS);
        functions.project(layout.x, layout.a, layout.featureBlocks, count, layout.z);
        const combine = group === 0 ? functions.combine : functions.combineMore;
        combine(layout.z, layout.b, layout.outputBlocks, count, layout.y);
      }
      const sums = new BigInt64Array(memory.buffer, layout.y, count * outputs);
      joinRows(y.subarray(first * outFeatures, (first + count) * outFeatures), sums, outFeatures, outputs);
    }
  }

  #int16(at: number, length: number): Int16Array {
    return new Int16Array(this.#kernels.memory.buffer, at, length);
  }

  #put(at: number, weights: Int16Array, group: number, length: number): void {
    this.#int16(at, length).set(weights.subarray(group * length, (group + 1) * length));
  }
}

/** Everything begins at a multiple of 16 bytes. */
function layoutOf(
  { inFeatures, outFeatures }: Pick<QuantizedModule, 'inFeatures' | 'outFeatures'>,
  tokens: number,
): Layout {
  const featureBlocks = Math.ceil(inFeatures / FEATURES);
  const outputBlocks = Math.ceil(outFeatures / OUTPUTS);
  const xBytes = 2 * featureBlocks * FEATURES;
  const yBytes = 8 * outputBlocks * OUTPUTS;
  const fit = Math.max(1, Math.min(tokens, Math.floor(BLOCK_BYTES / (xBytes + yBytes + LIMB_BYTES))));
  const x = 0;
  const a = x + fit * xBytes;
  const b = a + xBytes * RANKS;
  const z = b + 2 * outputBlocks * OUTPUTS * RANKS;
  const y = z + fit * LIMB_BYTES;
  return { tokens: fit, featureBlocks, outputBlocks, x, a, b, z, y, end: y + fit * yBytes };
}

function offGrid(name: string): ZkLoraError {
  return new ZkLoraError(
    'ADAPTER_MALFORMED',
    `module ${quoted(name)} has a weight of -32768, which quantisation does not give; quantise the adapter again`,
    { details: { module: name } },
  );
}

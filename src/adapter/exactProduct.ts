import { PAGE_BYTES } from '../algebra/wasmModule.js';
import { ZkLoraError } from '../errors.js';
import { type ExactKernels, exactKernels, FEATURES, LIMB_BYTES, OUTPUTS, RANKS } from './exactKernels.js';
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

/** Products over the integers, made in a memory of its own that is used again. */
export class ExactProduct {
  readonly #kernels: ExactKernels = exactKernels();

  /**
   * Writes X A^T B^T into `y`; sizes have been checked, and that outputs fit int64.
   *
   * @throws ZkLoraError `ADAPTER_MALFORMED` for a weight of -32768
   */
  run(module: QuantizedModule, x: Int16Array, tokens: number, y: BigInt64Array): void {
    const layout = layoutOf(module, tokens);
    this.#reserve(layout.end);
    for (let first = 0; first < tokens; first += layout.tokens) {
      const count = Math.min(layout.tokens, tokens - first);
      this.#putActivations(layout, module, x, first, count);
      for (let rank = 0; rank < module.rank; rank += RANKS) {
        this.#putWeights(layout, module, rank);
        const { functions } = this.#kernels;
        functions.project(layout.x, layout.a, layout.featureBlocks, count, layout.z);
        const combine = rank === 0 ? functions.combine : functions.combineMore;
        combine(layout.z, layout.b, layout.outputBlocks, count, layout.y);
      }
      this.#takeOutputs(layout, module, y, first, count);
    }
  }

  #reserve(bytes: number): void {
    const { memory } = this.#kernels;
    const missing = bytes - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES));
  }

  #int16(at: number, length: number): Int16Array {
    return new Int16Array(this.#kernels.memory.buffer, at, length);
  }

  /** Rows padded with zeros to whole blocks. */
  #putActivations(
    { x: at, featureBlocks }: Layout,
    { inFeatures }: QuantizedModule,
    x: Int16Array,
    first: number,
    count: number,
  ): void {
    const width = featureBlocks * FEATURES;
    const out = this.#int16(at, count * width);
    const rows = x.subarray(first * inFeatures, (first + count) * inFeatures);
    if (width === inFeatures) {
      out.set(rows);
      return;
    }
    for (let row = 0; row < count; row++) {
      out.set(rows.subarray(row * inFeatures, (row + 1) * inFeatures), row * width);
      out.fill(0, row * width + inFeatures, (row + 1) * width);
    }
  }

  /** Eight ranks from `rank` on, those that the module lacks zero, in the kernels' order. */
  #putWeights(layout: Layout, module: QuantizedModule, rank: number): void {
    const { inFeatures, outFeatures, a, bT, name } = module;
    const count = Math.min(RANKS, module.rank - rank);
    const rows = this.#int16(layout.a, layout.featureBlocks * FEATURES * RANKS).fill(0);
    for (let row = 0; row < count; row++) {
      const from = (rank + row) * inFeatures;
      for (let i = 0; i < inFeatures; i++) {
        const weight = a[from + i]!;
        if (weight === OFF_GRID) throw offGrid(name);
        rows[((i >> 3) * RANKS + row) * FEATURES + (i & 7)] = weight;
      }
    }
    const columns = this.#int16(layout.b, layout.outputBlocks * OUTPUTS * RANKS).fill(0);
    for (let row = 0; row < count; row++) {
      const from = (rank + row) * outFeatures;
      const pair = row >> 1;
      for (let i = 0; i < outFeatures; i++) {
        const weight = bT[from + i]!;
        if (weight === OFF_GRID) throw offGrid(name);
        columns[((i >> 2) * (RANKS / 2) + pair) * 2 * OUTPUTS + 2 * (i & 3) + (row & 1)] = weight;
      }
    }
  }

  #takeOutputs(
    { y: at, outputBlocks }: Layout,
    { outFeatures }: QuantizedModule,
    y: BigInt64Array,
    first: number,
    count: number,
  ): void {
    const width = outputBlocks * OUTPUTS;
    const sums = new BigInt64Array(this.#kernels.memory.buffer, at, count * width);
    if (width === outFeatures) {
      y.set(sums, first * outFeatures);
      return;
    }
    for (let row = 0; row < count; row++) {
      y.set(sums.subarray(row * width, row * width + outFeatures), (first + row) * outFeatures);
    }
  }
}

/** Everything begins at a multiple of 16 bytes. */
function layoutOf({ inFeatures, outFeatures }: QuantizedModule, tokens: number): Layout {
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

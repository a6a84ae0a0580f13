import { joinRows, reserve, spreadRows } from './kernelMemory.js';
import { ROUND_BLOCK, ROW_BYTES, type RowKernels, rowKernels, SCALE_BLOCK } from './rowKernels.js';

/** Rows in the kernels' memory at a time, in bytes, unless one row needs more: they stay near the processor. */
const BLOCK_BYTES = 2 ** 18;

/** Float64 values of what belongs to a row. */
const ROW_DOUBLES = ROW_BYTES / 8;

/** Made at the first use. */
let kernels: RowKernels | undefined;

/** Rows that are worked on together, and where they lie in the kernels' memory. */
interface Block {
  /** Number of the first row, and how many there are. */
  readonly first: number;
  readonly rows: number;
  /** Of one padded row: blocks of the kernels, and values. */
  readonly blocks: number;
  readonly padded: number;
  /** Addresses of the values that go in and come out, and of what belongs to each row. */
  readonly from: number;
  readonly to: number;
  readonly factors: number;
  readonly results: number;
}

interface Shape {
  readonly rows: number;
  /** Values of a row. */
  readonly width: number;
  /** Values that the kernels take at a time. */
  readonly block: number;
  /** Of one value that goes in, and of one that comes out. */
  readonly inBytes: number;
  readonly outBytes: number;
}

/** Rows in blocks that fit the kernels' memory, which is large enough and zero where rows are padded. */
function* blocksOf(
  { rows, width, block, inBytes, outBytes }: Shape,
  { memory }: RowKernels,
): Generator<Block> {
  const blocks = Math.ceil(width / block);
  const padded = blocks * block;
  const bytes = padded * (inBytes + outBytes) + 2 * ROW_BYTES;
  const fit = Math.max(1, Math.min(rows, Math.floor(BLOCK_BYTES / bytes)));
  const to = fit * padded * inBytes;
  const factors = to + fit * padded * outBytes;
  const results = factors + fit * ROW_BYTES;
  reserve(memory, results + fit * ROW_BYTES);
  if (padded !== width) new Uint8Array(memory.buffer, 0, to).fill(0);
  for (let first = 0; first < rows; first += fit) {
    yield { first, rows: Math.min(fit, rows - first), blocks, padded, from: 0, to, factors, results };
  }
}

/**
 * Nearest integers (ties to even) to values times their row's factor, a power of two.
 *
 * @param values `[rows, width]`
 * @param factorOf tells a row's factor from the largest magnitude in it, which is NaN or infinite when any value is; the
 * integers have to fit int16
 */
export function roundRows(
  values: Float32Array,
  width: number,
  factorOf: (row: number, max: number) => number,
): Int16Array {
  kernels ??= rowKernels();
  const { memory, functions } = kernels;
  const x = new Int16Array(values.length);
  const shape = { rows: rowsOf(values, width), width, block: ROUND_BLOCK, inBytes: 4, outBytes: 2 };
  for (const { first, rows, blocks, padded, from, to, factors, results } of blocksOf(shape, kernels)) {
    const [begin, end] = [first * width, (first + rows) * width];
    const given = values.subarray(begin, end);
    spreadRows(new Float32Array(memory.buffer, from, rows * padded), given, width, padded);
    functions.largest(from, blocks, rows, results);
    const lanes = new Float32Array(memory.buffer, results, 4 * rows);
    const factor = new Float64Array(memory.buffer, factors, ROW_DOUBLES * rows);
    for (let row = 0; row < rows; row++) {
      const at = 4 * row;
      const max = Math.max(lanes[at]!, lanes[at + 1]!, lanes[at + 2]!, lanes[at + 3]!);
      factor[ROW_DOUBLES * row] = factorOf(first + row, max);
    }
    functions.round(from, factors, blocks, rows, to);
    joinRows(x.subarray(begin, end), new Int16Array(memory.buffer, to, rows * padded), width, padded);
  }
  return x;
}

/** Sums of the magnitudes of each row. @param x `[rows, width]` */
export function magnitudeSums(x: Int16Array, width: number): Float64Array {
  kernels ??= rowKernels();
  const { memory, functions } = kernels;
  const shape = { rows: rowsOf(x, width), width, block: ROUND_BLOCK, inBytes: 2, outBytes: 0 };
  const sums = new Float64Array(shape.rows);
  for (const { first, rows, blocks, padded, from, results } of blocksOf(shape, kernels)) {
    const given = x.subarray(first * width, (first + rows) * width);
    spreadRows(new Int16Array(memory.buffer, from, rows * padded), given, width, padded);
    functions.sums(from, blocks, rows, results);
    const words = new Uint32Array(memory.buffer, results, 4 * rows);
    // below 2^35: 2^20 features
    for (let row = 0; row < rows; row++) sums[first + row] = words[4 * row]! + words[4 * row + 1]! * 2 ** 32;
  }
  return sums;
}

/** Integers in floating point. */
export interface ScaledRows {
  /** float32, as `[rows, width]`; infinite beyond it. */
  readonly values: Float32Array<ArrayBuffer>;
  /** Largest magnitude of each row's integers, rounded to float64. */
  readonly largest: Float64Array;
}

/**
 * Each integer rounded to float64, times its row's factor in float64, rounded to float32.
 *
 * @param y `[rows, width]`
 */
export function scaleRows(y: BigInt64Array, width: number, factorOf: (row: number) => number): ScaledRows {
  kernels ??= rowKernels();
  const { memory, functions } = kernels;
  const shape = { rows: rowsOf(y, width), width, block: SCALE_BLOCK, inBytes: 8, outBytes: 4 };
  const values = new Float32Array(y.length);
  const largest = new Float64Array(shape.rows);
  for (const { first, rows, blocks, padded, from, to, factors, results } of blocksOf(shape, kernels)) {
    const [begin, end] = [first * width, (first + rows) * width];
    const given = y.subarray(begin, end);
    spreadRows(new BigInt64Array(memory.buffer, from, rows * padded), given, width, padded);
    const factor = new Float64Array(memory.buffer, factors, ROW_DOUBLES * rows);
    for (let row = 0; row < rows; row++) factor[ROW_DOUBLES * row] = factorOf(first + row);
    functions.scale(from, factors, blocks, rows, to, results);
    const lanes = new Float64Array(memory.buffer, results, ROW_DOUBLES * rows);
    for (let row = 0; row < rows; row++) {
      largest[first + row] = Math.max(lanes[ROW_DOUBLES * row]!, lanes[ROW_DOUBLES * row + 1]!);
    }
    joinRows(values.subarray(begin, end), new Float32Array(memory.buffer, to, rows * padded), width, padded);
  }
  return { values, largest };
}

function rowsOf({ length }: { readonly length: number }, width: number): number {
  return length === 0 ? 0 : length / width;
}

import { PAGE_BYTES } from '../../algebra/wasmModule.js';
import { type BlockKernels, blockKernels, ROWS, VECTORS, WIDTH } from './blockKernels.js';
import type { Turns } from './turns.js';

/** Bytes of a number. */
const NUMBER = 8;

/** Rows of a block in the kernels' memory, in bytes: 32 rows of 16,384 places. */
const MAX_BLOCK_BYTES = 2 ** 22;

/** More rows make the vectors' way to the kernels cheaper, and leave more to do for each row against those of the block itself. */
const MAX_BLOCK_ROWS = 32;

/** Vectors that the kernels take in one call: about what a cache holds beside the rows. */
const PANEL_BYTES = 2 ** 18;
const MAX_PANEL_VECTORS = 64;

/** Rows do not begin at the same place of a page: a cache has few lines for each place. */
const GAP = 64;

/** Rows of this many places that are worked on together; fewer than four are not worth a block. */
export function blockRows(width: number): number {
  return Math.min(MAX_BLOCK_ROWS, Math.floor(MAX_BLOCK_BYTES / strideOf(width)));
}

/** Each with a memory of its own, some megabytes; used again. One for each block that is being worked on. */
const idle: BlockKernels[] = [];

/**
 * Takes the parts along orthonormal vectors off rows: one pass of Gram-Schmidt, by panels of vectors.
 *
 * @param rows changed in place; equally wide
 * @param vectors no wider than the rows, missing places being zeros
 * @param coordinates of each row, `[vectors]`; the parts that were taken off are added
 */
export async function takeOff(
  rows: readonly Float64Array[],
  vectors: readonly Float64Array[],
  coordinates: readonly Float64Array[],
  turns: Turns,
): Promise<void> {
  if (rows.length === 0) return;
  const kernels = idle.pop() ?? blockKernels();
  try {
    const width = padded(rows[0]!.length, WIDTH);
    const stride = strideOf(width);
    const count = padded(rows.length, ROWS);
    const panel = Math.min(MAX_PANEL_VECTORS, padded(Math.floor(PANEL_BYTES / stride), VECTORS) || VECTORS);
    const [v, c] = [count * stride, (count + panel) * stride];
    reserve(kernels, c + count * panel * NUMBER);
    put(kernels, 0, rows, count, width, stride);
    for (let first = 0; first < vectors.length; first += panel) {
      const some = vectors.slice(first, first + panel);
      const many = padded(some.length, VECTORS);
      put(kernels, v, some, many, width, stride);
      kernels.functions.project(0, v, count, many, width, stride, c);
      kernels.functions.subtract(0, v, count, many, width, stride, c);
      for (const [i, own] of coordinates.entries()) {
        const parts = floats(kernels, c + i * many * NUMBER, some.length);
        for (let k = 0; k < parts.length; k++) own[first + k]! += parts[k]!;
      }
      await turns.did(2 * count * many * width);
    }
    for (const [i, row] of rows.entries()) row.set(floats(kernels, i * stride, row.length));
  } finally {
    idle.push(kernels);
  }
}

/** Copies rows, with zeros after each and as further rows. */
function put(
  kernels: BlockKernels,
  at: number,
  rows: readonly Float64Array[],
  count: number,
  width: number,
  stride: number,
): void {
  for (let i = 0; i < count; i++) {
    const place = floats(kernels, at + i * stride, width);
    const row = rows[i];
    if (row !== undefined) place.set(row);
    place.fill(0, row?.length ?? 0);
  }
}

function floats(kernels: BlockKernels, at: number, length: number): Float64Array {
  return new Float64Array(kernels.memory.buffer, at, length);
}

function reserve({ memory }: BlockKernels, bytes: number): void {
  const missing = bytes - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES));
}

function padded(count: number, to: number): number {
  return Math.ceil(count / to) * to;
}

function strideOf(width: number): number {
  return padded(width, WIDTH) * NUMBER + GAP;
}

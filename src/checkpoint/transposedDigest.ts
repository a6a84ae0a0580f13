import { createHash } from 'node:crypto';
import { DTYPE_BYTES } from '../adapter/dtype.js';
import { ZkLoraError } from '../errors.js';
import { TRANSPOSE_BYTES } from './limits.js';
import type { TensorSource } from './tensorSource.js';

/**
 * SHA-256 of the transpose of a matrix, hex: of its elements column by column.
 *
 * The matrix is read once for every {@link TRANSPOSE_BYTES} of it; no more than that is in memory.
 *
 * @param tensor two-dimensional, `[rows, columns]`
 * @throws ZkLoraError as its stream does, `INTERNAL` for another number of dimensions
 */
export async function transposedDigest(tensor: TensorSource, memory = TRANSPOSE_BYTES): Promise<string> {
  const [rows, columns] = tensor.shape;
  if (rows === undefined || columns === undefined || tensor.shape.length !== 2) {
    throw new ZkLoraError('INTERNAL', 'only matrices are transposed');
  }
  const size = DTYPE_BYTES[tensor.dtype];
  const hash = createHash('sha256');
  // without elements a side may have any length
  if (tensor.bytes === 0) return hash.digest('hex');
  const columnBytes = rows * size;
  const block = Math.max(1, Math.floor(memory / columnBytes));
  for (let first = 0; first < columns; first += block) {
    const width = Math.min(block, columns - first);
    const out = new Uint8Array(width * columnBytes);
    let at = 0;
    await tensor.stream((piece) => {
      scatter(piece, at, out, { first, width, columns, rows, size });
      at += piece.length;
    });
    hash.update(out);
  }
  return hash.digest('hex');
}

interface Block {
  /** First column of the block, and how many it has. */
  readonly first: number;
  readonly width: number;
  readonly columns: number;
  readonly rows: number;
  /** Bytes of an element. */
  readonly size: number;
}

/** Writes the bytes of a piece that lie in the block's columns to their transposed places; pieces may cut elements. */
function scatter(
  piece: Uint8Array,
  at: number,
  out: Uint8Array,
  { first, width, columns, rows, size }: Block,
): void {
  const rowBytes = columns * size;
  for (let i = 0; i < piece.length; ) {
    const row = Math.floor((at + i) / rowBytes);
    const inRow = (at + i) % rowBytes;
    const from = Math.max(inRow, first * size);
    const to = Math.min(inRow + piece.length - i, rowBytes, (first + width) * size);
    for (let byte = from; byte < to; byte++) {
      const column = Math.floor(byte / size) - first;
      out[(column * rows + row) * size + (byte % size)] = piece[i + byte - inRow]!;
    }
    i += rowBytes - inRow;
  }
}

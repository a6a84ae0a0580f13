import { toBytes } from '../littleEndian.js';
import type { BlockQueue } from './blockQueue.js';
import type { Engine } from './engine.js';
import { PLANE_ELEMENTS } from './limbKernels.js';
import { combineTask, type RowsToCombine } from './limbs.js';
import { SCALAR_BYTES } from './scalar.js';
import { addVectors, type FieldVector, subVector, vectorLength, zeroVector } from './vector.js';

/** Bytes of rows that are held back in all, so that more of them are combined at once. */
const HELD_BYTES = 2 ** 25;

/** Rows held back of one matrix: from here on it is the rows that cost, and not the columns of their sum. */
const MAX_HELD_ROWS = 64;

/** The rows of one matrix that wait for more. */
interface Held {
  readonly bytes: Uint8Array;
  readonly weights: FieldVector;
  rows: number;
}

/**
 * `sum_r w[r] matrix[r, c]` for all columns of some matrices of int16 that come in pieces. What a sum takes for each
 * column is as much as for tens of rows: so the rows of short pieces are copied and wait for more.
 */
export class RowSums {
  /** By matrix; undefined while nothing came. */
  readonly sums: (FieldVector | undefined)[];
  readonly #engine: Engine;
  readonly #queue: BlockQueue;
  readonly #cols: readonly number[];
  readonly #most: number;
  readonly #held: (Held | undefined)[] = [];
  /** What makes up the next task. */
  #pack: (RowsToCombine & { readonly matrix: number })[] = [];
  #packBytes = 0;

  /** @param cols width of each matrix */
  constructor(engine: Engine, queue: BlockQueue, cols: readonly number[]) {
    this.#engine = engine;
    this.#queue = queue;
    this.#cols = cols;
    this.sums = cols.map(() => undefined);
    const rowBytes = 2 * cols.reduce((sum, width) => sum + width, 0);
    this.#most = Math.min(Math.floor(HELD_BYTES / rowBytes), MAX_HELD_ROWS);
  }

  /**
   * Adds rows to one of the matrices: once, before {@link RowSums.flush} and until nothing of the queue waits.
   *
   * @param rows row-major, as many as weights; they stay as they are for so long
   */
  add(matrix: number, rows: Int16Array, weights: FieldVector): void {
    const count = vectorLength(weights);
    const bytes = toBytes(rows);
    if (2 * count > this.#most) {
      this.#combine(matrix, bytes, weights);
      return;
    }
    const rowBytes = 2 * this.#cols[matrix]!;
    let held = this.#held[matrix];
    if (held && held.rows + count > this.#most) {
      this.#release(matrix);
      // that memory is still to be looked at
      held = undefined;
    }
    held ??= { bytes: new Uint8Array(this.#most * rowBytes), weights: zeroVector(this.#most), rows: 0 };
    this.#held[matrix] = held;
    held.bytes.set(bytes, held.rows * rowBytes);
    held.weights.set(weights, held.rows * SCALAR_BYTES);
    held.rows += count;
    // the next ones may be as many; they come when nobody looks at these any more
    if (held.rows + count > this.#most) this.#release(matrix);
  }

  /** Sends off what does not fill a block, but for the rows that wait for more. */
  flush(): void {
    const pack = this.#pack;
    if (pack.length === 0) return;
    this.#pack = [];
    this.#packBytes = 0;
    this.#queue.add(
      combineTask(this.#engine, pack, (combined) => {
        combined.forEach((part, i) => {
          const { matrix } = pack[i]!;
          const sum = this.sums[matrix];
          this.sums[matrix] = sum ? addVectors(this.#engine, sum, part) : part;
        });
      }),
    );
  }

  /** Sends off all that came. */
  end(): void {
    for (const matrix of this.#held.keys()) this.#release(matrix);
    this.flush();
  }

  #release(matrix: number): void {
    const held = this.#held[matrix];
    if (!held || held.rows === 0) return;
    const bytes = held.bytes.subarray(0, 2 * this.#cols[matrix]! * held.rows);
    this.#combine(matrix, bytes, subVector(held.weights, 0, held.rows));
    held.rows = 0;
  }

  #combine(matrix: number, bytes: Uint8Array, weights: FieldVector): void {
    const cols = this.#cols[matrix]!;
    const rowBytes = 2 * cols;
    const { blockBytes } = this.#queue;
    const most = Math.max(1, Math.floor(blockBytes / (rowBytes * PLANE_ELEMENTS))) * PLANE_ELEMENTS;
    const rows = vectorLength(weights);
    for (let from = 0; from < rows; from += most) {
      const count = Math.min(most, rows - from);
      if (this.#packBytes + count * rowBytes > blockBytes) this.flush();
      this.#pack.push({
        matrix,
        coefficients: subVector(weights, from, count),
        pieces: [bytes.subarray(from * rowBytes, (from + count) * rowBytes)],
        cols,
      });
      this.#packBytes += count * rowBytes;
    }
  }
}

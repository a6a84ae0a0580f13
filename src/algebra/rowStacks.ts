/**
 * Folds of integer matrices, sum_r w[r] sum_c matrix[r, c] v[c], of many matrices at once: rows of one width are
 * stacked in blocks, whatever matrix they are of.
 */
import { toBytes } from '../littleEndian.js';
import { BLOCK_BYTES, type BlockQueue, sharedMemory } from './blockQueue.js';
import { BLOCK } from './blockTask.js';
import { callStep, type TaskStep } from './curve.js';
import type { Engine } from './engine.js';
import { CUT_ENTRIES, LONG_DIGITS, MULTIPLY_COLUMNS, MULTIPLY_ROWS, SUM_DIVISOR } from './limbKernels.js';
import { type LimbPlanes, planesFor, toLimbs } from './limbs.js';
import { SCALAR_BYTES } from './scalar.js';
import { type FieldVector, subVector, vectorFromScalars, vectorLength, vectorToScalars } from './vector.js';

/** Rows of a stack that a block for workers has room for: planes are copied for each, as long as five rows of int64. */
const MIN_ROWS = 16;

/** Columns up to which workers fold rows: planes and digits then take 2.5 MiB each at most. */
const MAX_SHARED_COLUMNS = BLOCK_BYTES / (8 * MULTIPLY_ROWS);

/** Weights and sums of a row take 64 bytes. */
const MAX_ROWS = 2 ** 12;

/** Entries of int64 rows that are cut into digits at a time: entries and digits stay in a core's cache. */
const LONG_CHUNK = 2 ** 15;

/** What a digit of an int64 counts more than the one below it. */
const RADIX = 2n ** 16n;

/** Variables of the steps. */
const [TAIL, WEIGHTS, SUMS, FACTORS, OUT, DIGITS, DIGIT_SUMS, FLAG, PLANES] = [1, 2, 3, 4, 5, 6, 7, 8, 9];

/** A vector that rows of any width up to its length are folded with; its planes are kept once for all widths. */
export class FoldVector {
  #limbs: LimbPlanes;
  /** Where the planes are once a worker needed them. */
  #memory: SharedArrayBuffer | undefined;

  constructor(
    readonly engine: Engine,
    vector: FieldVector,
  ) {
    this.#limbs = toLimbs(engine, vector);
  }

  /**
   * Pieces of planes of the first `cols` elements, as {@link planesFor} has them.
   *
   * @param shared whether a worker is sent them: then in memory that a message need not copy, where there is any
   */
  planes(cols: number, shared: boolean): (Uint8Array | SharedArrayBuffer)[] {
    if (shared && !this.#memory) this.#share();
    const [blocks, ...last] = planesFor(this.engine, this.#limbs, cols);
    if (!shared) return [blocks!, ...last];
    // a worker copies a view once more than it does all memory; a message has all memory of a view that is not shared
    if (this.#memory)
      return [blocks!.byteLength === this.#memory.byteLength ? this.#memory : blocks!, ...last];
    return [blocks!.slice(), ...last];
  }

  #share(): void {
    const { planes, vector } = this.#limbs;
    this.#memory = sharedMemory(planes.byteLength);
    if (!this.#memory) return;
    const copy = new Uint8Array(this.#memory);
    copy.set(planes);
    this.#limbs = { planes: copy, vector };
  }
}

/** Consecutive rows of one matrix, whose sum is wanted. */
interface Part {
  readonly bytes: Uint8Array;
  readonly weights: FieldVector;
  readonly take: (sum: bigint) => void;
}

/** Rows of one width and kind, added matrix by matrix; whole stacks go to a queue. */
export class RowStacks {
  readonly #rowBytes: number;
  readonly #most: number;
  #parts: Part[] = [];
  #rows = 0;

  constructor(
    private readonly queue: BlockQueue,
    private readonly vector: FoldVector,
    private readonly cols: number,
    private readonly entries: 'int16' | 'int64',
  ) {
    this.#rowBytes = (entries === 'int64' ? 8 : 2) * cols;
    const fewest = Math.min(MIN_ROWS, BLOCK_BYTES / this.#rowBytes);
    const rows = Math.min(Math.max(queue.blockBytes / this.#rowBytes, fewest), MAX_ROWS);
    this.#most = Math.max(1, Math.floor(rows / MULTIPLY_ROWS)) * MULTIPLY_ROWS;
  }

  /**
   * Folds one matrix more. Its sum may come in parts.
   *
   * @param matrix row-major, as many rows as weights, of the kind and width of the stack, -2^63 excluded; stays as it is
   * until the queue is done
   * @param take is given what to add to the sum
   */
  add(matrix: Int16Array | BigInt64Array, weights: FieldVector, take: (sum: bigint) => void): void {
    const rows = vectorLength(weights);
    const bytes = toBytes(matrix);
    for (let from = 0; from < rows; ) {
      const count = Math.min(rows - from, this.#most - this.#rows);
      this.#parts.push({
        bytes: bytes.subarray(from * this.#rowBytes, (from + count) * this.#rowBytes),
        weights: subVector(weights, from, count),
        take,
      });
      this.#rows += count;
      from += count;
      if (this.#rows === this.#most) this.flush();
    }
  }

  /** Sends off the rows that do not fill a block. */
  flush(): void {
    const parts = this.#parts;
    if (parts.length === 0) return;
    const rows = this.#rows;
    this.#parts = [];
    this.#rows = 0;
    const { engine } = this.vector;
    const weights = new Uint8Array(rows * SCALAR_BYTES);
    const dots: TaskStep[] = [];
    let row = 0;
    parts.forEach((part, i) => {
      weights.set(part.weights, row * SCALAR_BYTES);
      const [own, count] = [row * SCALAR_BYTES, vectorLength(part.weights)];
      dots.push(
        callStep(
          'zk_dot',
          { var: SUMS, offset: own },
          { var: WEIGHTS, offset: own },
          { val: count },
          { var: OUT, offset: i * SCALAR_BYTES },
        ),
      );
      row += count;
    });
    const { cols, queue } = this;
    const large = cols > MAX_SHARED_COLUMNS;
    const planes = this.vector.planes(cols, queue.shared && !large);
    queue.add({
      pieces: parts.map(({ bytes }) => bytes),
      steps: [
        // the kernels read whole blocks of columns, and of int16 whole quads of rows: what lies behind counts zero times or
        // is left out
        {
          cmd: 'ALLOC',
          var: TAIL,
          len:
            8 * MULTIPLY_COLUMNS + (this.entries === 'int16' ? (fullRows(rows) - rows) * this.#rowBytes : 0),
        },
        // pieces have whole words: one lies right behind the other
        ...planes.map((buff, i): TaskStep => ({ cmd: 'ALLOCSET', var: PLANES + i, buff })),
        { cmd: 'ALLOCSET', var: WEIGHTS, buff: weights },
        { cmd: 'ALLOCSET', var: FACTORS, buff: vectorFromScalars(engine, [SUM_DIVISOR, RADIX]) },
        { cmd: 'ALLOC', var: SUMS, len: fullRows(rows) * SCALAR_BYTES },
        { cmd: 'ALLOC', var: OUT, len: parts.length * SCALAR_BYTES },
        ...(this.entries === 'int64' ? multiplyLong(rows, cols) : multiplyShort(rows, cols)),
        ...dots,
        callStep('zk_scale', { var: OUT }, { var: FACTORS }, { val: parts.length }, { var: OUT }),
      ],
      answer: { var: OUT, len: parts.length * SCALAR_BYTES },
      large,
      done: (answer) => {
        vectorToScalars(engine, answer).forEach((sum, i) => {
          parts[i]!.take(sum);
        });
      },
    });
  }
}

/** Rows that the kernels write sums of. */
function fullRows(rows: number): number {
  return Math.ceil(rows / MULTIPLY_ROWS) * MULTIPLY_ROWS;
}

function multiplyShort(rows: number, cols: number): TaskStep[] {
  return [
    callStep(
      'zk_multiplyRows',
      { var: BLOCK },
      { val: 2 * cols },
      { val: fullRows(rows) / MULTIPLY_ROWS },
      { var: PLANES },
      { val: Math.ceil(cols / MULTIPLY_COLUMNS) },
      { var: SUMS },
    ),
  ];
}

/** Rows that are cut at a time. */
function multiplyLong(rows: number, cols: number): TaskStep[] {
  const quads = Math.max(1, Math.floor(LONG_CHUNK / cols / MULTIPLY_ROWS));
  const chunk = Math.min(quads * MULTIPLY_ROWS, fullRows(rows));
  const stride = 2 * CUT_ENTRIES * Math.ceil((chunk * cols) / CUT_ENTRIES);
  return [
    { cmd: 'ALLOC', var: DIGITS, len: LONG_DIGITS * stride + 2 * MULTIPLY_COLUMNS },
    { cmd: 'ALLOC', var: DIGIT_SUMS, len: (LONG_DIGITS - 1) * chunk * SCALAR_BYTES },
    { cmd: 'ALLOC', var: FLAG, len: 4 },
    callStep(
      'zk_multiplyLong',
      { var: BLOCK },
      { val: rows },
      { val: cols },
      { val: chunk },
      { var: PLANES },
      { val: Math.ceil(cols / MULTIPLY_COLUMNS) },
      { var: DIGITS },
      { val: stride },
      { var: DIGIT_SUMS },
      { var: FACTORS, offset: SCALAR_BYTES },
      { var: FLAG },
      { var: SUMS },
    ),
  ];
}

/**
 * Products of small-integer matrices with field vectors, exact, without big integers.
 *
 * A field element is cut into 20 limbs of 13 bits with sign; a sum of (entry x limb) is exact in the 32-bit lanes of
 * the vector unit, carries and the reduction mod R are done once for each output. docs/protocol.md, "Cost".
 */

import { concatBytes } from '../bytes.js';
import { toBytes } from '../littleEndian.js';
import { BLOCK, type BlockTask, doHere } from './blockTask.js';
import { callStep, type TaskStep } from './curve.js';
import type { Engine } from './engine.js';
import { MULTIPLY_COLUMNS, MULTIPLY_ROWS, PLANE_BYTES, PLANE_ELEMENTS, SUM_DIVISOR } from './limbKernels.js';
import { Fr, SCALAR_BYTES } from './scalar.js';
import {
  addVectors,
  constantVector,
  dotVectors,
  type FieldVector,
  scaleVector,
  subVector,
  vectorLength,
  zeroVector,
} from './vector.js';

/** Any integers of 16 bits. */
export type SmallIntegers = Int16Array | Uint16Array;

/** A field vector cut into limbs, ready for {@link multiplyRows}. */
export interface LimbPlanes {
  /** See limbKernels.ts; zeros up to a multiple of 32 elements. */
  readonly planes: Uint8Array;
  readonly vector: FieldVector;
}

/** Bytes of a matrix that are worked on at a time. */
const CHUNK_BYTES = 2 ** 22;

/** Taken off unsigned entries, which then fit int16. */
const SIGN = 2 ** 15;

/** Cuts a field vector into limbs. */
export function toLimbs(engine: Engine, vector: FieldVector): LimbPlanes {
  return { planes: makePlanes(engine, vector, MULTIPLY_COLUMNS), vector };
}

function makePlanes(engine: Engine, vector: FieldVector, multiple: number): Uint8Array {
  const length = Math.ceil(vectorLength(vector) / multiple) * multiple;
  const bytes = (length / PLANE_ELEMENTS) * PLANE_BYTES;
  return engine.sync(({ call, alloc, write, clear, get }) => {
    const padded = alloc(length * 32);
    write(padded, vector);
    clear(padded + vector.byteLength, length * 32 - vector.byteLength);
    const out = alloc(bytes);
    call.zk_planes!(padded, length, out);
    return get(out, bytes);
  });
}

/** Entries as int16 and what was taken off each of them. */
function signedEntries(matrix: SmallIntegers): { entries: Int16Array; offset: number } {
  if (matrix instanceof Int16Array) return { entries: matrix, offset: 0 };
  return { entries: Int16Array.from(matrix, (value) => value - SIGN), offset: SIGN };
}

/**
 * `out[c] = sum_r coefficients[r] * matrix[r, c]`.
 *
 * @param matrix row-major `[rows, cols]`, `rows` = number of coefficients
 * @returns field vector `[cols]`
 */
export function combineRows(
  engine: Engine,
  coefficients: FieldVector,
  matrix: SmallIntegers,
  cols: number,
): FieldVector {
  return combineMatrices(engine, coefficients, [matrix], cols);
}

/**
 * {@link combineRows} of several matrices, one below the other.
 *
 * @param coefficients one for each row of all matrices
 */
export function combineMatrices(
  engine: Engine,
  coefficients: FieldVector,
  matrices: readonly SmallIntegers[],
  cols: number,
): FieldVector {
  const chunk = Math.max(1, Math.floor(CHUNK_BYTES / (2 * cols * PLANE_ELEMENTS))) * PLANE_ELEMENTS;
  let total: FieldVector | undefined;
  let shift = 0n;
  // pieces of matrices that wait for the next call of the kernel, and the row after them
  let pieces: Int16Array[] = [];
  let waiting = 0;
  let row = 0;
  const flush = () => {
    if (waiting === 0) return;
    const part = combineChunk(engine, subVector(coefficients, row - waiting, waiting), pieces, cols);
    total = total ? addVectors(engine, total, part) : part;
    pieces = [];
    waiting = 0;
  };
  for (const matrix of matrices) {
    const rows = matrix.length / cols;
    const { entries, offset } = signedEntries(matrix);
    if (offset !== 0) {
      const ones = constantVector(engine, BigInt(offset), rows);
      shift = Fr.add(shift, dotVectors(engine, subVector(coefficients, row, rows), ones));
    }
    for (let from = 0; from < rows; ) {
      const count = Math.min(chunk - waiting, rows - from);
      pieces.push(entries.subarray(from * cols, (from + count) * cols));
      from += count;
      row += count;
      waiting += count;
      if (waiting === chunk) flush();
    }
  }
  flush();
  total ??= zeroVector(cols);
  return shift === 0n ? total : addVectors(engine, total, constantVector(engine, shift, cols));
}

function combineChunk(
  engine: Engine,
  coefficients: FieldVector,
  pieces: readonly Int16Array[],
  cols: number,
): FieldVector {
  let combined: FieldVector | undefined;
  doHere(
    engine,
    combineTask(engine, [{ coefficients, pieces: pieces.map(toBytes), cols }], ([only]) => {
      combined = only;
    }),
  );
  return combined!;
}

/** Variables of the steps of a combination. */
const [TAIL, LIMBS, OUT] = [1, 2, 3];

/** Rows of int16 to be combined, one piece below the other. */
export interface RowsToCombine {
  /** One for each row. */
  readonly coefficients: FieldVector;
  readonly pieces: readonly Uint8Array[];
  readonly cols: number;
}

/** Task for {@link combineRows} of some matrices, each for itself. */
export function combineTask(
  engine: Engine,
  matrices: readonly RowsToCombine[],
  done: (combined: readonly FieldVector[]) => void,
): BlockTask {
  const calls: TaskStep[] = [];
  const limbs: Uint8Array[] = [];
  let [rowsAt, limbsAt, outAt, tail] = [0, 0, 0, 0];
  for (const { coefficients, cols } of matrices) {
    const planes = makePlanes(engine, scaleVector(engine, coefficients, SUM_DIVISOR), PLANE_ELEMENTS);
    const octets = planes.byteLength / PLANE_BYTES;
    const blocks = Math.ceil(cols / PLANE_ELEMENTS);
    calls.push(
      callStep(
        'zk_combineRows',
        { var: BLOCK, offset: rowsAt },
        { val: 2 * cols },
        { val: octets },
        { var: LIMBS, offset: limbsAt },
        { val: blocks },
        { var: OUT, offset: outAt },
      ),
    );
    limbs.push(planes);
    const rows = vectorLength(coefficients);
    rowsAt += 2 * rows * cols;
    limbsAt += planes.byteLength;
    outAt += blocks * PLANE_ELEMENTS * SCALAR_BYTES;
    tail = Math.max(tail, 2 * (octets * PLANE_ELEMENTS - rows) * cols + 2 * PLANE_ELEMENTS);
  }
  return {
    pieces: matrices.flatMap(({ pieces }) => pieces),
    steps: [
      // the kernel reads whole octets of rows and whole blocks of columns: what lies behind counts zero times
      { cmd: 'ALLOC', var: TAIL, len: tail },
      { cmd: 'ALLOCSET', var: LIMBS, buff: concatBytes(...limbs) },
      { cmd: 'ALLOC', var: OUT, len: outAt },
      ...calls,
    ],
    answer: { var: OUT, len: outAt },
    done: (answer) => {
      let at = 0;
      const combined = matrices.map(({ cols }) => {
        const from = at;
        at += Math.ceil(cols / PLANE_ELEMENTS) * PLANE_ELEMENTS;
        return subVector(answer, from, cols);
      });
      done(combined);
    },
  };
}

/**
 * `out[r] = sum_c matrix[r, c] * vector[c]`.
 *
 * @param matrix row-major `[rows, cols]`
 * @param vector limbs of a field vector with at least `cols` elements; the first `cols` are used
 * @returns field vector `[rows]`
 */
export function multiplyRows(
  engine: Engine,
  matrix: SmallIntegers,
  rows: number,
  cols: number,
  vector: LimbPlanes,
): FieldVector {
  const { entries, offset } = signedEntries(matrix);
  const planes = planesFor(engine, vector, cols);
  const blocks = Math.ceil(cols / MULTIPLY_COLUMNS);
  const out = zeroVector(rows);
  const chunk = Math.max(1, Math.floor(CHUNK_BYTES / (2 * cols * MULTIPLY_ROWS))) * MULTIPLY_ROWS;
  for (let from = 0; from < rows; from += chunk) {
    const count = Math.min(chunk, rows - from);
    const part = engine.sync(({ call, put, alloc, get }) => {
      const quads = Math.ceil(count / MULTIPLY_ROWS);
      const sums = alloc(quads * MULTIPLY_ROWS * 32);
      const [limbs] = planes.map(put);
      const address = put(toBytes(entries.subarray(from * cols, (from + count) * cols)));
      alloc((quads * MULTIPLY_ROWS - count) * cols * 2 + 2 * MULTIPLY_COLUMNS);
      call.zk_multiplyRows!(address, 2 * cols, quads, limbs!, blocks, sums);
      return get(sums, count * 32);
    });
    out.set(part, from * 32);
  }
  // few rows and many columns, as a rule: so the factor goes here and not into the planes
  const products = scaleVector(engine, out, SUM_DIVISOR);
  if (offset === 0) return products;
  const ones = constantVector(engine, BigInt(offset), cols);
  const shift = dotVectors(engine, subVector(vector.vector, 0, cols), ones);
  return addVectors(engine, products, constantVector(engine, shift, rows));
}

/**
 * Planes of the first `cols` elements, zeros behind them in their last block, in pieces that come one behind the other:
 * a view of all whole blocks, and a block of its own where the last one is cut.
 */
export function planesFor(engine: Engine, { planes, vector }: LimbPlanes, cols: number): Uint8Array[] {
  const rest = cols === vectorLength(vector) ? 0 : cols % MULTIPLY_COLUMNS;
  const blocks = rest === 0 ? Math.ceil(cols / MULTIPLY_COLUMNS) : (cols - rest) / MULTIPLY_COLUMNS;
  const pieces = [planes.subarray(0, blocks * (MULTIPLY_COLUMNS / PLANE_ELEMENTS) * PLANE_BYTES)];
  if (rest > 0) pieces.push(makePlanes(engine, subVector(vector, cols - rest, rest), MULTIPLY_COLUMNS));
  return pieces;
}

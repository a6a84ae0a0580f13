/**
 * Products of small-integer matrices with field vectors, exact, without big integers.
 *
 * A field element is cut into 12 limbs of 22 bits. With entries below 2^16 in size and at most 2^14 terms a
 * sum of (entry x limb) stays below 2^52, so float64 multiply-add is exact; carries and the reduction mod R
 * are done once for each output. docs/protocol.md, "Cost".
 */
import type { Engine } from './engine.js';
import { R } from './scalar.js';
import { addVectors, type FieldVector, vectorFromBytes, vectorLength, vectorToBytes } from './vector.js';

const LIMBS = 12;
const LIMB_BITS = 22;
const LIMB_SIZE = 2 ** LIMB_BITS;

/** Terms of one exact sum: 2^16 (entry) * 2^22 (limb) * 2^14 = 2^52. */
const MAX_TERMS = 2 ** 14;

/** Columns worked on together: 12 accumulator rows of this length fit a first-level cache. */
const COLUMN_BLOCK = 256;

/** Any typed array whose entries are integers in [-2^15, 2^16). */
export type SmallIntegers = Int16Array | Uint16Array | Float64Array;

/** Field elements as limbs: `planes[l][i]` is limb l of element i. */
export type LimbPlanes = readonly Float64Array[];

const R_LIMBS: readonly number[] = Array.from({ length: LIMBS }, (_, l) =>
  Number((R >> BigInt(LIMB_BITS * l)) & BigInt(LIMB_SIZE - 1)),
);

/** R / 2^220: the two top limbs of R as one float64. */
const R_TOP = Number(R >> 170n) / 2 ** 50;

/** Cuts a field vector into limbs. */
export function toLimbs(engine: Engine, vector: FieldVector): LimbPlanes {
  const bytes = vectorToBytes(engine, vector);
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const length = vectorLength(vector);
  const planes = Array.from({ length: LIMBS }, () => new Float64Array(length));
  for (let l = 0; l < LIMBS; l++) {
    const plane = planes[l]!;
    const word = (l * LIMB_BITS) >> 5;
    const shift = (l * LIMB_BITS) & 31;
    for (let i = 0; i < length; i++) {
      let limb = words[i * 8 + word]! >>> shift;
      if (shift > 32 - LIMB_BITS && word < 7) limb |= words[i * 8 + word + 1]! << (32 - shift);
      plane[i] = limb & (LIMB_SIZE - 1);
    }
  }
  return planes;
}

/**
 * Reduces accumulated limbs to field elements.
 *
 * `sums[l * count + i]` is the sum of weight 2^(22 l) of output i, an integer below 2^52 in size.
 */
function reduceLimbs(engine: Engine, sums: Float64Array, count: number): FieldVector {
  const words = new Uint32Array(count * 8);
  const limb = new Float64Array(LIMBS);
  for (let i = 0; i < count; i++) {
    let carry = 0;
    for (let l = 0; l < LIMBS; l++) {
      const value = sums[l * count + i]! + carry;
      carry = Math.floor(value / LIMB_SIZE);
      limb[l] = l === LIMBS - 1 ? value : value - carry * LIMB_SIZE;
    }
    // one less than the float estimate of floor(value / R), which is off by at most one: leaves [0, 3R)
    const multiple = Math.floor((limb[LIMBS - 1]! * LIMB_SIZE + limb[LIMBS - 2]!) / R_TOP) - 1;
    carry = 0;
    for (let l = 0; l < LIMBS; l++) {
      const value = limb[l]! - multiple * R_LIMBS[l]! + carry;
      carry = Math.floor(value / LIMB_SIZE);
      limb[l] = value - carry * LIMB_SIZE;
    }
    for (let l = 0; l < LIMBS; l++) {
      const bit = l * LIMB_BITS;
      const word = i * 8 + (bit >> 5);
      const shift = bit & 31;
      words[word]! |= limb[l]! << shift;
      if (shift > 32 - LIMB_BITS) words[word + 1]! |= limb[l]! >>> (32 - shift);
    }
  }
  return vectorFromBytes(engine, new Uint8Array(words.buffer));
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
  const rows = vectorLength(coefficients);
  const planes = toLimbs(engine, coefficients);
  let total: FieldVector | undefined;
  for (let from = 0; from < rows || total === undefined; from += MAX_TERMS) {
    const to = Math.min(rows, from + MAX_TERMS);
    const part = reduceLimbs(engine, accumulateRows(planes, matrix, cols, from, to), cols);
    total = total === undefined ? part : addVectors(engine, total, part);
  }
  return total;
}

function accumulateRows(
  planes: LimbPlanes,
  matrix: SmallIntegers,
  cols: number,
  from: number,
  to: number,
): Float64Array {
  const sums = new Float64Array(LIMBS * cols);
  const quad = new Float64Array(4 * COLUMN_BLOCK);
  for (let block = 0; block < cols; block += COLUMN_BLOCK) {
    const width = Math.min(COLUMN_BLOCK, cols - block);
    for (let row = from; row < to; row += 4) {
      const height = Math.min(4, to - row);
      quad.fill(0);
      for (let k = 0; k < height; k++) {
        const start = (row + k) * cols + block;
        for (let c = 0; c < width; c++) quad[k * COLUMN_BLOCK + c] = matrix[start + c]!;
      }
      for (let l = 0; l < LIMBS; l++) {
        const plane = planes[l]!;
        const k0 = plane[row]!;
        const k1 = height > 1 ? plane[row + 1]! : 0;
        const k2 = height > 2 ? plane[row + 2]! : 0;
        const k3 = height > 3 ? plane[row + 3]! : 0;
        const out = l * cols + block;
        for (let c = 0; c < width; c++) {
          sums[out + c]! +=
            k0 * quad[c]! +
            k1 * quad[COLUMN_BLOCK + c]! +
            k2 * quad[2 * COLUMN_BLOCK + c]! +
            k3 * quad[3 * COLUMN_BLOCK + c]!;
        }
      }
    }
  }
  return sums;
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
  let total: FieldVector | undefined;
  for (let from = 0; from < cols || total === undefined; from += MAX_TERMS) {
    const to = Math.min(cols, from + MAX_TERMS);
    const sums = new Float64Array(LIMBS * rows);
    for (let r = 0; r < rows; r++) dotRow(matrix, r * cols, vector, from, to, sums, r, rows);
    const part = reduceLimbs(engine, sums, rows);
    total = total === undefined ? part : addVectors(engine, total, part);
  }
  return total;
}

/** Four limbs at a time: their accumulators stay in registers. */
function dotRow(
  matrix: SmallIntegers,
  start: number,
  vector: LimbPlanes,
  from: number,
  to: number,
  sums: Float64Array,
  row: number,
  rows: number,
): void {
  for (let l = 0; l < LIMBS; l += 4) {
    const v0 = vector[l]!;
    const v1 = vector[l + 1]!;
    const v2 = vector[l + 2]!;
    const v3 = vector[l + 3]!;
    let s0 = 0;
    let s1 = 0;
    let s2 = 0;
    let s3 = 0;
    for (let c = from; c < to; c++) {
      const entry = matrix[start + c]!;
      s0 += entry * v0[c]!;
      s1 += entry * v1[c]!;
      s2 += entry * v2[c]!;
      s3 += entry * v3[c]!;
    }
    sums[l * rows + row] = s0;
    sums[(l + 1) * rows + row] = s1;
    sums[(l + 2) * rows + row] = s2;
    sums[(l + 3) * rows + row] = s3;
  }
}

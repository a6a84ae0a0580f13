import type { RegistrationBits } from './bits.js';
import { COMBINATIONS, SKETCHES, SKETCHES_EACH } from './sizes.js';
import type { RegistrationStatement } from './statement.js';
import type { WeightMatrix } from './weights.js';

/** Columns worked on together: the accumulators of all combinations fit a second-level cache. */
const COLUMN_BLOCK = 256;

/** Rows whose 2^4 possible sums are made once and then looked up by every combination. */
const GROUP = 4;
const SUBSETS = 2 ** GROUP;

/** Four rows at most, and their places in `rows`. */
interface RowGroup {
  readonly matrix: WeightMatrix;
  /** First row, counted inside the matrix. */
  readonly first: number;
  readonly height: number;
}

/**
 * All combinations u_k = sum over rows of a_k,row w_row, exact: `[COMBINATIONS, N]`.
 *
 * Integers below 2^32 in size: at most 2^17 rows of int16.
 */
export function combineAllRows(
  statement: RegistrationStatement,
  weights: readonly WeightMatrix[],
  bits: RegistrationBits,
): Float64Array {
  const { domainSize } = statement;
  const groups = weights.flatMap((matrix) => groupsOf(matrix));
  const out = new Float64Array(COMBINATIONS * domainSize);
  const sums = new Float64Array(COMBINATIONS * COLUMN_BLOCK);
  const subsets = new Float64Array(SUBSETS * COLUMN_BLOCK);
  for (let block = 0; block < domainSize; block += COLUMN_BLOCK) {
    sums.fill(0);
    for (const group of groups) {
      const { offset, length } = group.matrix;
      const from = Math.max(block, offset);
      const to = Math.min(block + COLUMN_BLOCK, offset + length);
      if (from >= to) continue;
      fillSubsets(group, from, to - from, subsets);
      addSubsets(group, bits.rows, statement.rowCount, subsets, sums, from - block, to - from);
    }
    for (let k = 0; k < COMBINATIONS; k++) {
      const width = Math.min(COLUMN_BLOCK, domainSize - block);
      out.set(sums.subarray(k * COLUMN_BLOCK, k * COLUMN_BLOCK + width), k * domainSize + block);
    }
  }
  return out;
}

function groupsOf(matrix: WeightMatrix): RowGroup[] {
  return Array.from({ length: Math.ceil(matrix.rank / GROUP) }, (_, g) => ({
    matrix,
    first: g * GROUP,
    height: Math.min(GROUP, matrix.rank - g * GROUP),
  }));
}

/** `subsets[s]` = sum of the group's rows whose bit is set in s, for `width` columns from domain place `from`. */
function fillSubsets(group: RowGroup, from: number, width: number, subsets: Float64Array): void {
  const { matrix, first, height } = group;
  subsets.fill(0, 0, width);
  for (let row = 0; row < height; row++) {
    const start = (first + row) * matrix.length + from - matrix.offset;
    const size = 1 << row;
    for (let s = 0; s < size; s++) {
      const low = s * COLUMN_BLOCK;
      const high = (size + s) * COLUMN_BLOCK;
      for (let c = 0; c < width; c++) subsets[high + c] = subsets[low + c]! + matrix.values[start + c]!;
    }
  }
}

function addSubsets(
  group: RowGroup,
  rowBits: Uint16Array,
  rowCount: number,
  subsets: Float64Array,
  sums: Float64Array,
  column: number,
  width: number,
): void {
  const first = group.matrix.firstRow + group.first;
  for (let k = 0; k < COMBINATIONS; k++) {
    let subset = 0;
    for (let row = 0; row < group.height; row++) subset |= rowBits[k * rowCount + first + row]! << row;
    if (subset === 0) continue;
    const source = subset * COLUMN_BLOCK;
    const target = k * COLUMN_BLOCK + column;
    for (let c = 0; c < width; c++) sums[target + c]! += subsets[source + c]!;
  }
}

/**
 * All sketches <b_i, u_k>, k = floor(i / 3), exact: `[SKETCHES]`.
 *
 * Integers below 2^52 in size: at most 2^20 places of 2^32.
 *
 * @param combined `[COMBINATIONS, N]`
 */
export function sketchAll(combined: Float64Array, domainSize: number, bits: RegistrationBits): Float64Array {
  const sketches = new Float64Array(SKETCHES);
  for (let k = 0; k < COMBINATIONS; k++) {
    const places = bits.places(k);
    // sums by pattern of the three bits
    const byPattern = new Float64Array(2 ** SKETCHES_EACH);
    for (let j = 0; j < domainSize; j++) byPattern[places[j]!]! += combined[k * domainSize + j]!;
    byPattern.forEach((sum, pattern) => {
      for (let q = 0; q < SKETCHES_EACH; q++) {
        if ((pattern >> q) & 1) sketches[SKETCHES_EACH * k + q]! += sum;
      }
    });
  }
  return sketches;
}

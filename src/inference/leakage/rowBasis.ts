import { blockRows, takeOff } from './rowBlock.js';
import type { Turns } from './turns.js';

/** Where a row lies against a basis. */
export interface Resolved {
  /** Coordinates of the normalised row, one for each vector of the basis. */
  readonly coordinates: Float64Array;
  /** Length of the part outside the span, for a row of length 1. */
  readonly distance: number;
  /** That part, normalised; zeros where `distance` is 0. */
  readonly direction: Float64Array;
  /** How far the part may be from that of exact arithmetic, as a length. */
  readonly error: number;
}

/** A row without its part along the vectors that a basis had; see {@link RowBasis.prepare}. Nothing is scaled. */
export interface PreparedRow {
  readonly row: Float64Array;
  /** One for each vector that the basis had. */
  readonly coordinates: Float64Array;
  /** What is left of the row. */
  readonly rest: Float64Array;
  /** Length of what the last pass began with. */
  readonly before: number;
}

/**
 * Error of a part outside the span that rounding makes, for a row of length 1 and exact vectors.
 *
 * It holds for a pass over rows in a block as for one row by row. A product there is two sums of half the length, and the
 * part along a panel of vectors is summed up before it is taken off: its rounding is that of its own length, and the row
 * is rounded once for a panel, where a pass by rows rounds it once for four vectors. A panel after another sees what the
 * one before left, as in modified Gram-Schmidt.
 */
const ROUNDING = 2 ** -50;

/** A row of which a tenth is left after a pass is orthogonal to the basis to 10 units of rounding, which is enough. */
const SECOND_PASS = 0.1;

/** With fewer vectors or rows, copies to the kernels cost what they save. */
const MIN_BLOCK_VECTORS = 16;
const MIN_BLOCK_ROWS = 4;

/** Below this distance a third pass is made: what is left of a row is small against the rounding of the first two. */
const THIRD_PASS = 2 ** -10;

/**
 * Orthonormal vectors in float64, grown one by one: Gram-Schmidt, repeated where little of a row is left ("twice is
 * enough": Giraud, Langou, Rozloznik, "The loss of orthogonality in the Gram-Schmidt orthogonalization process", 2005).
 *
 * Vectors may grow longer from one to the next, missing places being zeros; none is longer than a row that is resolved
 * later.
 */
export class RowBasis {
  private readonly vectors: Float64Array[] = [];
  /** How far each vector may be from its place. */
  private readonly errors: number[] = [];
  private held = 0;

  get size(): number {
    return this.vectors.length;
  }

  /** float64 numbers held. */
  get entries(): number {
    return this.held;
  }

  /**
   * Takes off rows their parts along the vectors so far, all rows together: most of the work of {@link resolve}, several
   * times faster. Twice, where the first pass leaves less than a tenth.
   *
   * @param rows unscaled, equally wide
   * @param outside for each row, the length of places that it will have beyond these and no vector so far has
   * @returns for each row what `resolve` may begin with; nothing where a block does not pay
   */
  async prepare(
    rows: readonly Float64Array[],
    outside: readonly number[],
    turns: Turns,
  ): Promise<PreparedRow[]> {
    const { size, vectors } = this;
    if (size < MIN_BLOCK_VECTORS || rows.length < MIN_BLOCK_ROWS) return [];
    if (blockRows(rows[0]!.length) < MIN_BLOCK_ROWS) return [];
    const rests = rows.map((row) => row.slice());
    const coordinates = rows.map(() => new Float64Array(size));
    const before = rows.map(length);
    await takeOff(rests, vectors, coordinates, turns);
    const again = [...rows.keys()].filter((i) => {
      const left = Math.hypot(length(rests[i]!), outside[i]!);
      return left < SECOND_PASS * Math.hypot(before[i]!, outside[i]!);
    });
    for (const i of again) before[i] = length(rests[i]!);
    const chosen = <T>(values: readonly T[]): T[] => again.map((i) => values[i]!);
    await takeOff(chosen(rests), vectors, chosen(coordinates), turns);
    return rows.map((row, i) => ({
      row,
      coordinates: coordinates[i]!,
      rest: rests[i]!,
      before: before[i]!,
    }));
  }

  /**
   * @param row unscaled, not all zeros
   * @param rowError how far the row, scaled to length 1, may be from its place
   * @param prepared of the first places of this row, by vectors that the basis still has; of another row it is not used
   */
  resolve(row: Float64Array, rowError = 0, prepared?: PreparedRow): Resolved {
    const scale = 1 / length(row);
    const direction = scaled(row, scale);
    const coordinates = new Float64Array(this.vectors.length);
    let passed = 0;
    let before = 1;
    if (prepared !== undefined && beginsWith(row, prepared.row)) {
      direction.set(scaled(prepared.rest, scale));
      coordinates.set(scaled(prepared.coordinates, scale));
      passed = prepared.coordinates.length;
      // the vectors since then may take nearly all of what is left, and leave the rounding of the passes before
      before = Math.max(prepared.before * scale, length(direction));
    }
    this.project(direction, coordinates, passed);
    if (length(direction) < SECOND_PASS * before) this.project(direction, coordinates);
    const distance = length(direction);
    if (distance > 0) {
      normalise(direction, distance);
      if (distance < THIRD_PASS) {
        this.project(direction, new Float64Array(this.vectors.length));
        const left = length(direction);
        if (left > 0) normalise(direction, left);
      }
    }
    // a row along a vector brings that vector's error with it, and a short part makes the error of its direction large
    const inherited = this.errors.reduce((sum, error, i) => sum + (coordinates[i]! * error) ** 2, 0);
    const error = Math.sqrt(ROUNDING ** 2 + rowError ** 2 + inherited);
    return { coordinates, distance, direction, error };
  }

  /** Adds the direction of a row that was resolved against the vectors so far. */
  add({ direction, distance, error }: Resolved): void {
    this.vectors.push(direction);
    this.errors.push(error / distance);
    this.held += direction.length;
  }

  /** Takes the latest vectors off again. */
  truncate(size: number): void {
    this.errors.length = size;
    for (const { length } of this.vectors.splice(size)) this.held -= length;
  }

  copy(): RowBasis {
    const other = new RowBasis();
    other.vectors.push(...this.vectors);
    other.errors.push(...this.errors);
    other.held = this.held;
    return other;
  }

  /** Takes the part along the vectors from one on off a row and adds it to its coordinates; four vectors in each sweep. */
  private project(row: Float64Array, coordinates: Float64Array, from = 0): void {
    const { vectors } = this;
    const parts = new Float64Array(vectors.length);
    const whole = vectors.length - ((vectors.length - from) % 4);
    for (let i = from; i < whole; i += 4) dotFour(vectors, i, row, parts);
    for (let i = whole; i < vectors.length; i++) parts[i] = dot(vectors[i]!, row);
    for (let i = from; i < whole; i += 4) subtractFour(vectors, i, row, parts);
    for (let i = whole; i < vectors.length; i++) subtract(row, vectors[i]!, parts[i]!, 0);
    for (let i = from; i < vectors.length; i++) coordinates[i]! += parts[i]!;
  }
}

function dotFour(vectors: readonly Float64Array[], at: number, row: Float64Array, parts: Float64Array): void {
  const [v0, v1, v2, v3] = [vectors[at]!, vectors[at + 1]!, vectors[at + 2]!, vectors[at + 3]!];
  const common = v0.length;
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  for (let j = 0; j < common; j++) {
    const value = row[j]!;
    s0 += v0[j]! * value;
    s1 += v1[j]! * value;
    s2 += v2[j]! * value;
    s3 += v3[j]! * value;
  }
  parts[at] = s0;
  parts[at + 1] = s1 + tail(v1, row, common);
  parts[at + 2] = s2 + tail(v2, row, common);
  parts[at + 3] = s3 + tail(v3, row, common);
}

function tail(vector: Float64Array, row: Float64Array, from: number): number {
  let sum = 0;
  for (let j = from; j < vector.length; j++) sum += vector[j]! * row[j]!;
  return sum;
}

function subtractFour(
  vectors: readonly Float64Array[],
  at: number,
  row: Float64Array,
  parts: Float64Array,
): void {
  const [v0, v1, v2, v3] = [vectors[at]!, vectors[at + 1]!, vectors[at + 2]!, vectors[at + 3]!];
  const [f0, f1, f2, f3] = [parts[at]!, parts[at + 1]!, parts[at + 2]!, parts[at + 3]!];
  const common = v0.length;
  for (let j = 0; j < common; j++) {
    row[j] = row[j]! - (f0 * v0[j]! + f1 * v1[j]! + (f2 * v2[j]! + f3 * v3[j]!));
  }
  subtract(row, v1, f1, common);
  subtract(row, v2, f2, common);
  subtract(row, v3, f3, common);
}

function subtract(row: Float64Array, vector: Float64Array, factor: number, from: number): void {
  for (let j = from; j < vector.length; j++) row[j]! -= factor * vector[j]!;
}

/** Over the length of `a`; four sums, so that additions do not wait for one another. */
export function dot(a: Float64Array, b: Float64Array): number {
  const whole = a.length - (a.length % 4);
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  for (let i = 0; i < whole; i += 4) {
    s0 += a[i]! * b[i]!;
    s1 += a[i + 1]! * b[i + 1]!;
    s2 += a[i + 2]! * b[i + 2]!;
    s3 += a[i + 3]! * b[i + 3]!;
  }
  for (let i = whole; i < a.length; i++) s0 += a[i]! * b[i]!;
  return s0 + s1 + (s2 + s3);
}

/** Euclidean. */
export function length(row: Float64Array): number {
  return Math.sqrt(dot(row, row));
}

/** A copy, times a factor. */
export function scaled(row: Float64Array, factor: number): Float64Array {
  const result = new Float64Array(row.length);
  for (let i = 0; i < row.length; i++) result[i] = row[i]! * factor;
  return result;
}

function beginsWith(row: Float64Array, part: Float64Array): boolean {
  if (row.length < part.length) return false;
  for (let i = 0; i < part.length; i++) if (row[i] !== part[i]) return false;
  return true;
}

function normalise(row: Float64Array, norm: number): void {
  for (let i = 0; i < row.length; i++) row[i]! /= norm;
}

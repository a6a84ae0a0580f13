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

/** Error of a part outside the span that rounding makes, for a row of length 1 and exact vectors. */
const ROUNDING = 2 ** -50;

/** A row of which a tenth is left after one pass is orthogonal to the basis to 10 units of rounding, which is enough. */
const SECOND_PASS = 0.1;

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
   * @param row unscaled, not all zeros
   * @param rowError how far the row, scaled to length 1, may be from its place
   */
  resolve(row: Float64Array, rowError = 0): Resolved {
    const direction = scaled(row, 1 / length(row));
    const coordinates = new Float64Array(this.vectors.length);
    this.project(direction, coordinates);
    if (length(direction) < SECOND_PASS) this.project(direction, coordinates);
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

  /** Takes the part along the vectors off a row and adds it to its coordinates; four vectors in each sweep. */
  private project(row: Float64Array, coordinates: Float64Array): void {
    const { vectors } = this;
    const parts = new Float64Array(vectors.length);
    const whole = vectors.length - (vectors.length % 4);
    for (let i = 0; i < whole; i += 4) dotFour(vectors, i, row, parts);
    for (let i = whole; i < vectors.length; i++) parts[i] = dot(vectors[i]!, row);
    for (let i = 0; i < whole; i += 4) subtractFour(vectors, i, row, parts);
    for (let i = whole; i < vectors.length; i++) subtract(row, vectors[i]!, parts[i]!, 0);
    for (let i = 0; i < vectors.length; i++) coordinates[i]! += parts[i]!;
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

function length(row: Float64Array): number {
  return Math.sqrt(dot(row, row));
}

function scaled(row: Float64Array, factor: number): Float64Array {
  return row.map((value) => value * factor);
}

function normalise(row: Float64Array, norm: number): void {
  for (let i = 0; i < row.length; i++) row[i]! /= norm;
}

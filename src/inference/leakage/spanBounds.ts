/**
 * How far the span of rows, as float64 has it, may be from the true one.
 *
 * Gram-Schmidt takes the rows A (of length 1, as columns) apart into A + E = Q R, where the columns of E are no longer than the
 * errors of the rows. For a row x = A y + r, with r outside the span, the part that is found lies within |E y| + |r| |E R^-1|
 * of r, and the projector on Q within |E R^-1| of the one on the span. Both grow with how nearly the rows depend on one another, and
 * not with their number: what one row does to the next is in R (Higham, "Accuracy and Stability of Numerical Algorithms", 2nd
 * edition, sections 19.8 and 20.1).
 */
export class SpanBounds {
  /** Columns of R^-1: each vector as a combination of the rows, `[index + 1]`. */
  private readonly columns: Float64Array[] = [];
  /** Lengths of the columns of E, at most. */
  private readonly rowErrors: number[] = [];
  /** Squared lengths of the rows of R^-1. */
  private readonly squares: number[] = [];
  /** |E R^-1|, at most. */
  private tilt = 0;
  private held = 0;

  /** float64 numbers held. */
  get entries(): number {
    return this.held;
  }

  /** y of a row. @param coordinates by vectors: R y */
  combination(coordinates: Float64Array): Float64Array {
    const sum = new Float64Array(coordinates.length);
    for (const [i, column] of this.columns.entries()) {
      const factor = coordinates[i]!;
      for (let j = 0; j <= i; j++) sum[j]! += factor * column[j]!;
    }
    return sum;
  }

  /**
   * @param combination y of a row
   * @param distance length of its part outside the span
   * @returns how far that part may be from its place, as a length, by the errors of the other rows
   */
  partError(combination: Float64Array, distance: number): number {
    const along = this.rowErrors.reduce((sum, error, j) => sum + error * Math.abs(combination[j]!), 0);
    return along + distance * this.tilt;
  }

  /** @param rowError of the row that is added, as a length */
  add(combination: Float64Array, distance: number, rowError: number): void {
    const column = new Float64Array(combination.length + 1);
    for (const [j, part] of combination.entries()) column[j] = -part / distance;
    column[combination.length] = 1 / distance;
    this.rowErrors.push(rowError);
    this.push(column);
    this.tilt = this.tiltOf();
  }

  /** Forgets the latest rows. */
  truncate(size: number): void {
    if (size === this.columns.length) return;
    const kept = this.columns.slice(0, size);
    this.rowErrors.length = size;
    this.columns.length = 0;
    this.squares.length = 0;
    this.held = 0;
    for (const column of kept) this.push(column);
    this.tilt = this.tiltOf();
  }

  /** Takes over the rows of another. */
  take(other: SpanBounds): void {
    this.columns.push(...other.columns);
    this.rowErrors.push(...other.rowErrors);
    this.squares.push(...other.squares);
    this.tilt = other.tilt;
    this.held += other.held;
  }

  private push(column: Float64Array): void {
    this.columns.push(column);
    this.squares.push(0);
    for (const [j, part] of column.entries()) this.squares[j]! += part * part;
    this.held += column.length;
  }

  private tiltOf(): number {
    return this.squares.reduce((sum, square, j) => sum + this.rowErrors[j]! * Math.sqrt(square), 0);
  }
}

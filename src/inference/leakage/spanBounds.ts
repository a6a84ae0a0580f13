import { scaled, subtractMultiples } from './vectors.js';

/** What is kept of a row whose direction is added. */
interface BoundedRow {
  /** Of the rows before, each of length 1. */
  readonly combination: Float64Array;
  readonly distance: number;
  readonly error: number;
  readonly rowError: number;
}

/**
 * How far the span of a basis may be from that of the rows that it was made of.
 *
 * Gram-Schmidt takes the rows A (of length 1, as columns) apart into A + E = Q R, where the columns of E are no longer than
 * the errors of the rows, whatever the rows are (Higham, "Accuracy and Stability of Numerical Algorithms", 2nd edition,
 * section 19.8). So Q = A R^-1 + E R^-1 lies within |E R^-1| of the true span. A row whose part in the span is A y has
 * (e - E y) / distance for its column of E R^-1: what the rows that it is made of lack, and not what each vector that it lies
 * along lacks, which is far more where rows lie close together for long.
 */
export class SpanBounds {
  /** Columns of R^-1: each vector as a combination of the rows, `[index + 1]`. */
  private readonly columns: Float64Array[] = [];
  /** Lengths of the columns of E, at most. */
  private readonly rowErrors: number[] = [];
  /** Lengths of the columns of E R^-1, at most. */
  private readonly errors: number[] = [];
  private held = 0;

  /** float64 numbers held. */
  get entries(): number {
    return this.held;
  }

  /** Frobenius norm of E R^-1, at most: sine of the largest angle between the spans. */
  get tilt(): number {
    let sum = 0;
    for (const error of this.errors) sum += error * error;
    return Math.sqrt(sum);
  }

  /** y of a row. @param coordinates by vectors: R y */
  combination(coordinates: Float64Array): Float64Array {
    const negative = new Float64Array(coordinates.length);
    subtractMultiples(negative, this.columns, coordinates);
    return scaled(negative, -1);
  }

  /** |E y|, at most. */
  inherited(combination: Float64Array): number {
    let sum = 0;
    for (let j = 0; j < combination.length; j++) sum += this.rowErrors[j]! * Math.abs(combination[j]!);
    return sum;
  }

  add({ combination, distance, error, rowError }: BoundedRow): void {
    const column = new Float64Array(combination.length + 1);
    column.set(scaled(combination, -1 / distance));
    column[combination.length] = 1 / distance;
    this.columns.push(column);
    this.rowErrors.push(rowError);
    this.errors.push(error / distance);
    this.held += column.length;
  }

  /** Forgets the latest rows. */
  truncate(size: number): void {
    for (const { length } of this.columns.splice(size)) this.held -= length;
    this.rowErrors.length = size;
    this.errors.length = size;
  }

  /** Takes over the rows of another; to be called on one without rows. */
  take(other: SpanBounds): void {
    this.columns.push(...other.columns);
    this.rowErrors.push(...other.rowErrors);
    this.errors.push(...other.errors);
    this.held = other.held;
  }
}

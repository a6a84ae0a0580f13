import { blockRows, takeOff } from './rowBlock.js';
import { SpanBounds } from './spanBounds.js';
import type { Turns } from './turns.js';
import { length, productsWith, scaled, subtractMultiples } from './vectors.js';

/** Where a row lies against a basis. */
export interface Resolved {
  /** Coordinates of the normalised row, one for each vector of the basis. */
  readonly coordinates: Float64Array;
  /** Length of the part outside the span, for a row of length 1. */
  readonly distance: number;
  /** That part, normalised; zeros where `distance` is 0. */
  readonly direction: Float64Array;
  /** How far the part may be from the true span, by its own rounding and by the errors of the rows that it lies along, as a length. */
  readonly error: number;
  /** The row's part in the span as a combination of the rows that were added, each of length 1. */
  readonly combination: Float64Array;
  /** How far the normalised row may be from its place, rounding included, as a length. */
  readonly rowError: number;
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
 * Rounding of a row of length 1 that is taken apart, for few vectors; see {@link rounding}.
 *
 * It holds for a pass over rows in a block as for one row by row. A product there is two sums of half the length, and the
 * part along a panel of vectors is summed up before it is taken off: its rounding is that of its own length, and the row
 * is rounded once for a panel, where a pass by rows rounds it once for four vectors. A panel after another sees what the
 * one before left, as in modified Gram-Schmidt.
 */
const ROUNDING = 2 ** -50;

/** How far a row of length 1 may be from its place once it is taken apart by so many vectors, as a length. */
export function rounding(vectors: number): number {
  return ROUNDING * Math.sqrt(1 + vectors / 16);
}

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
  private readonly bounds = new SpanBounds();
  private held = 0;

  get size(): number {
    return this.vectors.length;
  }

  /** float64 numbers held. */
  get entries(): number {
    return this.held + this.bounds.entries;
  }

  /** How far the span may be from that of the rows that were added; see {@link SpanBounds.tilt}. */
  get tilt(): number {
    return this.bounds.tilt;
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
    const own = rowError + rounding(this.vectors.length);
    const combination = this.bounds.combination(coordinates);
    const error = own + this.bounds.inherited(combination);
    return { coordinates, distance, direction, error, combination, rowError: own };
  }

  /** Adds the direction of a row that was resolved against the vectors so far. */
  add(resolved: Resolved): void {
    this.vectors.push(resolved.direction);
    this.bounds.add(resolved);
    this.held += resolved.direction.length;
  }

  /** Takes the latest vectors off again. */
  truncate(size: number): void {
    this.bounds.truncate(size);
    for (const { length } of this.vectors.splice(size)) this.held -= length;
  }

  copy(): RowBasis {
    const other = new RowBasis();
    other.vectors.push(...this.vectors);
    other.bounds.take(this.bounds);
    other.held = this.held;
    return other;
  }

  /** Takes the part along the vectors from one on off a row and adds it to its coordinates. */
  private project(row: Float64Array, coordinates: Float64Array, from = 0): void {
    const { vectors } = this;
    const parts = productsWith(vectors, row, from);
    subtractMultiples(row, vectors, parts, from);
    for (let i = from; i < vectors.length; i++) coordinates[i]! += parts[i]!;
  }
}

function beginsWith(row: Float64Array, part: Float64Array): boolean {
  if (row.length < part.length) return false;
  for (let i = 0; i < part.length; i++) if (row[i] !== part[i]) return false;
  return true;
}

function normalise(row: Float64Array, norm: number): void {
  for (let i = 0; i < row.length; i++) row[i]! /= norm;
}

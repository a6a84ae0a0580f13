import { sha256Of } from '../../sha256.js';
import { ModularRank } from './modularRank.js';
import { type PreparedRow, type Resolved, RowBasis } from './rowBasis.js';
import { Turns } from './turns.js';

/**
 * What a row adds to the rows before it: nothing; a direction; or, where exact arithmetic has a direction that float64 cannot
 * tell well enough, something that has to be taken for everything.
 */
export type RowKind = 'known' | 'new' | 'unresolved';

/** Errors of a direction, as angles, up to which it is taken, for a part outside the span of some length. */
export type ErrorLimit = (distance: number) => number;

/** Rows of one key are chosen by one. Running means, the closest rows of honest keys, lie below. */
export const OF_ONE_KEY: ErrorLimit = () => 2 ** -20;

/**
 * A row makes the errors of those before it larger by one over its part, and another key may have gone as far with them as this allows.
 * So a short part may have little error (a change by 1 in one place of a row of 4096 has less), and a long one has room beyond
 * that. The squares of all errors add up, so that 2^12 rows at the most of a long part come to {@link MAX_TILT}.
 */
export const OF_ALL_KEYS: ErrorLimit = (distance) =>
  Math.max(2 ** -22, Math.min(2 ** -7 * distance, 2 ** -10));

/**
 * Rows that were counted before may have so many times the error: they come back without those between them that added nothing, and
 * are rounded differently. None becomes unresolved by that.
 */
const ROOM_OF_COUNTED = 2;

/** All errors of a span together up to which rows are judged by it. */
const MAX_TILT = 2 ** -4;

/** Shortest part of which a vector is made: orthogonal to the others after three passes. */
const MIN_PART = 2 ** -40;

/** Part of a row of length 1 outside the span above which a direction without a larger error is new for certain. */
const CERTAIN = 2 ** -18;

/** A row of X. */
export class AskedRow {
  private known: string | undefined;

  constructor(readonly row: Int16Array) {}

  /** The same for all rows that are equal up to a rational factor. */
  get digest(): string {
    this.known ??= rowDigest(this.row);
    return this.known;
  }
}

/** A row in the coordinates of a basis. */
export interface Position {
  readonly coordinates: Float64Array;
  /** How far they may be from the row, as a length; the row has length 1. */
  readonly error: number;
  /** Of these coordinates. */
  readonly prepared?: PreparedRow | undefined;
}

/** A row as it was judged, ready to be added. */
export interface JudgedRow {
  readonly kind: RowKind;
  /** For all rows that were resolved, `new` ones among them. */
  readonly resolved?: Resolved;
}

/** State of a {@link RowSpace} to go back to. */
export interface RowSpaceMark {
  readonly directions: number;
  readonly basis: number;
  readonly unresolved: number;
}

/** The span of integer rows: its exact rank over the rationals, and an orthonormal basis. */
export class RowSpace {
  private unresolvedRows = 0;
  private modular: ModularRank | undefined;
  private readonly turns = new Turns();

  private readonly seen: Set<string>;

  constructor(
    private readonly inFeatures: number,
    private readonly limit: ErrorLimit,
    readonly basis = new RowBasis(),
    /** Independent rows. */
    private readonly rows: Int16Array[] = [],
    /** Digests of {@link rows}. */
    private readonly digests: string[] = [],
  ) {
    this.seen = new Set(digests);
  }

  /** Rank over the rationals of all rows. */
  get directions(): number {
    return this.rows.length;
  }

  /** Independent rows whose direction is not known well enough. */
  get unresolved(): number {
    return this.unresolvedRows;
  }

  /** Numbers held, in bytes. */
  get bytes(): number {
    return 8 * (this.basis.entries + (this.modular?.entries ?? 0)) + 2 * this.inFeatures * this.directions;
  }

  /**
   * @param asked its row is `[inFeatures]`
   * @param position gives the row in the coordinates of the basis
   * @param isCounted whether it is a row of the ledger
   */
  async judge(asked: AskedRow, position: () => Position, isCounted: boolean): Promise<JudgedRow> {
    const { row } = asked;
    if (this.directions >= this.inFeatures || row.every((value) => value === 0)) return { kind: 'known' };
    if (this.has(asked)) return { kind: 'known' };
    const { coordinates, error, prepared } = position();
    if (coordinates.every((value) => value === 0)) return { kind: await this.exactly(row) };
    const resolved = this.basis.resolve(coordinates, error, prepared);
    const isClear = this.isClear(resolved, isCounted);
    // without a vector for each row, what a row has in common with the others may seem to be outside
    const isWhole = this.basis.size === this.directions;
    if (isClear && isWhole && resolved.distance > CERTAIN) return { kind: 'new', resolved };
    const kind = await this.exactly(row);
    return { kind: kind === 'unresolved' && isClear ? 'new' : kind, resolved };
  }

  /** Whether a row is among those that were added, up to a factor. */
  has(asked: AskedRow): boolean {
    return this.seen.has(asked.digest);
  }

  /**
   * Adds a row that was judged `new` or `unresolved`.
   *
   * An unresolved one has its vector, too: not the direction that it adds, but all rows stay within the basis, up to rounding, and
   * can be given in its coordinates.
   *
   * @returns whether the basis has a vector more
   */
  add(asked: AskedRow, { kind, resolved }: JudgedRow): boolean {
    if (kind === 'known') return false;
    const { row, digest } = asked;
    this.rows.push(row);
    this.digests.push(digest);
    this.seen.add(digest);
    if (kind === 'unresolved') this.unresolvedRows += 1;
    if (resolved === undefined || resolved.distance < MIN_PART) return false;
    this.basis.add(resolved);
    return true;
  }

  mark(): RowSpaceMark {
    return { directions: this.directions, basis: this.basis.size, unresolved: this.unresolvedRows };
  }

  /** Forgets the rows that were added since. */
  rollBack({ directions, basis, unresolved }: RowSpaceMark): void {
    if (directions === this.directions) return;
    for (const digest of this.digests.splice(directions)) this.seen.delete(digest);
    this.rows.length = directions;
    this.basis.truncate(basis);
    this.unresolvedRows = unresolved;
    this.modular?.truncate(directions);
  }

  copy(): RowSpace {
    const other = new RowSpace(
      this.inFeatures,
      this.limit,
      this.basis.copy(),
      [...this.rows],
      [...this.digests],
    );
    other.unresolvedRows = this.unresolvedRows;
    return other;
  }

  private isClear({ distance, error }: Resolved, isCounted: boolean): boolean {
    const angle = error / distance;
    if (isCounted) return angle <= ROOM_OF_COUNTED * this.limit(distance);
    return angle <= this.limit(distance) && Math.hypot(angle, this.basis.tilt) <= MAX_TILT;
  }

  /** Built when it is first needed, for real activations never: their rounding keeps them apart. */
  private async exactly(row: Int16Array): Promise<RowKind> {
    this.modular ??= new ModularRank();
    while (this.modular.taken < this.directions) {
      this.modular.add(this.rows[this.modular.taken]!);
      await this.turns.did(this.inFeatures * this.modular.taken);
    }
    return this.modular.isIndependent(row) ? 'unresolved' : 'known';
  }
}

/** Of the row up to a rational factor. */
function rowDigest(row: Int16Array): string {
  let divisor = 0;
  for (const value of row) {
    divisor = gcd(Math.abs(value), divisor);
    if (divisor === 1) break;
  }
  const first = row.find((value) => value !== 0) ?? 1;
  const factor = Math.sign(first) * Math.max(1, divisor);
  // 32 bits: -32768 changes its sign
  const primitive = new Int32Array(row.length);
  for (let i = 0; i < row.length; i++) primitive[i] = row[i]! / factor;
  return Buffer.from(sha256Of(new Uint8Array(primitive.buffer))).toString('base64');
}

function gcd(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}

import type { ModuleEnergy } from './moduleEnergy.js';
import { type PreparedRow, type Resolved, rounding } from './rowBasis.js';
import {
  AskedRow,
  type ErrorLimit,
  OF_ALL_KEYS,
  OF_ONE_KEY,
  type Position,
  type RowKind,
  RowSpace,
} from './rowSpace.js';
import { Turns } from './turns.js';
import { length, scaled } from './vectors.js';

/**
 * Weights that one exact answer can hold, by packing: A x with |x| < 2^15 has at most 31 + log2(inFeatures) bits, a
 * weight of A 15, so that chosen integers reveal up to this many weights of a row of A for each direction. See
 * docs/leakage.md, "Chosen integers".
 */
export const PACKED_WEIGHTS = 3;

/** Figures of one module, for one user or for everybody. */
export interface Revealed {
  /** Rows that were answered, with repetitions. */
  readonly tokens: number;
  /** Rank of these rows over the rationals; rows that cannot be read any more count as independent. */
  readonly directions: number;
  /** ||Delta W P||_F^2 / ||Delta W||_F^2 at most, P the projector on the rows; 1 with a row that float64 cannot resolve. */
  readonly measured: number;
  /** Bound from the number of directions alone: {@link PACKED_WEIGHTS} times their share. */
  readonly packed: number;
  /** The larger of the two: what budgets are held against. */
  readonly counted: number;
}

/** Rows of one user, or of all. */
interface Level {
  readonly space: RowSpace;
  /** ||Delta W P||_F^2, by module. */
  energies: number[];
  tokens: number;
  /** Answered rows that cannot be read any more. */
  lost: number;
}

/** A row that is about to be added. */
export interface ComingRow {
  readonly asked: AskedRow;
  readonly whole: Float64Array;
  /** Where the rows were prepared together, against the basis over all users. */
  readonly overall?: PreparedRow;
  /** In the coordinates of that basis, against the user's own. */
  readonly mine?: PreparedRow;
}

/** Rows asked of modules that were always asked together: they share their input, and so their span. */
export class InputSpace {
  private readonly users = new Map<string, Level>();
  /** A v for each vector v of the basis over all users, by module. */
  private readonly projections: Float64Array[][] = [];
  private readonly turns = new Turns();
  /** Bytes of all levels. */
  private held: number;

  /** @param modules by index in the commitment; equally wide */
  constructor(
    readonly modules: ReadonlyMap<number, ModuleEnergy>,
    private readonly total = emptyLevel(widthOf(modules), modules.size, OF_ALL_KEYS),
  ) {
    this.held = bytesOf(total);
  }

  get inFeatures(): number {
    return widthOf(this.modules);
  }

  /** Independent rows of all users. */
  get directions(): number {
    return this.total.space.directions;
  }

  /** Users who asked anything. */
  get userKeys(): string[] {
    return [...this.users.keys()];
  }

  /** Counts rows, whether or not they add anything. @param lost how many of them nobody can read any more */
  addTokens(user: string, tokens: number, lost: number): void {
    for (const level of [this.total, this.level(user)]) {
      level.tokens += tokens;
      level.lost += lost;
    }
  }

  /**
   * Makes rows ready to be added: all work against the directions so far that they can share. Changes nothing.
   *
   * @param x int16, row-major `[rows, inFeatures]`, a few rows
   */
  async prepare(user: string, x: Int16Array): Promise<ComingRow[]> {
    const coming: ComingRow[] = [];
    for (let at = 0; at < x.length; at += this.inFeatures) {
      const row = x.slice(at, at + this.inFeatures);
      coming.push({ asked: new AskedRow(row), whole: new Float64Array(row) });
    }
    const own = this.level(user).space;
    if (own.directions >= this.inFeatures) return coming;
    const places = [...coming.keys()].filter((i) => {
      const { asked } = coming[i]!;
      return asked.row.some((value) => value !== 0) && !own.has(asked);
    });
    const wholes = places.map((i) => coming[i]!.whole);
    const { basis } = this.total.space;
    const overall = await basis.prepare(wholes, new Array<number>(wholes.length).fill(0), this.turns);
    if (overall.length === 0) return coming;
    const lengths = wholes.map(length);
    // as `resolve` gives them, where it finds that the vectors of the block itself change nothing about them
    const positions = overall.map(({ coordinates }, i) => scaled(coordinates, 1 / lengths[i]!));
    const outside = overall.map(({ rest }, i) => length(rest) / lengths[i]!);
    const mine = await own.basis.prepare(positions, outside, this.turns);
    for (const [i, place] of places.entries()) {
      const one = mine[i];
      coming[place] = { ...coming[place]!, overall: overall[i]!, ...(one !== undefined && { mine: one }) };
    }
    return coming;
  }

  /**
   * Adds a row.
   *
   * @param isCounted whether it is a row of the ledger
   * @returns what it adds for its user; what is known of the user is known of all
   */
  async addRow(user: string, coming: ComingRow, isCounted: boolean): Promise<RowKind> {
    const own = this.level(user);
    const before = bytesOf(this.total, own);
    const { asked, whole, overall: prepared } = coming;
    const overall = await this.total.space.judge(
      asked,
      () => ({ coordinates: whole, error: 0, prepared }),
      isCounted,
    );
    const isGrown = this.total.space.add(asked, overall);
    if (isGrown) {
      const { direction } = overall.resolved!;
      this.projections.push(this.energies().map((module) => module.project(direction)));
      this.reveal(this.total, this.projections.at(-1)!);
    }
    const mine = await own.space.judge(
      asked,
      () => this.position(coming, overall.resolved, isGrown),
      isCounted,
    );
    if (own.space.add(asked, mine)) this.reveal(own, this.combine(mine.resolved!.direction));
    this.held += bytesOf(this.total, own) - before;
    return mine.kind;
  }

  /** @param user everybody without it */
  revealed(module: number, user?: string): Revealed {
    const level =
      user === undefined ? this.total : (this.users.get(user) ?? emptyLevel(this.inFeatures, 0, OF_ONE_KEY));
    const place = [...this.modules.keys()].indexOf(module);
    const { total } = this.modules.get(module)!;
    const { unresolved } = level.space;
    const directions = Math.min(this.inFeatures, level.space.directions + level.lost);
    const energy = level.energies[place] ?? 0;
    const isAll = unresolved > 0 || level.space.directions >= this.inFeatures;
    const measured = isAll ? 1 : total === 0 ? 0 : atMost(energy / total, level.space.basis.tilt);
    const packed = Math.min(1, (PACKED_WEIGHTS * directions) / this.inFeatures);
    return { tokens: level.tokens, directions, measured, packed, counted: Math.max(measured, packed) };
  }

  /** Whether there is a row whose direction is not known. @param user everybody without it */
  isUnresolved(user?: string): boolean {
    const level = user === undefined ? this.total : this.users.get(user);
    return level !== undefined && level.space.unresolved > 0;
  }

  /** Memory held, in bytes. */
  get bytes(): number {
    return this.held + 8 * this.projections.length * this.energies().reduce((sum, { rank }) => sum + rank, 0);
  }

  /** Remembers the state; the returned function goes back to it. */
  mark(user: string): () => void {
    const own = this.level(user);
    const levels = [this.total, own];
    const states = levels.map(({ space, energies, tokens, lost }) => ({
      mark: space.mark(),
      energies: [...energies],
      tokens,
      lost,
    }));
    const vectors = this.projections.length;
    return () => {
      this.held -= bytesOf(...levels);
      for (const [i, level] of levels.entries()) {
        const { mark, energies, tokens, lost } = states[i]!;
        level.space.rollBack(mark);
        level.energies = energies;
        level.tokens = tokens;
        level.lost = lost;
      }
      this.projections.length = vectors;
      if (own.tokens === 0) this.users.delete(user);
      this.held += own.tokens === 0 ? bytesOf(this.total) : bytesOf(...levels);
    };
  }

  /** The same rows for some of the modules alone. */
  part(chosen: ReadonlySet<number>): InputSpace {
    const indices = [...this.modules.keys()];
    const places = indices.flatMap((module, place) => (chosen.has(module) ? [place] : []));
    const take = <T>(values: readonly T[]): T[] => places.map((place) => values[place]!);
    const copy = ({ space, energies, tokens, lost }: Level): Level => ({
      space: space.copy(),
      energies: take(energies),
      tokens,
      lost,
    });
    const modules = new Map([...this.modules].filter(([module]) => chosen.has(module)));
    const other = new InputSpace(modules, copy(this.total));
    for (const [user, level] of this.users) other.users.set(user, copy(level));
    other.held += bytesOf(...other.users.values());
    other.projections.push(...this.projections.map(take));
    return other;
  }

  private energies(): ModuleEnergy[] {
    return [...this.modules.values()];
  }

  private level(user: string): Level {
    const known = this.users.get(user);
    if (known !== undefined) return known;
    const fresh = emptyLevel(this.inFeatures, this.modules.size, OF_ONE_KEY);
    this.users.set(user, fresh);
    this.held += bytesOf(fresh);
    return fresh;
  }

  /**
   * A row in the coordinates of the basis over all users; what lies outside it is the error. Rows that made the basis lie
   * within it up to their own rounding, however uncertain its span is: what others asked has no part in the error of a user's basis.
   */
  private position(
    { whole, overall, mine }: ComingRow,
    resolved: Resolved | undefined,
    isGrown: boolean,
  ): Position {
    const { basis } = this.total.space;
    const { coordinates, distance } = resolved ?? basis.resolve(whole, 0, overall);
    const error = rounding(basis.size);
    if (!isGrown) return { coordinates, error: error + distance, prepared: mine };
    const grown = new Float64Array(coordinates.length + 1);
    grown.set(coordinates);
    grown[coordinates.length] = distance;
    return { coordinates: grown, error, prepared: mine };
  }

  /** A v of a vector that is given in these coordinates, by module. */
  private combine(direction: Float64Array): Float64Array[] {
    return this.energies().map(({ rank }, place) => {
      const sum = new Float64Array(rank);
      direction.forEach((factor, i) => {
        const projected = this.projections[i]![place]!;
        for (let j = 0; j < rank; j++) sum[j]! += factor * projected[j]!;
      });
      return sum;
    });
  }

  private reveal(level: Level, projected: readonly Float64Array[]): void {
    for (const [place, module] of this.energies().entries()) {
      level.energies[place]! += module.energy(projected[place]!);
    }
  }
}

/**
 * ||Delta W P||_F^2 / ||Delta W||_F^2 from the same for a basis that is uncertain: two projectors of one rank differ by at most the root
 * of 2 times the tilt in the Frobenius norm.
 */
function atMost(share: number, tilt: number): number {
  return Math.min(1, (Math.sqrt(share) + Math.SQRT2 * tilt) ** 2);
}

/** Objects of a level besides its rows and vectors: a key that sends nothing but zeros takes them as well. */
const LEVEL_BYTES = 1024;

function bytesOf(...levels: readonly Level[]): number {
  return levels.reduce((sum, { space }) => sum + LEVEL_BYTES + space.bytes, 0);
}

function widthOf(modules: ReadonlyMap<number, ModuleEnergy>): number {
  return modules.values().next().value!.inFeatures;
}

function emptyLevel(inFeatures: number, modules: number, limit: ErrorLimit): Level {
  return {
    space: new RowSpace(inFeatures, limit),
    energies: new Array<number>(modules).fill(0),
    tokens: 0,
    lost: 0,
  };
}

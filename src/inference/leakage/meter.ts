import type { QuantizedModule } from '../../adapter/types.js';
import { InputSpace, type Revealed } from './inputSpace.js';
import { ModuleEnergy } from './moduleEnergy.js';
import { blockRows } from './rowBlock.js';
import { Turns } from './turns.js';

/** Rows that were asked of modules which share an input. */
export interface AskedRows {
  /** Indices in the commitment, ascending. */
  readonly modules: readonly number[];
  readonly tokens: number;
  /** int16, row-major `[rows, inFeatures]`; rows that were counted before may be left out. */
  readonly x: Int16Array;
  /** Rows that were answered and cannot be read any more; each counts as a direction of its own. */
  readonly lost?: number;
}

/** What goes with rows: checks that may stop them from being added, by throwing. */
export interface AddChecks {
  /** They are of the ledger: what was resolved is not called unresolved now, though it is rounded differently. */
  readonly isCounted?: boolean;
  /** After each row that adds something to the module. */
  readonly row?: (module: number) => void;
  /** Now and then while rows are added. */
  readonly turn?: () => void;
  /** Last, once all rows are in. @param modules to which they added something */
  readonly end?: (modules: readonly number[]) => void;
}

/** Counts what answers give away of each module: for each user, and for all users together. */
export class LeakageMeter {
  readonly modules: readonly ModuleEnergy[];
  /** By module; modules whose rows were always the same share one. */
  private readonly spaces: (InputSpace | undefined)[];

  constructor(modules: readonly QuantizedModule[]) {
    this.modules = modules.map((module) => new ModuleEnergy(module));
    this.spaces = modules.map(() => undefined);
  }

  /** Users who asked anything. */
  get users(): string[] {
    return [...new Set(this.inputSpaces().flatMap(({ userKeys }) => userKeys))].sort();
  }

  /** Memory held, in bytes. */
  get bytes(): number {
    return this.inputSpaces().reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** @param user everybody without it */
  revealed(module: number, user?: string): Revealed {
    const space = this.spaces[module] ?? new InputSpace(new Map([[module, this.modules[module]!]]));
    return space.revealed(module, user);
  }

  /**
   * Whether there is a row that counts as everything, because float64 cannot tell the direction that it adds. It depends on the
   * rows alone.
   *
   * @param user everybody without it
   */
  isUnresolved(module: number, user?: string): boolean {
    return this.spaces[module]?.isUnresolved(user) ?? false;
  }

  /**
   * Adds rows, all of them or, when a check throws, none. One at a time: the caller waits for one before the next.
   *
   * @returns the rows that added something for the user
   */
  async add(user: string, asked: readonly AskedRows[], checks: AddChecks = {}): Promise<AskedRows[]> {
    const undo: (() => void)[] = [];
    try {
      const added: AskedRows[] = [];
      const turns = new Turns();
      for (const { modules, tokens, x, lost = 0 } of asked) {
        for (const space of this.spacesOf(modules)) {
          undo.push(space.mark(user));
          space.addTokens(user, tokens, lost);
          const { inFeatures } = space;
          const news: Int16Array[] = [];
          const block = inFeatures * Math.max(1, blockRows(inFeatures));
          for (let at = 0; at < x.length; at += block) {
            for (const coming of await space.prepare(user, x.subarray(at, at + block))) {
              if ((await space.addRow(user, coming, checks.isCounted ?? false)) !== 'known') {
                news.push(coming.asked.row);
                for (const module of space.modules.keys()) checks.row?.(module);
              }
              if (await turns.did(inFeatures * (16 + 4 * space.directions))) checks.turn?.();
            }
          }
          added.push({
            modules: [...space.modules.keys()],
            tokens,
            x: joined(news, inFeatures),
            ...(lost > 0 && { lost }),
          });
        }
      }
      checks.end?.(added.flatMap(({ modules, x }) => (x.length > 0 ? modules : [])));
      return added;
    } catch (error) {
      for (const step of undo.reverse()) step();
      throw error;
    }
  }

  private inputSpaces(): InputSpace[] {
    return [...new Set(this.spaces)].filter((space) => space !== undefined);
  }

  /** Spaces that hold exactly these modules together. */
  private spacesOf(modules: readonly number[]): InputSpace[] {
    const groups = new Map<InputSpace | undefined, number[]>();
    for (const module of modules) {
      const space = this.spaces[module];
      groups.set(space, [...(groups.get(space) ?? []), module]);
    }
    return [...groups].map(([space, members]) => {
      const chosen = new Set(members);
      if (space !== undefined && space.modules.size === chosen.size) return space;
      const own =
        space?.part(chosen) ??
        new InputSpace(new Map(members.map((module) => [module, this.modules[module]!])));
      if (space !== undefined) {
        const others = new Set([...space.modules.keys()].filter((module) => !chosen.has(module)));
        const rest = space.part(others);
        for (const module of others) this.spaces[module] = rest;
      }
      for (const module of members) this.spaces[module] = own;
      return own;
    });
  }
}

function joined(rows: readonly Int16Array[], width: number): Int16Array {
  const all = new Int16Array(rows.length * width);
  for (const [i, row] of rows.entries()) all.set(row, i * width);
  return all;
}

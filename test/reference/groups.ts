import { demand } from './refusal.js';

/** What the proof needs to know of a module. */
export interface ProvenModule {
  /** Index in the adapter commitment. */
  readonly index: number;
  /** Index of its input in the session header. */
  readonly input: number;
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly columnOffset: number;
}

/** Modules whose pairs are numbered together. */
export interface Group {
  /** K: pairs that their circuit holds; 0 in version 2, which has no circuit. */
  readonly circuit: number;
  /** P: pairs of the modules. */
  readonly pairs: number;
  /** Positions in the list of proven modules, ascending. */
  readonly positions: readonly number[];
}

/** The fixed rule of docs/protocol.md section 6, "Groups". */
export function groupsOf(modules: readonly ProvenModule[], circuitSizes: readonly number[]): Group[] {
  const largest = Math.max(...circuitSizes);
  const lists: number[][] = [];
  const sums: number[] = [];
  modules.forEach(({ rank }, position) => {
    demand(rank <= largest, 'a module has more pairs than the largest circuit');
    const last = lists.length - 1;
    if (last >= 0 && sums[last]! + rank <= largest) {
      lists[last]!.push(position);
      sums[last]! += rank;
    } else {
      lists.push([position]);
      sums.push(rank);
    }
  });
  return lists.map((positions, g) => ({
    circuit: Math.min(...circuitSizes.filter((size) => size >= sums[g]!)),
    pairs: sums[g]!,
    positions,
  }));
}

/** Version 2 has no groups: pairs are numbered through all modules. */
export function wholeGroup(modules: readonly ProvenModule[]): Group {
  const pairs = modules.reduce((sum, { rank }) => sum + rank, 0);
  return { circuit: 0, pairs, positions: [...modules.keys()] };
}

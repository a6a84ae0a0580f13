import type { StatementModule } from './statement.js';

/** Where the activations of one input meet the rows of the modules that read it. */
export interface Place {
  /** Index of the input in the session header. */
  readonly input: number;
  /** First place in the evaluation domain. */
  readonly offset: number;
  /** Positions of the modules in the statement, ascending. */
  readonly positions: readonly number[];
}

/** Names the place of a module: modules with one input at one offset share it. */
export function placeOf({ input, columnOffset }: StatementModule): string {
  return `${input}:${columnOffset}`;
}

/**
 * Sorts the inputs of a statement into lanes: sets of places that do not overlap, so that one polynomial holds all
 * inputs of a lane and another one all of their rows.
 *
 * A fixed rule, which a verifier follows too: places in ascending order of offset, then of input, each in the first
 * lane that ends at or before its offset. That gives as few lanes as the offsets allow. docs/protocol.md, "Lanes".
 */
export function lanesOf(modules: readonly StatementModule[]): Place[][] {
  const places = new Map<string, Place & { readonly end: number; readonly positions: number[] }>();
  modules.forEach((module, position) => {
    const { input, columnOffset, inFeatures } = module;
    const key = placeOf(module);
    const found = places.get(key);
    if (found) found.positions.push(position);
    else
      places.set(key, {
        input,
        offset: columnOffset,
        end: columnOffset + inFeatures,
        positions: [position],
      });
  });
  const ordered = [...places.values()].sort((a, b) => a.offset - b.offset || a.input - b.input);
  const lanes: { end: number; places: Place[] }[] = [];
  for (const { end, ...place } of ordered) {
    const lane = lanes.find((candidate) => candidate.end <= place.offset);
    if (lane) {
      lane.places.push(place);
      lane.end = end;
    } else lanes.push({ end, places: [place] });
  }
  return lanes.map((lane) => lane.places);
}

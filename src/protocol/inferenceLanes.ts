import type { ModuleBlinders } from '../adapter/blinders.js';
import {
  addVectors,
  combineMatrices,
  dotVectors,
  type Engine,
  type FieldVector,
  Fr,
  placeVector,
  subVector,
  vectorFromScalars,
  vectorLength,
  zeroVector,
} from '../algebra/index.js';
import { lanesOf } from './lanes.js';
import { type ModuleWeights, pairWeights } from './pairWeights.js';
import type { ProverContext } from './proveGroup.js';
import type { Lane, LaneSource } from './sumProve.js';

/** Blinders of the committed rows, by adapter index. */
export type BlindersByModule = ReadonlyMap<number, ModuleBlinders>;

/** Committed rows of one module in a lane, and their coefficients. */
interface Part {
  /** int16, row-major `[rank, width]` */
  readonly matrix: Int16Array;
  /** First place in the domain. */
  readonly offset: number;
  readonly weights: readonly bigint[];
  readonly blinders: readonly bigint[];
}

/** A public vector and the rows that it meets, all at the same place of the domain. */
interface Span {
  readonly known: FieldVector;
  /** Position of a module that reads the input; undefined for v. */
  readonly position?: number;
  readonly offset: number;
  readonly parts: readonly Part[];
}

/**
 * Products of an inference proof's sum: one for each lane of inputs (docs/protocol.md, "Lanes"), one for v.
 *
 * Row combinations are made when they are needed and not kept.
 *
 * @param inputsAt a(z) of each module's input at its place, from the Lagrange basis at z, where that is cheaper than
 * inner products with the inputs
 */
export function inferenceLanes(
  context: ProverContext,
  blinders: BlindersByModule,
  inputs: readonly (FieldVector | undefined)[],
  vPowers: FieldVector,
  t: bigint,
  rho: bigint,
  kappa: bigint,
  inputsAt?: (basis: FieldVector) => Promise<readonly bigint[]>,
): LaneSource {
  const { engine, statement } = context;
  const { domainSize } = statement;
  const weights = pairWeights(engine, statement, t, rho, kappa);
  const lanesOfSpans = spansOf(context, blinders, inputs, vPowers, weights);

  function* lanes(): Generator<Lane> {
    for (const spans of lanesOfSpans) {
      const known = zeroVector(domainSize);
      for (const { known: values, offset } of spans) placeVector(known, values, offset);
      const parts = spans.flatMap((span) => span.parts);
      yield { known, rows: combineParts(engine, parts, domainSize), blinder: blinderOf(parts) };
    }
  }

  return {
    lanes,
    combineAt: async (basis) => {
      const values = await inputsAt?.(basis);
      const knownAtPoint = ({ known, offset, position }: Span): bigint =>
        values && position !== undefined
          ? values[position]!
          : dotVectors(engine, known, subVector(basis, offset, vectorLength(known)));
      const scaled = lanesOfSpans.flatMap((spans) => {
        const here = spans.reduce((sum, span) => Fr.add(sum, knownAtPoint(span)), 0n);
        return spans.flatMap(({ parts }) =>
          parts.map((part) => ({ ...part, weights: part.weights.map((w) => Fr.mul(w, here)) })),
        );
      });
      return { values: combineParts(engine, scaled, domainSize), blinder: blinderOf(scaled) };
    },
  };
}

/** The lanes of the inputs, then the one of v. */
function spansOf(
  context: ProverContext,
  blinders: BlindersByModule,
  inputs: readonly (FieldVector | undefined)[],
  vPowers: FieldVector,
  weights: readonly ModuleWeights[],
): Span[][] {
  const { modules } = context.statement;
  const lanes = lanesOf(modules).map((places) =>
    places.map(({ input, offset, positions }) => ({
      known: inputs[input]!,
      offset,
      position: positions[0]!,
      parts: positions.map((position) => {
        const { index } = modules[position]!;
        return {
          matrix: context.modules[index]!.a,
          offset,
          weights: weights[position]!.a,
          blinders: blinders.get(index)!.a,
        };
      }),
    })),
  );
  const parts = modules.map(({ index }, position) => ({
    matrix: context.modules[index]!.bT,
    offset: 0,
    weights: weights[position]!.b,
    blinders: blinders.get(index)!.b,
  }));
  return [...lanes, [{ known: vPowers, offset: 0, parts }]];
}

function blinderOf(parts: readonly Part[]): bigint {
  let blinder = 0n;
  for (const { weights, blinders } of parts) {
    weights.forEach((w, j) => {
      blinder = Fr.add(blinder, Fr.mul(w, blinders[j]!));
    });
  }
  return blinder;
}

/** Parts that stand at the same places of the domain. */
interface Range {
  readonly offset: number;
  readonly cols: number;
  readonly parts: Part[];
}

function rangesOf(parts: readonly Part[]): Range[] {
  const ranges = new Map<string, Range>();
  for (const part of parts) {
    const { offset, matrix, weights } = part;
    const cols = matrix.length / weights.length;
    const key = `${offset}:${cols}`;
    const found = ranges.get(key);
    if (found) found.parts.push(part);
    else ranges.set(key, { offset, cols, parts: [part] });
  }
  return [...ranges.values()].sort((a, b) => a.offset - b.offset);
}

/** Sum of all rows with their weights, `[N]`. */
function combineParts(engine: Engine, parts: readonly Part[], domainSize: number): FieldVector {
  const values = zeroVector(domainSize);
  let filled = 0;
  for (const { offset, cols, parts: members } of rangesOf(parts)) {
    const coefficients = vectorFromScalars(
      engine,
      members.flatMap(({ weights }) => weights),
    );
    const matrices = members.map(({ matrix }) => matrix);
    const combined = combineMatrices(engine, coefficients, matrices, cols);
    // ranges come by their offsets: what lies behind the last end is still zero
    const overlap = Math.max(0, Math.min(filled - offset, cols));
    const sum = addVectors(engine, subVector(combined, 0, overlap), subVector(values, offset, overlap));
    placeVector(values, sum, offset);
    placeVector(values, subVector(combined, overlap, cols - overlap), offset + overlap);
    filled = Math.max(filled, offset + cols);
  }
  return values;
}

import {
  addVectors,
  combineMatrices,
  combineRows,
  dotVectors,
  type FieldVector,
  Fr,
  padVector,
  subVector,
  vectorFromScalars,
  vectorLength,
  zeroVector,
} from '../algebra/index.js';
import { type ModuleWeights, pairWeights } from './pairWeights.js';
import type { ProverContext } from './proveGroup.js';
import type { Lane, LaneSource } from './sumProve.js';

/** Committed rows of one module in a lane, and their coefficients. */
interface Part {
  /** int16, row-major `[rank, width]` */
  readonly matrix: Int16Array;
  readonly weights: readonly bigint[];
  readonly blinders: readonly bigint[];
}

/** A public vector and the rows that it meets, all at the same place of the domain. */
interface Span {
  readonly known: FieldVector;
  readonly offset: number;
  readonly parts: readonly Part[];
}

/**
 * Products of an inference proof's sum: one lane for each input and place of its rows, one for v.
 *
 * Row combinations are made when they are needed and not kept.
 */
export function inferenceLanes(
  context: ProverContext,
  inputs: readonly (FieldVector | undefined)[],
  vPowers: FieldVector,
  t: bigint,
  rho: bigint,
  kappa: bigint,
): LaneSource {
  const { engine, statement } = context;
  const { domainSize } = statement;
  const spans = spansOf(context, inputs, vPowers, pairWeights(engine, statement, t, rho, kappa));

  function* lanes(): Generator<Lane> {
    for (const { known, offset, parts } of spans) {
      let rows = zeroVector(domainSize);
      for (const { matrix, weights } of parts) {
        const cols = matrix.length / weights.length;
        const combined = combineRows(engine, vectorFromScalars(engine, weights), matrix, cols);
        rows = addVectors(engine, rows, padVector(combined, offset, domainSize));
      }
      yield { known: padVector(known, offset, domainSize), rows, blinder: blinderOf(parts) };
    }
  }

  return {
    lanes,
    combineAt: (basis) => {
      let values = zeroVector(domainSize);
      let blinder = 0n;
      for (const [offset, places] of placesOf(spans)) {
        const scaled = places.flatMap(({ known, parts }) => {
          const here = dotVectors(engine, known, subVector(basis, offset, vectorLength(known)));
          blinder = Fr.add(blinder, Fr.mul(here, blinderOf(parts)));
          return parts.map(({ matrix, weights }) => ({
            matrix,
            weights: weights.map((w) => Fr.mul(w, here)),
          }));
        });
        for (const [cols, parts] of byWidth(scaled)) {
          const coefficients = vectorFromScalars(
            engine,
            parts.flatMap(({ weights }) => weights),
          );
          const matrices = parts.map(({ matrix }) => matrix);
          const combined = combineMatrices(engine, coefficients, matrices, cols);
          values = addVectors(engine, values, padVector(combined, offset, domainSize));
        }
      }
      return { values, blinder };
    },
  };
}

function spansOf(
  context: ProverContext,
  inputs: readonly (FieldVector | undefined)[],
  vPowers: FieldVector,
  weights: readonly ModuleWeights[],
): Span[] {
  const { modules } = context.statement;
  const spans: Span[] = [];
  inputs.forEach((known, input) => {
    if (!known) return;
    const users = modules.flatMap((module, position) =>
      module.input === input ? [{ module, position }] : [],
    );
    for (const offset of new Set(users.map(({ module }) => module.columnOffset))) {
      const parts = users
        .filter(({ module }) => module.columnOffset === offset)
        .map(({ module, position }) => ({
          matrix: context.modules[module.index]!.a,
          weights: weights[position]!.a,
          blinders: context.blinders.get(module.index)!.a,
        }));
      spans.push({ known, offset, parts });
    }
  });
  const parts = modules.map(({ index }, position) => ({
    matrix: context.modules[index]!.bT,
    weights: weights[position]!.b,
    blinders: context.blinders.get(index)!.b,
  }));
  spans.push({ known: vPowers, offset: 0, parts });
  return spans;
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

function placesOf(spans: readonly Span[]): Map<number, Span[]> {
  const places = new Map<number, Span[]>();
  for (const span of spans) places.set(span.offset, [...(places.get(span.offset) ?? []), span]);
  return places;
}

function byWidth(parts: readonly Pick<Part, 'matrix' | 'weights'>[]) {
  const widths = new Map<number, Pick<Part, 'matrix' | 'weights'>[]>();
  for (const part of parts) {
    const width = part.matrix.length / part.weights.length;
    const found = widths.get(width);
    if (found) found.push(part);
    else widths.set(width, [part]);
  }
  return widths;
}

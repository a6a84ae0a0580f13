import {
  addScaled,
  addVectors,
  combineRows,
  dotVectors,
  type FieldVector,
  Fr,
  padVector,
  vectorFromScalars,
  zeroVector,
} from '../algebra/index.js';
import { pairWeights } from './pairWeights.js';
import type { ProverContext } from './proveGroup.js';
import type { Lane, LaneSource } from './sumProve.js';

/** Products of an inference proof's sum: one lane for each input, one for v. */
export function inferenceLanes(
  context: ProverContext,
  inputs: readonly (FieldVector | undefined)[],
  vPowers: FieldVector,
  t: bigint,
  rho: bigint,
  kappa: bigint,
): LaneSource {
  const { engine, statement } = context;
  const weights = pairWeights(engine, statement, t, rho, kappa);
  const { domainSize } = statement;
  const combine = (
    known: FieldVector,
    parts: readonly {
      matrix: Int16Array;
      offset: number;
      weights: readonly bigint[];
      blinders: readonly bigint[];
    }[],
    knownOffset: number,
  ): Lane => {
    let rows = zeroVector(domainSize);
    let blinder = 0n;
    for (const part of parts) {
      const coefficients = vectorFromScalars(engine, part.weights);
      const cols = part.matrix.length / part.weights.length;
      const combined = combineRows(engine, coefficients, part.matrix, cols);
      rows = addVectors(engine, rows, padVector(combined, part.offset, domainSize));
      part.weights.forEach((w, j) => {
        blinder = Fr.add(blinder, Fr.mul(w, part.blinders[j]!));
      });
    }
    return { known: padVector(known, knownOffset, domainSize), rows, blinder };
  };
  const lanes: Lane[] = [];
  inputs.forEach((known, input) => {
    const users = statement.modules.flatMap((module, position) =>
      module.input === input ? [{ module, position }] : [],
    );
    if (!known || users.length === 0) return;
    const parts = users.map(({ module, position }) => ({
      matrix: context.modules[module.index]!.a,
      offset: module.columnOffset,
      weights: weights[position]!.a,
      blinders: context.blinders.get(module.index)!.a,
    }));
    lanes.push(combine(known, parts, users[0]!.module.columnOffset));
  });
  const columns = statement.modules.map(({ index }, position) => ({
    matrix: context.modules[index]!.bT,
    offset: 0,
    weights: weights[position]!.b,
    blinders: context.blinders.get(index)!.b,
  }));
  lanes.push(combine(vPowers, columns, 0));
  return {
    lanes: () => lanes,
    combineAt: (basis) => {
      let values = zeroVector(domainSize);
      let blinder = 0n;
      for (const lane of lanes) {
        const known = dotVectors(engine, lane.known, basis);
        values = addScaled(engine, values, lane.rows, known);
        blinder = Fr.add(blinder, Fr.mul(known, lane.blinder));
      }
      return { values, blinder };
    },
  };
}

import { type Engine, type FieldVector, Fr, powersVector, vectorToScalars } from '../algebra/index.js';
import { groupPairs, type Statement } from './statement.js';

/** Coefficients of one module's rows in the identity that the KZG part proves. */
export interface ModuleWeights {
  /** t^position kappa^group rho^(l+1) for each row of A, `[rank]`. */
  readonly a: readonly bigint[];
  /** kappa^group rho^(P+l+1) for each column of B, `[rank]`. */
  readonly b: readonly bigint[];
}

/**
 * Row coefficients of every module of a statement, by position; l is the pair's index in its group, P the
 * number of the group's pairs. docs/protocol.md, "The identity on H".
 */
export function pairWeights(
  engine: Engine,
  statement: Statement,
  t: bigint,
  rho: bigint,
  kappa: bigint,
): ModuleWeights[] {
  const weights = statement.modules.map(() => ({ a: [] as bigint[], b: [] as bigint[] }));
  let groupWeight = 1n;
  for (const group of statement.groups) {
    const powers = vectorToScalars(engine, weightPowers(engine, rho, group.pairs, groupWeight));
    const moduleWeights = new Map(group.members.map((position) => [position, Fr.pow(t, BigInt(position))]));
    groupPairs(statement, group).forEach(({ position }, l) => {
      weights[position]!.a.push(Fr.mul(moduleWeights.get(position)!, powers[l]!));
      weights[position]!.b.push(powers[group.pairs + l]!);
    });
    groupWeight = Fr.mul(groupWeight, kappa);
  }
  return weights;
}

/** groupWeight rho^(i+1) for i < 2 pairs: of the group's rows of A, then of its columns of B. */
export function weightPowers(engine: Engine, rho: bigint, pairs: number, groupWeight: bigint): FieldVector {
  return powersVector(engine, rho, 2 * pairs, Fr.mul(rho, groupWeight));
}

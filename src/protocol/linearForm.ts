import {
  constantVector,
  type Engine,
  type FieldVector,
  G1_BYTES,
  hashToG1,
  placeVector,
  zeroVector,
} from '../algebra/index.js';
import { IC_INDEX, type VerificationKey } from '../circuit/verificationKey.js';
import { weightPowers } from './pairWeights.js';

let pointU: ReturnType<typeof hashToG1> | undefined;

/** The point U that carries the form's value: no relation to any other base is known to anybody. */
export function formPoint(): ReturnType<typeof hashToG1> {
  pointU ??= hashToG1('zklora/linear-form/U/v1');
  return pointU;
}

/**
 * Coefficients `[2P+2]` of the linear form on (mu, b, p_0.., q_0..) of a group with P pairs: mu has 1, b has 0, p_l has
 * rho^(l+1) and q_l has rho^(P+l+1). The circuit's places without a pair are not among them: they have no base either.
 */
export function formVector(engine: Engine, rho: bigint, pairs: number): FieldVector {
  const vector = zeroVector(2 * pairs + 2);
  placeVector(vector, constantVector(engine, 1n, 1), 0);
  placeVector(vector, weightPowers(engine, rho, pairs, 1n), 2);
  return vector;
}

/** Folding rounds of a form over 2P+2 values. */
export function foldingRounds(pairs: number): number {
  // bits of 2P+1: a logarithm need not be exact everywhere
  return 32 - Math.clz32(2 * pairs + 1);
}

/**
 * The points that the form's values are committed with, `[2P+2]`: IC of mu, b and the pairs' p, and of their q. Views.
 *
 * @param key of a circuit for K >= P pairs
 */
export function formBases({ ic, pairs: circuit }: VerificationKey, pairs: number): [Uint8Array, Uint8Array] {
  const points = (from: number, count: number) => ic.subarray(from * G1_BYTES, (from + count) * G1_BYTES);
  return [points(IC_INDEX.mu, 2 + pairs), points(IC_INDEX.p + circuit, pairs)];
}

import {
  type Engine,
  type FieldVector,
  hashToG1,
  placeVector,
  powersVector,
  zeroVector,
} from '../algebra/index.js';

let pointU: ReturnType<typeof hashToG1> | undefined;

/** The point U that carries the form's value: no relation to any other base is known to anybody. */
export function formPoint(): ReturnType<typeof hashToG1> {
  pointU ??= hashToG1('zklora/linear-form/U/v1');
  return pointU;
}

/**
 * Coefficients of the linear form on (mu, b, p_0.., q_0..): mu has 1, b has 0, p_l has rho^(l+1) and q_l has
 * rho^(K+l+1), for all K positions of the circuit. Padding keeps its non-zero coefficients: that forces padded
 * pairs to zero, since the KZG side has nothing there.
 */
export function formVector(engine: Engine, rho: bigint, pairs: number): FieldVector {
  const vector = zeroVector(2 * pairs + 2);
  placeVector(vector, powersVector(engine, 1n, 1), 0);
  placeVector(vector, powersVector(engine, rho, 2 * pairs, rho), 2);
  return vector;
}

/** Folding rounds of a form over 2K+2 values. */
export function foldingRounds(pairs: number): number {
  return Math.log2(2 * pairs + 2);
}

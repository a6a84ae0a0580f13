import {
  type Engine,
  type G1Point,
  joinPoints,
  multiScalarMultiply,
  vectorFromScalars,
} from '../../../src/algebra/index.js';
import { commitPolynomial, type ProverSrs } from '../../../src/kzg/index.js';
import { mod } from '../../reference/field.js';
import type { Polynomial } from './polynomial.js';

/** One term of a linear combination. */
export type Term = readonly [bigint, Uint8Array];

/** sum of scalar * point */
export async function combine(engine: Engine, terms: readonly Term[]): Promise<G1Point> {
  const scalars = vectorFromScalars(
    engine,
    terms.map(([scalar]) => mod(scalar)),
  );
  return (await multiScalarMultiply(engine, joinPoints(terms.map(([, point]) => point)), scalars)) as G1Point;
}

/** Points of a buffer, 64 bytes each. */
export function pointsOf(buffer: Uint8Array): Uint8Array[] {
  return Array.from({ length: buffer.length / 64 }, (_, i) => buffer.slice(i * 64, (i + 1) * 64));
}

/** Commitment to a polynomial of at most N + 3 coefficients. */
export function commit(engine: Engine, srs: ProverSrs, polynomial: Polynomial): Promise<G1Point> {
  return commitPolynomial(engine, srs, vectorFromScalars(engine, polynomial));
}

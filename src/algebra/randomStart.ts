/**
 * Random points that sums of points start from, so that additions whose formulas are not complete meet nothing that
 * they do not cover; and how to see that one did.
 */
import { bytesToNumberBE } from '@noble/curves/utils.js';
import { pointQuad } from './curveKernels.js';
import type { Engine } from './engine.js';
import { encodeG1, G1_JACOBIAN_BYTES, type G1Point } from './points.js';
import { randomScalar, SCALAR_BYTES } from './scalar.js';
import { vectorFromScalars } from './vector.js';

/** Jacobian point in ffjavascript's form. */
export type JacobianPoint = Uint8Array;

/** A point whose logarithm nobody but this process knows. */
interface RandomPoint {
  readonly scalar: bigint;
  readonly quad: Uint8Array;
}

/** Where sums start. */
export interface RandomStart {
  readonly running: RandomPoint;
  readonly total: RandomPoint;
  /** What they add to a whole sum, by its plan; see multiExp.ts. */
  readonly surpluses: Map<string, JacobianPoint>;
}

const starts = new WeakMap<Engine, RandomStart>();

/** The random points of an engine, drawn when they are first needed. */
export function startOf(engine: Engine): RandomStart {
  let start = starts.get(engine);
  if (!start) {
    start = { running: randomPoint(engine), total: randomPoint(engine), surpluses: new Map() };
    starts.set(engine, start);
  }
  return start;
}

function randomPoint(engine: Engine): RandomPoint {
  const scalar = randomScalar();
  const bytes = encodeG1(timesGenerator(engine, scalar) as G1Point);
  const [x, y] = [bytesToNumberBE(bytes.subarray(0, 32)), bytesToNumberBE(bytes.subarray(32))];
  return { scalar, quad: pointQuad(x, y) };
}

/** Affine. */
export function timesGenerator(engine: Engine, scalar: bigint): Uint8Array {
  const { G1 } = engine.curve;
  return G1.toAffine(G1.timesFr(G1.g, vectorFromScalars(engine, [scalar])));
}

/** Whether one of several Jacobian points, 96 bytes each, has a zero Z. */
export function anyZeroZ(points: Uint8Array): boolean {
  for (let at = 0; at < points.byteLength; at += G1_JACOBIAN_BYTES) {
    if (hasZeroZ(points.subarray(at, at + G1_JACOBIAN_BYTES))) return true;
  }
  return false;
}

export function hasZeroZ(point: JacobianPoint): boolean {
  return point.subarray(2 * SCALAR_BYTES).every((byte) => byte === 0);
}

/**
 * Random points that sums of points start from, so that additions whose formulas are not complete meet nothing that
 * they do not cover; and how to see that one did.
 */
import { pointQuad } from './curveKernels.js';
import type { Engine } from './engine.js';
import type { GroupName } from './points.js';
import { randomScalar } from './scalar.js';
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
  /** See {@link surplusOf}. */
  readonly surpluses: Map<string, JacobianPoint>;
}

const starts = { G1: new WeakMap<Engine, RandomStart>(), G2: new WeakMap<Engine, RandomStart>() };

/** The random points of an engine, drawn when they are first needed. */
export function startOf(engine: Engine, group: GroupName): RandomStart {
  let start = starts[group].get(engine);
  if (!start) {
    start = { running: randomPoint(engine, group), total: randomPoint(engine, group), surpluses: new Map() };
    starts[group].set(engine, start);
  }
  return start;
}

/**
 * What the random points add to a whole sum, Jacobian with Z = 1; made once for each plan.
 *
 * @param plan names the kind of sum, and all that its scalar depends on besides the start
 */
export function surplusOf(
  engine: Engine,
  group: GroupName,
  plan: string,
  scalarOf: (start: RandomStart) => bigint,
): JacobianPoint {
  const start = startOf(engine, group);
  let surplus = start.surpluses.get(plan);
  if (!surplus) {
    surplus = engine.curve[group].toJacobian(timesGenerator(engine, group, scalarOf(start)));
    start.surpluses.set(plan, surplus);
  }
  return surplus;
}

function randomPoint(engine: Engine, group: GroupName): RandomPoint {
  const scalar = randomScalar();
  const point = engine.curve[group].toObject(timesGenerator(engine, group, scalar));
  return { scalar, quad: pointQuad((point as Coordinate[]).flat()) };
}

/** As the library gives coordinates: in G2 pairs. */
type Coordinate = bigint | readonly bigint[];

/** Affine. */
function timesGenerator(engine: Engine, group: GroupName, scalar: bigint): Uint8Array {
  const curve = engine.curve[group];
  return curve.toAffine(curve.timesFr(curve.g, vectorFromScalars(engine, [scalar])));
}

/** Whether one of several Jacobian points, `bytes` each, has a zero Z. */
export function anyZeroZ(points: Uint8Array, bytes: number): boolean {
  for (let at = 0; at < points.byteLength; at += bytes) {
    if (hasZeroZ(points.subarray(at, at + bytes))) return true;
  }
  return false;
}

export function hasZeroZ(point: JacobianPoint): boolean {
  return point.subarray((2 * point.byteLength) / 3).every((byte) => byte === 0);
}

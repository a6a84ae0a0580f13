import {
  type Engine,
  type FieldVector,
  Fr,
  type G1Point,
  type G2Point,
  g1Generator,
  g2Generator,
  interpolate,
  isIdentity,
  PairingProduct,
  powersVector,
  randomScalar,
} from '../algebra/index.js';
import { sumPoints } from '../algebra/pointBatch.js';
import { type GroupName, POINT_BYTES } from '../algebra/points.js';
import { equalBytes } from '../bytes.js';

// Randomised checks of points that lie on the curve and, in G2, in the subgroup. The weights are the powers of one
// random scalar from the operating system: a wrong list passes with probability below its length / R.

/**
 * Whether each point is tau times the one before: `e(sum r^i P_i, tau G2) = e(sum r^i P_(i+1), G2)`, and none of them
 * the first one or the identity.
 *
 * A tau of order at most n - 1 fails: with `tau^N = 1`, that is tau in H, all Lagrange points but one are the identity
 * and a commitment shows a single entry.
 *
 * @param points G1, affine, in ffjavascript's form, `[n]` with n >= 2; says nothing about the first one
 */
export async function arePowersInG1(engine: Engine, points: Uint8Array, tauG2: G2Point): Promise<boolean> {
  if (!isAperiodic(points, POINT_BYTES.G1)) return false;
  const { low, high } = await neighbours(engine, 'G1', points);
  if (isIdentity(engine, low) || isIdentity(engine, high)) return false;
  const product = new PairingProduct(engine);
  product.add(tauG2, 1n, low);
  product.add(g2Generator(engine), Fr.neg(1n), high);
  return product.isOne();
}

/**
 * Whether each G2 point is tau times the one before: `e(tau G, sum r^i P_i) = e(G, sum r^i P_(i+1))`, and none of them
 * the first one or the identity.
 */
export async function arePowersInG2(engine: Engine, points: Uint8Array, tauG1: G1Point): Promise<boolean> {
  if (!isAperiodic(points, POINT_BYTES.G2)) return false;
  const { low, high } = await neighbours(engine, 'G2', points);
  const { G2 } = engine.curve;
  if (G2.isZero(low) || G2.isZero(high)) return false;
  const product = new PairingProduct(engine);
  product.add(low as G2Point, 1n, tauG1);
  product.add(high as G2Point, Fr.neg(1n), g1Generator(engine));
  return product.isOne();
}

async function neighbours(
  engine: Engine,
  group: GroupName,
  points: Uint8Array,
): Promise<{ low: Uint8Array; high: Uint8Array }> {
  const size = POINT_BYTES[group];
  const weights = randomWeights(engine, points.length / size - 1);
  return {
    low: await sumPoints(engine, group, points.subarray(0, points.length - size), weights),
    high: await sumPoints(engine, group, points.subarray(size), weights),
  };
}

/** Whether no point but the first has the first's bytes, and none is the identity, all zeros. */
function isAperiodic(points: Uint8Array, size: number): boolean {
  const first = points.subarray(0, size);
  for (let at = 0; at < points.length; at += size) {
    const point = points.subarray(at, at + size);
    if (isAllZero(point) || (at > 0 && equalBytes(point, first))) return false;
  }
  return true;
}

function isAllZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/**
 * Whether points are the Lagrange basis that belongs to powers, without the identity: both commit to one random
 * polynomial alike. Where tau lies in the domain, all points of the basis but one are the identity.
 *
 * @param powers `c tau^i` times a generator, `[at least N]`
 * @param lagrange `c L_i(tau)` times the same generator, `[N]`
 */
export async function isLagrangeBasis(
  engine: Engine,
  group: GroupName,
  powers: Uint8Array,
  lagrange: Uint8Array,
): Promise<boolean> {
  const size = POINT_BYTES[group];
  for (let at = 0; at < lagrange.length; at += size) {
    if (isAllZero(lagrange.subarray(at, at + size))) return false;
  }
  const values = randomWeights(engine, lagrange.length / size);
  const byValues = await sumPoints(engine, group, lagrange, values);
  const byCoefficients = await sumPoints(engine, group, powers, interpolate(engine, values));
  return engine.curve[group].eq(byValues, byCoefficients);
}

function randomWeights(engine: Engine, count: number): FieldVector {
  return powersVector(engine, randomScalar(), count);
}

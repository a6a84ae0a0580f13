import { concatBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { ahead } from './ahead.js';
import { combinePoints } from './combinePoints.js';
import { shortForm } from './endomorphism.js';
import type { Engine } from './engine.js';
import { bucketSum, bucketSumRows, MIN_BUCKET_TERMS } from './multiExp.js';
import { G1_BYTES, type G1Point, type G2Point, hasIdentity } from './points.js';
import { Fr, SCALAR_BYTES } from './scalar.js';
import { type FieldVector, vectorFromScalars, vectorLength, vectorToBytes } from './vector.js';

/** Affine point that may be the identity (all zero bytes), 64 bytes in ffjavascript's form. */
export type G1Sum = Uint8Array;

/** Generator of G1. */
export function g1Generator(engine: Engine): G1Point {
  return engine.curve.G1.gAffine as G1Point;
}

/** Generator of G2. */
export function g2Generator(engine: Engine): G2Point {
  return engine.curve.G2.gAffine as G2Point;
}

/** Whether a sum is the identity. */
export function isIdentity(engine: Engine, point: G1Sum): boolean {
  return engine.curve.G1.isZero(point);
}

/** Joins points into one buffer of bases, 64 bytes each. */
export function joinPoints(points: readonly G1Sum[]): Uint8Array {
  const bases = new Uint8Array(points.length * G1_BYTES);
  points.forEach((point, i) => {
    bases.set(point, i * G1_BYTES);
  });
  return bases;
}

/**
 * `sum_i scalars[i] * bases[i]`, affine; bases may be the identity.
 *
 * @param allBases as many as scalars, or more: the first are used
 * @throws ZkLoraError `INTERNAL` for fewer
 */
export async function multiScalarMultiply(
  engine: Engine,
  allBases: Uint8Array,
  scalars: FieldVector,
): Promise<G1Sum> {
  const { G1 } = engine.curve;
  const count = vectorLength(scalars);
  const bases = allBases.subarray(0, count * G1_BYTES);
  if (bases.byteLength !== count * G1_BYTES) throw new ZkLoraError('INTERNAL', 'a scalar has no base');
  if (count >= MIN_BUCKET_TERMS) {
    // the engine's own, see speedUpLibrary
    return G1.toAffine(await G1.multiExpAffine(bases, vectorToBytes(engine, scalars)));
  }
  if (count > 1 && !hasIdentity(bases)) {
    const sum = await bucketSum(engine, bases, vectorToBytes(engine, scalars));
    if (sum) return G1.toAffine(sum);
  }
  let sum = G1.zero;
  for (let i = 0; i < count; i++) {
    const base = bases.slice(i * G1_BYTES, (i + 1) * G1_BYTES);
    sum = G1.add(sum, G1.timesFr(G1.toJacobian(base), scalars.slice(i * 32, (i + 1) * 32)));
  }
  return G1.toAffine(sum);
}

/**
 * `sum_i rows[r][i] * bases[i]` for each row, affine.
 *
 * @param rows int16, each `[number of bases]`
 */
export async function multiplyIntegerRows(
  engine: Engine,
  bases: Uint8Array,
  rows: readonly Int16Array[],
): Promise<G1Sum[]> {
  const { G1 } = engine.curve;
  const sums = hasIdentity(bases) ? [] : await bucketSumRows(engine, bases, rows);
  const jacobian = await Promise.all(
    rows.map(async (row, r) => {
      const sum = sums[r];
      if (sum) return sum;
      const integers = vectorFromScalars(
        engine,
        Array.from(row, (value) => Fr.create(BigInt(value))),
      );
      return G1.multiExpAffine(bases, vectorToBytes(engine, integers));
    }),
  );
  const affine = await G1.batchToAffine(concatBytes(...jacobian));
  return rows.map((_, r) => affine.slice(r * G1_BYTES, (r + 1) * G1_BYTES));
}

/** `out[i] = sum_j scalars[j] * points[j * m + i]` for i < m = points / scalars, affine; {@link ahead} of other work. */
export async function foldPoints(
  engine: Engine,
  points: Uint8Array,
  scalars: readonly bigint[],
): Promise<Uint8Array> {
  const { G1 } = engine.curve;
  const count = points.byteLength / G1_BYTES / scalars.length;
  const folded = hasIdentity(points)
    ? new Uint8Array(count * G1_BYTES)
    : await ahead(engine, () => combinePoints(engine, points, scalars.map(shortForm)));
  const factors = vectorFromScalars(engine, scalars);
  for (let i = 0; i < count; i++) {
    const out = folded.subarray(i * G1_BYTES, (i + 1) * G1_BYTES);
    if (!hasIdentity(out)) continue;
    const sum = scalars.reduce((rest, _scalar, j) => {
      const at = (j * count + i) * G1_BYTES;
      const point = G1.toJacobian(points.slice(at, at + G1_BYTES));
      return G1.add(rest, G1.timesFr(point, factors.slice(j * SCALAR_BYTES, (j + 1) * SCALAR_BYTES)));
    }, G1.zero);
    out.set(G1.toAffine(sum));
  }
  return folded;
}

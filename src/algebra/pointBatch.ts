import { randomBytes } from '@noble/hashes/utils.js';
import type { Engine } from './engine.js';
import { MAX_TERMS } from './multiExp.js';
import { G2_BYTES, type GroupName, POINT_BYTES } from './points.js';
import { Q, R, SCALAR_BYTES } from './scalar.js';
import { type FieldVector, subVector, vectorLength, vectorToBytes } from './vector.js';

const ON_CURVE: Readonly<Record<GroupName, string>> = {
  G1: 'g1m_inCurveAffine',
  G2: 'g2m_inCurveAffine',
};

/** Points in WebAssembly memory at once. */
const CURVE_CHUNK = 2 ** 13;

const TOP_WORD = Number(Q >> 224n);

/**
 * Index of the first point that has a coordinate not below Q or is not on the curve; null if there is none.
 *
 * G2 points may still lie outside the subgroup: see {@link areInSubgroup}.
 *
 * @param points affine, in ffjavascript's form; the identity is 64 (G1) or 128 (G2) zero bytes
 */
export function firstInvalidPoint(
  engine: Engine,
  group: GroupName,
  points: Uint8Array,
  identity: 'allowed' | 'refused',
): number | null {
  const size = POINT_BYTES[group];
  for (let from = 0; from < points.length; from += CURVE_CHUNK * size) {
    const chunk = points.subarray(from, from + CURVE_CHUNK * size);
    const found = engine.sync(({ call, put }) => {
      const address = put(chunk);
      for (let at = 0; at < chunk.length; at += size) {
        const point = chunk.subarray(at, at + size);
        if (point.every((byte) => byte === 0)) {
          if (identity === 'refused') return at;
        } else if (!isCanonical(point) || call[ON_CURVE[group]]!(address + at) !== 1) {
          return at;
        }
      }
      return null;
    });
    if (found !== null) return (from + found) / size;
  }
  return null;
}

/** Whether every coordinate, 32 bytes little-endian, is below Q. */
function isCanonical(point: Uint8Array): boolean {
  const view = new DataView(point.buffer, point.byteOffset, point.byteLength);
  for (let at = 0; at < point.length; at += SCALAR_BYTES) {
    const top = view.getUint32(at + SCALAR_BYTES - 4, true);
    if (top < TOP_WORD) continue;
    if (top > TOP_WORD) return false;
    let value = 0n;
    for (let word = 3; word >= 0; word--) value = (value << 64n) | view.getBigUint64(at + 8 * word, true);
    if (value >= Q) return false;
  }
  return true;
}

/** `sum_i scalars[i] * points[i]`, affine; the identity as zero bytes. */
export async function sumPoints(
  engine: Engine,
  group: GroupName,
  points: Uint8Array,
  scalars: FieldVector,
): Promise<Uint8Array> {
  const operations = engine.curve[group];
  const size = POINT_BYTES[group];
  let sum = operations.zero;
  for (let from = 0; from < vectorLength(scalars); from += MAX_TERMS) {
    const count = Math.min(MAX_TERMS, vectorLength(scalars) - from);
    const part = await operations.multiExpAffine(
      points.subarray(from * size, (from + count) * size),
      vectorToBytes(engine, subVector(scalars, from, count)),
    );
    sum = operations.add(sum, part);
  }
  return operations.toAffine(sum);
}

/**
 * The order of the curve group over F_(Q^2) is R times 10069 * 5864401 * 1875725156269 * (a 117-bit prime): a sum
 * with random 16-bit weights hides a point outside the subgroup with probability at most 7 / 2^16.
 */
const SUBGROUP_ROUNDS = 10;
const SUBGROUP_SCALAR_BYTES = 2;

/**
 * Whether G2 points, known to be on the curve, all lie in the subgroup of order R.
 *
 * Randomised: wrong with probability below 2^-128.
 */
export async function areInSubgroup(engine: Engine, points: Uint8Array): Promise<boolean> {
  const { G2 } = engine.curve;
  const count = points.length / G2_BYTES;
  for (let round = 0; count > 0 && round < SUBGROUP_ROUNDS; round++) {
    let sum = G2.zero;
    for (let from = 0; from < count; from += MAX_TERMS) {
      const size = Math.min(MAX_TERMS, count - from);
      const weights = randomBytes(size * SUBGROUP_SCALAR_BYTES);
      const part = points.subarray(from * G2_BYTES, (from + size) * G2_BYTES);
      sum = G2.add(sum, await G2.multiExpAffine(part, weights));
    }
    // timesScalar does not reduce its scalar, as timesFr would
    if (!G2.isZero(G2.timesScalar(sum, R))) return false;
  }
  return true;
}

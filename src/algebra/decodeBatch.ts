import { ZkLoraError } from '../errors.js';
import { isBelow, Q_BYTES } from './coordinates.js';
import type { Engine } from './engine.js';
import { G1_BYTES } from './points.js';
import { SCALAR_BYTES } from './scalar.js';

/** Points in WebAssembly memory at once. */
const CHUNK = 2 ** 13;

/**
 * Reads many points x | y, 32 bytes each, big-endian, with the checks of `decodeG1` on each.
 *
 * @returns the points in ffjavascript's form, 64 bytes each
 * @throws ZkLoraError `POINT_INVALID` for a coordinate not below Q, a point off the curve, or the identity.
 */
export function decodeG1Batch(engine: Engine, bytes: Uint8Array): Uint8Array {
  if (bytes.length % G1_BYTES !== 0) throw invalid(`${bytes.length} bytes are no list of points`);
  for (let at = 0; at < bytes.length; at += SCALAR_BYTES) {
    if (!isBelow(bytes, at, Q_BYTES)) throw invalid('coordinate is not below the field order');
  }
  const points = new Uint8Array(bytes.length);
  for (let from = 0; from < bytes.length; from += CHUNK * G1_BYTES) {
    const chunk = bytes.subarray(from, from + CHUNK * G1_BYTES);
    const decoded = engine.sync(({ call, put, get }) => {
      const address = put(chunk);
      call.g1m_batchUtoLEM!(address, chunk.length / G1_BYTES, address);
      for (let at = 0; at < chunk.length; at += G1_BYTES) {
        // to ffjavascript the identity is on the curve
        if (call.g1m_isZeroAffine!(address + at) !== 0) throw invalid('the identity is not allowed here');
        if (call.g1m_inCurveAffine!(address + at) !== 1) throw invalid('not on the curve G1');
      }
      return get(address, chunk.length);
    });
    points.set(decoded, from);
  }
  return points;
}

function invalid(reason: string): ZkLoraError {
  return new ZkLoraError('POINT_INVALID', `point refused: ${reason}`);
}

import { toBytes } from '../littleEndian.js';
import { sha256Of } from '../sha256.js';

const known = new WeakMap<BigInt64Array, Uint8Array>();

/** SHA-256 of integers as they travel. They do not change any more: an array is hashed once, however often it is asked for. */
export function contentDigest(values: BigInt64Array): Uint8Array {
  let digest = known.get(values);
  if (digest === undefined) {
    digest = sha256Of(toBytes(values));
    known.set(values, digest);
  }
  return digest;
}

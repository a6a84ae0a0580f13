import { numberToBytesBE } from '@noble/curves/utils.js';
import { Q, SCALAR_BYTES } from './scalar.js';

/** Q, 32 bytes, big-endian. */
export const Q_BYTES = numberToBytesBE(Q, SCALAR_BYTES);

/** (Q + 1) / 2: the larger ones of y and -y are those from here on. */
export const LARGE_BYTES = numberToBytesBE((Q + 1n) / 2n, SCALAR_BYTES);

/** Whether the 32 bytes at `at`, big-endian, are below a bound of 32 bytes. */
export function isBelow(bytes: Uint8Array, at: number, bound: Uint8Array): boolean {
  for (let i = 0; i < SCALAR_BYTES; i++) {
    const difference = bytes[at + i]! - bound[i]!;
    if (difference !== 0) return difference < 0;
  }
  return false;
}

import { bytesToNumberBE } from '@noble/curves/utils.js';
import { concatBytes, labelledSha256 } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { decodeG1Compressed, type G1Point } from './points.js';
import { Q } from './scalar.js';

/** Each attempt succeeds with probability 1/2 or so; the label is fixed, so this is a formality. */
const MAX_ATTEMPTS = 256;

/**
 * Point of G1 whose discrete logarithm nobody knows, from a label.
 *
 * Try and increment: for counter = 0, 1, ...: x = (H(label, counter, 0) | H(label, counter, 1)) mod Q, big-endian;
 * the first x on the curve, with the smaller y. docs/protocol.md, "The point U".
 */
export function hashToG1(label: string): G1Point {
  for (let counter = 0; counter < MAX_ATTEMPTS; counter++) {
    const wide = concatBytes(
      labelledSha256(label, Uint8Array.of(counter, 0)),
      labelledSha256(label, Uint8Array.of(counter, 1)),
    );
    const hex = (bytesToNumberBE(wide) % Q).toString(16).padStart(64, '0');
    const bytes = Uint8Array.from(hex.match(/../g)!, (pair) => Number.parseInt(pair, 16));
    bytes[0]! |= 0x80;
    try {
      return decodeG1Compressed(bytes);
    } catch (error) {
      if (!(error instanceof ZkLoraError) || error.code !== 'POINT_INVALID') throw error;
    }
  }
  throw new ZkLoraError('INTERNAL', 'no point found for a fixed label');
}

import { labelledSha256, u32 } from '../../bytes.js';
import { COMBINATIONS, SKETCHES_EACH } from './sizes.js';
import type { RegistrationStatement } from './statement.js';

const LABEL = 'zklora/registration-bits/v1';

/** First byte of a stream's name: what its bits choose. */
const ROWS = 0;
const PLACES = 1;

const HASH_BYTES = 32;

/**
 * The random bits of a registration proof, from its seed. docs/protocol.md, "Registration proof".
 *
 * Stream (kind, index) is H(label, seed | kind | index | 0) | H(label, seed | kind | index | 1) | ..., the numbers
 * after `kind` as 4 bytes; bit n of a stream is bit n mod 8, lowest first, of byte floor(n / 8).
 */
export interface RegistrationBits {
  /** a: bit `[k, row]` says whether combination k holds the row; 0 or 1, `[COMBINATIONS, rowCount]`. */
  readonly rows: Uint16Array;
  /**
   * b of one combination: entry j holds the bits of sketches 3k, 3k + 1, 3k + 2 for place j as bits 0, 1, 2, `[N]`.
   * Made anew for every call, so that memory does not grow with N.
   */
  places(combination: number): Uint8Array;
}

/** Expands the seed. */
export function expandBits(seed: Uint8Array, statement: RegistrationStatement): RegistrationBits {
  const { rowCount, domainSize } = statement;
  const rows = new Uint16Array(COMBINATIONS * rowCount);
  for (let k = 0; k < COMBINATIONS; k++) {
    const bytes = stream(seed, ROWS, k, rowCount);
    for (let row = 0; row < rowCount; row++) rows[k * rowCount + row] = bit(bytes, row);
  }
  return {
    rows,
    places: (combination) => {
      const places = new Uint8Array(domainSize);
      for (let q = 0; q < SKETCHES_EACH; q++) {
        const bytes = stream(seed, PLACES, SKETCHES_EACH * combination + q, domainSize);
        for (let j = 0; j < domainSize; j++) places[j]! |= bit(bytes, j) << q;
      }
      return places;
    },
  };
}

function bit(bytes: Uint8Array, n: number): number {
  return (bytes[n >> 3]! >> (n & 7)) & 1;
}

function stream(seed: Uint8Array, kind: number, index: number, bits: number): Uint8Array {
  const blocks = Math.ceil(bits / (8 * HASH_BYTES));
  const bytes = new Uint8Array(blocks * HASH_BYTES);
  for (let block = 0; block < blocks; block++) {
    const hash = labelledSha256(LABEL, seed, Uint8Array.of(kind), u32(index), u32(block));
    bytes.set(hash, block * HASH_BYTES);
  }
  return bytes;
}

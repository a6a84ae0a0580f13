import { keccakP } from '@noble/hashes/sha3.js';

export { keccak_256 as keccak256 } from '@noble/hashes/sha3.js';

/** Words of 4 bytes in a Keccak state of 1600 bits. */
const STATE_WORDS = 50;
/** Words of a message of 64 bytes. */
const PAIR_WORDS = 16;
/** Words of Keccak-256's digest. */
const DIGEST_WORDS = 8;
/** Word that holds the first padding byte 01 behind 64 bytes. */
const PADDING_WORD = 16;
/** Word that holds the last byte of the rate of 136 bytes, with the padding bit 80. */
const RATE_END_WORD = 33;
/** u32 in memory order: the state is little-endian whatever the platform, as @noble/hashes keeps it. */
const LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/**
 * Keccak-256 of many messages of two 32-byte halves each, without an object per hash.
 *
 * One permutation a message; what a row's keystream needs some hundred thousand times.
 */
export class PairHasher {
  readonly #state = new Uint32Array(STATE_WORDS);
  readonly #bytes = new Uint8Array(this.#state.buffer);
  readonly #view = new DataView(this.#state.buffer);

  /**
   * Hashes `left | u256 right`, big-endian, and leaves the digest in {@link digest}.
   *
   * @param left 32 bytes
   * @param right integer from 0 to 2^32 - 1
   */
  hash(left: Uint8Array, right: number): void {
    this.#state.fill(0);
    this.#bytes.set(left);
    this.#view.setUint32(PAIR_WORDS * 4 - 4, right);
    this.#bytes[PADDING_WORD * 4] = 1;
    this.#bytes[RATE_END_WORD * 4 + 3] = 0x80;
    if (!LITTLE_ENDIAN) swapWords(this.#state);
    keccakP(this.#state);
    if (!LITTLE_ENDIAN) swapWords(this.#state);
  }

  /** Digest of the last message, 32 bytes: a view that the next hash overwrites. */
  get digest(): Uint8Array {
    return this.#bytes.subarray(0, DIGEST_WORDS * 4);
  }

  /** Overwrites the state: it may be a key. */
  clear(): void {
    this.#state.fill(0);
  }
}

function swapWords(words: Uint32Array): void {
  const view = new DataView(words.buffer);
  for (let i = 0; i < words.length; i++) view.setUint32(4 * i, words[i]!, true);
}

import { ZkLoraError } from '../errors.js';
import { keccak256, PairHasher } from './keccak.js';

/** Bytes of a master key. */
export const MASTER_KEY_BYTES = 32;
/** Bytes of one block of the keystream, and of one word of a row. */
export const WORD_BYTES = 32;

/**
 * Commitment to a master key as an offer carries it: keccak256(masterKey), 32 bytes.
 *
 * The key is uniform and of one offer only: it becomes public when it is revealed.
 */
export function keyHashOf(masterKey: Uint8Array): Uint8Array {
  expectKey(masterKey);
  return keccak256(masterKey);
}

/**
 * Encrypts or decrypts rows in place: XOR with pad(row, i) = keccak256(rowKey | u256 i) for word i, where
 * rowKey = keccak256(masterKey | u256 row). docs/formats.md, "Settlement"; the same on the EVM, KzgFraud.sol.
 */
export class RowCipher {
  readonly #masterKey: Uint8Array;
  readonly #hasher = new PairHasher();
  readonly #rowKey = new Uint8Array(WORD_BYTES);

  /** @param masterKey 32 bytes; copied */
  constructor(masterKey: Uint8Array) {
    expectKey(masterKey);
    this.#masterKey = Uint8Array.from(masterKey);
  }

  /**
   * @param row index of the row, 0 to 2^32 - 1
   * @param data whole words of 32 bytes; changed in place
   * @throws ZkLoraError `INTERNAL` for a length that is no multiple of 32
   */
  apply(row: number, data: Uint8Array): void {
    if (data.length % WORD_BYTES !== 0) throw new ZkLoraError('INTERNAL', 'a row is whole words of 32 bytes');
    const hasher = this.#hasher;
    hasher.hash(this.#masterKey, row);
    this.#rowKey.set(hasher.digest);
    for (let word = 0, at = 0; at < data.length; word++, at += WORD_BYTES) {
      hasher.hash(this.#rowKey, word);
      const pad = hasher.digest;
      for (let i = 0; i < WORD_BYTES; i++) data[at + i]! ^= pad[i]!;
    }
  }

  /** Overwrites the keys. */
  clear(): void {
    this.#masterKey.fill(0);
    this.#rowKey.fill(0);
    this.#hasher.clear();
  }
}

function expectKey(masterKey: Uint8Array): void {
  if (masterKey.length !== MASTER_KEY_BYTES) {
    throw new ZkLoraError('INTERNAL', `a master key has ${MASTER_KEY_BYTES} bytes`);
  }
}

import { hkdf } from '@noble/hashes/hkdf.js';
import { concatBytes, sha256, u32, utf8ToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';

/** Bytes of a seed and of a salt. */
export const SALT_BYTES = 32;

/** Salts of one output of HKDF: half of the 255 blocks that RFC 5869 allows. */
const BLOCK = 128;

/** Leaves of a session: the number of a block has 32 bits. */
const MAX_LEAVES = 2 ** 32 * BLOCK;

const INFO = concatBytes(utf8ToBytes('zklora/session/salt/v1'), Uint8Array.of(0));
const NO_SALT = new Uint8Array();

// looked up when it is there, so that bundlers for browsers find no import of a Node module
const platform = globalThis.process?.getBuiltinModule?.('node:crypto');

function derive(seed: Uint8Array, info: Uint8Array): Uint8Array {
  const length = BLOCK * SALT_BYTES;
  return platform
    ? new Uint8Array(platform.hkdfSync('sha256', seed, NO_SALT, info, length))
    : hkdf(sha256, seed, NO_SALT, info, length);
}

/**
 * Salts of a session's rows (docs/protocol.md, "Session digest"): HKDF-SHA256 (RFC 5869) of the seed, without salt,
 * info = "zklora/session/salt/v1" | 00 | u32 leaf / 128, 4096 bytes; leaf i has bytes 32 (i mod 128) and on.
 */
export class RowSalts {
  readonly #seed: Uint8Array;
  #block = -1;
  #salts: Uint8Array = NO_SALT;

  /** @throws ZkLoraError `SESSION_MALFORMED` for a seed of another length */
  constructor(seed: Uint8Array) {
    if (seed.length !== SALT_BYTES) {
      throw new ZkLoraError('SESSION_MALFORMED', `the seed of a session has ${SALT_BYTES} bytes`);
    }
    this.#seed = seed;
  }

  /**
   * @param leaf index of the leaf, below 2^39
   * @throws ZkLoraError `SESSION_MALFORMED` for another one
   */
  of(leaf: number): Uint8Array {
    if (!Number.isInteger(leaf) || leaf < 0 || leaf >= MAX_LEAVES) {
      throw new ZkLoraError('SESSION_MALFORMED', `a session has rows 0 to ${MAX_LEAVES - 1}, not ${leaf}`);
    }
    const block = Math.floor(leaf / BLOCK);
    if (block !== this.#block) {
      this.#salts = derive(this.#seed, concatBytes(INFO, u32(block)));
      this.#block = block;
    }
    const at = (leaf % BLOCK) * SALT_BYTES;
    return this.#salts.subarray(at, at + SALT_BYTES);
  }
}

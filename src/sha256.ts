/**
 * SHA-256, and HMAC by it: the platform's implementation under Node, the portable one in browsers.
 *
 * Both give the same bytes; the platform's is some ten times as fast.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { concatBytes } from '@noble/hashes/utils.js';

/** A hash in progress. */
export interface Sha256 {
  update(data: Uint8Array): Sha256;
  /** The digest, 32 bytes; ends the computation. */
  digest(): Uint8Array;
}

// looked up when it is there, so that bundlers for browsers find no import of a Node module
const platform = globalThis.process?.getBuiltinModule?.('node:crypto');

/** Starts a hash. */
export function createSha256(): Sha256 {
  if (!platform) return sha256.create();
  const hash = platform.createHash('sha256');
  const stream: Sha256 = {
    update: (data) => {
      hash.update(data);
      return stream;
    },
    digest: () => new Uint8Array(hash.digest()),
  };
  return stream;
}

/** Hash of one buffer. */
export function sha256Of(data: Uint8Array): Uint8Array {
  // in one call, which is cheaper than the three of a hash in progress
  return platform?.hash ? new Uint8Array(platform.hash('sha256', data, 'buffer')) : sha256(data);
}

/** Hash of some parts, one behind the other. */
export function sha256OfParts(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = platform ? platform.createHash('sha256') : sha256.create();
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

/** Bytes of a block of SHA-256. */
const BLOCK_BYTES = 64;

/**
 * HMAC-SHA256 (RFC 2104) under one key.
 *
 * By two hashes in one call each: an object of the platform's HMAC for each of thousands of short messages costs several
 * times as much, and its memory is what a garbage collection frees.
 */
export class HmacSha256 {
  readonly #inner: Uint8Array;
  readonly #outer: Uint8Array;

  constructor(key: Uint8Array) {
    const block = new Uint8Array(BLOCK_BYTES);
    block.set(key.length > BLOCK_BYTES ? sha256Of(key) : key);
    this.#inner = block.map((byte) => byte ^ 0x36);
    this.#outer = block.map((byte) => byte ^ 0x5c);
  }

  /** Code of some parts, one after the other; 32 bytes. */
  of(...parts: readonly Uint8Array[]): Uint8Array {
    return sha256Of(concatBytes(this.#outer, sha256Of(concatBytes(this.#inner, ...parts))));
  }
}

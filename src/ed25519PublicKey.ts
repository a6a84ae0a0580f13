import { ed25519 } from '@noble/curves/ed25519.js';
import { hexToBytes } from './bytes.js';

// as in sha256.ts
const platform = globalThis.process?.getBuiltinModule?.('node:crypto');

/** A private key file (RFC 8410) up to its 32 bytes of seed. */
const PKCS8_PREFIX = hexToBytes('302e020100300506032b657004220420');

const KEY_BYTES = 32;

/**
 * Public key of an Ed25519 seed, 32 bytes each (RFC 8032).
 *
 * The platform's implementation where there is one: the portable one makes tables first, some 40 ms. What is no such
 * seed is refused by the portable one: the platform takes the first 32 bytes of a longer seed.
 *
 * @throws RangeError or TypeError for anything but 32 bytes
 */
export function ed25519PublicKey(seed: Uint8Array): Uint8Array {
  if (!platform || !ed25519.utils.isValidSecretKey(seed)) return ed25519.getPublicKey(seed);
  // no copy of the seed but this one, which is erased
  const key = Buffer.alloc(PKCS8_PREFIX.length + seed.length);
  key.set(PKCS8_PREFIX);
  key.set(seed, PKCS8_PREFIX.length);
  const privateKey = platform.createPrivateKey({ key, format: 'der', type: 'pkcs8' });
  key.fill(0);
  const encoded = platform.createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return new Uint8Array(encoded.subarray(-KEY_BYTES));
}

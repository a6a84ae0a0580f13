import { ed25519 } from '@noble/curves/ed25519.js';
import { canonicalJson, concatBytes, hexToBytes, labelledSha256, u32 } from '../bytes.js';
import { ed25519PublicKey } from '../ed25519PublicKey.js';
import type { SessionHeader } from '../protocol/session.js';
import type { SessionClosing } from './sessionHeader.js';

/** An Ed25519 key pair (RFC 8032). */
export interface KeyPair {
  /** Seed, 32 bytes. */
  readonly secretKey: Uint8Array;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
}

/** A fresh key pair from OS randomness. */
export function generateKeyPair(): KeyPair {
  return keyPairFromSeed(ed25519.utils.randomSecretKey());
}

export function keyPairFromSeed(secretKey: Uint8Array): KeyPair {
  return { secretKey, publicKey: ed25519PublicKey(secretKey) };
}

/** What the contributor signs at the opening: it holds the commitment's key and knows the user's nonce. */
export function openingMessage(header: SessionHeader): Uint8Array {
  return labelledSha256('zklora/open/v1', canonicalJson(header));
}

/**
 * What the user signs at the opening: budgets of questions belong to its key, so the key has to be proven.
 *
 * @param seed of the session's salts, 32 bytes
 */
export function userOpeningMessage(header: SessionHeader, seed: Uint8Array): Uint8Array {
  return labelledSha256('zklora/open/user/v1', canonicalJson(header), seed);
}

/**
 * What the contributor signs when a user comes back to a session: that it has the session and how far it is.
 *
 * @param challenge 32 random bytes of the user
 */
export function resumingMessage(
  challenge: Uint8Array,
  header: SessionHeader,
  { calls, closed }: { readonly calls: number; readonly closed: boolean },
): Uint8Array {
  const standing = concatBytes(u32(calls), Uint8Array.of(closed ? 1 : 0));
  return labelledSha256('zklora/resume/v1', challenge, canonicalJson(header), standing);
}

/** What both sides sign at the end. @param digest session digest, 32 bytes */
export function closingMessage(digest: Uint8Array): Uint8Array {
  return labelledSha256('zklora/close/v1', digest);
}

export function sign(message: Uint8Array, secretKey: Uint8Array): Uint8Array {
  return ed25519.sign(message, secretKey);
}

/** RFC 8032 verification (strict encodings, not ZIP 215); false for anything malformed. */
export function isSignedBy(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  try {
    return ed25519.verify(signature, message, publicKey, { zip215: false });
  } catch {
    return false;
  }
}

/**
 * Whose signature of a closing does not fit a session; undefined when both do.
 *
 * @param digest session digest, 32 bytes
 */
export function wrongSigner(
  { userSignature, contributorSignature }: SessionClosing,
  { userKey, contributorKey }: SessionHeader,
  digest: Uint8Array,
): 'user' | 'contributor' | undefined {
  const message = closingMessage(digest);
  const fits = (signature: string, key: string) =>
    isSignedBy(hexToBytes(signature), message, hexToBytes(key));
  if (!fits(userSignature, userKey)) return 'user';
  return fits(contributorSignature, contributorKey) ? undefined : 'contributor';
}

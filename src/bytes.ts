import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import canonicalize from 'canonicalize';
import { ZkLoraError } from './errors.js';

export { bytesToHex, concatBytes, hexToBytes, sha256, utf8ToBytes };

/**
 * UTF-8 bytes of the canonical JSON form of a value (RFC 8785).
 *
 * @throws ZkLoraError `INTERNAL` for values that JSON cannot carry.
 */
export function canonicalJson(value: unknown): Uint8Array {
  const text = canonicalize(value);
  if (text === undefined) throw new ZkLoraError('INTERNAL', 'value has no JSON form');
  return utf8ToBytes(text);
}

/** Unsigned integer as 4 bytes, big-endian. */
export function u32(value: number): Uint8Array {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value);
  return out;
}

/** SHA-256 over a domain-separation label, a zero byte and the given parts. */
export function labelledSha256(label: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const hash = sha256.create().update(utf8ToBytes(label)).update(Uint8Array.of(0));
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** Whether two byte strings are equal. Not constant-time; for public values. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

import { sha256 } from '@noble/hashes/sha2.js';
import {
  bytesToHex,
  concatBytes,
  hexToBytes as portableHexToBytes,
  utf8ToBytes,
} from '@noble/hashes/utils.js';
import canonicalize from 'canonicalize';
import { ZkLoraError } from './errors.js';
import { sha256OfParts } from './sha256.js';

export { bytesToHex, concatBytes, sha256, utf8ToBytes };

const NO_HEX = /[^0-9a-f]/i;

/** Bytes from hex digits of either case; throws what the portable decoder throws for anything else. */
export function hexToBytes(hex: string): Uint8Array {
  const plain = hex.length % 2 === 0 && !NO_HEX.test(hex);
  // the platform's is faster, but would take U+0130 for 0 and stop at other things
  if (typeof globalThis.Buffer !== 'function' || !plain) return portableHexToBytes(hex);
  const bytes = new Uint8Array(hex.length / 2);
  globalThis.Buffer.from(bytes.buffer).write(hex, 'hex');
  return bytes;
}

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

/**
 * Unsigned integer as 4 bytes, big-endian.
 *
 * @throws ZkLoraError `INTERNAL` for a value that 4 bytes do not hold: it would be hashed as another one.
 */
export function u32(value: number): Uint8Array {
  return unsigned(value, 4);
}

/** Unsigned integer as 2 bytes, big-endian; as {@link u32}. */
export function u16(value: number): Uint8Array {
  return unsigned(value, 2);
}

function unsigned(value: number, width: number): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value >= 256 ** width) {
    throw new ZkLoraError('INTERNAL', `${value} does not fit into ${width} bytes`);
  }
  const bytes = new Uint8Array(width);
  let rest = value;
  for (let i = width - 1; i >= 0; i--) {
    bytes[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return bytes;
}

/** SHA-256 over a domain-separation label, a zero byte and the given parts. */
export function labelledSha256(label: string, ...parts: readonly Uint8Array[]): Uint8Array {
  return sha256OfParts(utf8ToBytes(label), Uint8Array.of(0), ...parts);
}

/** Whether two byte strings are equal. Not constant-time; for public values. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

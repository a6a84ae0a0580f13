import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, concatBytes, hexToBytes } from '@noble/hashes/utils.js';
import { demand } from './refusal.js';

/** ASCII text as bytes. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** Big-endian 32-bit unsigned integer. */
export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** Big-endian unsigned integer of the given length. */
export function int(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${bytesToHex(bytes)}`);
}

/** `value` as 32 big-endian bytes. */
export function bytes32(value: bigint): Uint8Array {
  return hexToBytes(value.toString(16).padStart(64, '0'));
}

/** H(label | 00 | rest...), the shape of every digest outside the transcript. */
export function labelled(label: string, ...rest: Uint8Array[]): Uint8Array {
  return sha256(concatBytes(ascii(label), Uint8Array.of(0), ...rest));
}

/** Lower-case hex of exactly `length` bytes. */
export function fromHex(text: unknown, length: number, what: string): Uint8Array {
  demand(
    typeof text === 'string' && text.length === 2 * length && /^[0-9a-f]*$/.test(text),
    `${what} is not ${length} bytes of lower-case hex`,
  );
  return hexToBytes(text);
}

/** Whether two byte strings are equal. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

export { bytesToHex, concatBytes, sha256 };

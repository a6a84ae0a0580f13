import { expect } from 'vitest';

/**
 * Typed arrays of one class with the same bytes are equal: vitest's own comparison takes some 10 µs for each element.
 * Any others are left to it. Imported for this effect.
 */
expect.addEqualityTesters([
  (left: unknown, right: unknown): true | undefined => {
    if (!isTypedArray(left) || !isTypedArray(right) || left.constructor !== right.constructor)
      return undefined;
    if (left.length !== right.length) return undefined;
    return Buffer.compare(bytesOf(left), bytesOf(right)) === 0 ? true : undefined;
  },
]);

function isTypedArray(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

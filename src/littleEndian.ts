import { ZkLoraError } from './errors.js';

// Typed-array views are little-endian, as every host of Node and of browsers is.

/** Bytes of numbers as they travel and are stored: little-endian; a view, not a copy. */
export function toBytes(values: Int16Array | Uint32Array | BigInt64Array | Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

const INT32_MIN = -(2 ** 31);

/** Whether -2^63 is among the values; looks at their words, since BigInts are slow to make. */
export function holdsInt64Min(values: BigInt64Array): boolean {
  const words = new Int32Array(values.buffer, values.byteOffset, 2 * values.length);
  let at = words.indexOf(INT32_MIN);
  while (at >= 0) {
    if (at % 2 === 1 && words[at - 1] === 0) return true;
    at = words.indexOf(INT32_MIN, at + 1);
  }
  return false;
}

/**
 * `count` int16 values; a copy.
 *
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export function int16FromBytes(bytes: Uint8Array, count: number, what: string): Int16Array {
  checkLength(bytes, 2 * count, what);
  return new Int16Array(new Uint8Array(bytes).buffer);
}

/**
 * `count` int64 values; a copy.
 *
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export function int64FromBytes(bytes: Uint8Array, count: number, what: string): BigInt64Array {
  checkLength(bytes, 8 * count, what);
  return new BigInt64Array(new Uint8Array(bytes).buffer);
}

/**
 * {@link int16FromBytes} as a view where the bytes lie at an even address, a copy elsewhere: for bytes that do not change
 * any more.
 *
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export function int16Within(bytes: Uint8Array, count: number, what: string): Int16Array {
  if (bytes.byteOffset % 2 !== 0) return int16FromBytes(bytes, count, what);
  checkLength(bytes, 2 * count, what);
  return new Int16Array(bytes.buffer, bytes.byteOffset, count);
}

/**
 * {@link int64FromBytes} as a view where the bytes lie at a multiple of 8, a copy elsewhere: for bytes that do not change any more.
 *
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export function int64Within(bytes: Uint8Array, count: number, what: string): BigInt64Array {
  if (bytes.byteOffset % 8 !== 0) return int64FromBytes(bytes, count, what);
  checkLength(bytes, 8 * count, what);
  return new BigInt64Array(bytes.buffer, bytes.byteOffset, count);
}

function checkLength(bytes: Uint8Array, length: number, what: string): void {
  if (bytes.length === length) return;
  throw new ZkLoraError('SESSION_MALFORMED', `${what} should have ${length} bytes but has ${bytes.length}`);
}

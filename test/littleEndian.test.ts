import { expect, it } from 'vitest';
import { holdsInt64Min, int16Within, int64Within, toBytes } from '../src/littleEndian.js';

it('finds -2^63 and nothing that only looks like a part of it', () => {
  const min = -(2n ** 63n);
  expect(holdsInt64Min(BigInt64Array.of(1n, -1n, min))).toBe(true);
  expect(holdsInt64Min(BigInt64Array.of(0n, min, 0n).subarray(1))).toBe(true);
  // low word, high word, and neighbours that make the pattern across two values
  for (const decoy of [2n ** 31n, min + 1n, min + 2n ** 31n, 2n ** 63n - 1n, 2n ** 32n - 1n]) {
    expect(holdsInt64Min(BigInt64Array.of(0n, decoy, 0n))).toBe(false);
  }
  expect(holdsInt64Min(BigInt64Array.of(0n, 2n ** 31n, min))).toBe(true);
  expect(holdsInt64Min(new BigInt64Array())).toBe(false);
});

it('looks at int64 where they lie, copies them from odd places, and refuses another length', () => {
  const values = BigInt64Array.of(-1n, 2n ** 40n, -(2n ** 62n));
  const bytes = new Uint8Array(32);
  for (let at = 0; at <= 8; at += 1) {
    bytes.fill(0);
    bytes.set(toBytes(values), at);
    const read = int64Within(bytes.subarray(at, at + 24), 3, 'values');
    expect(read).toEqual(values);
    expect(read.buffer === bytes.buffer).toBe(at % 8 === 0);
    for (const count of [2, 4]) {
      expect(() => int64Within(bytes.subarray(at, at + 24), count, 'values')).toThrow(
        expect.objectContaining({ code: 'SESSION_MALFORMED' }),
      );
    }
  }
});

it('looks at int16 where they lie and copies them from odd places', () => {
  const values = Int16Array.of(-32768, 32767, 5);
  for (const at of [0, 1, 2, 3]) {
    const bytes = new Uint8Array(16);
    bytes.set(toBytes(values), at);
    const part = bytes.subarray(at, at + 6);
    const read = int16Within(part, 3, 'values');
    expect(read).toEqual(values);
    expect(read.buffer === bytes.buffer).toBe(at % 2 === 0);
    expect(() => int16Within(part, 2, 'values')).toThrow(/^values should have 4 bytes but has 6$/);
  }
});

import { expect, it } from 'vitest';
import { holdsInt64Min } from '../src/littleEndian.js';

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

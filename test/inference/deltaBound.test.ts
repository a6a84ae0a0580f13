import { describe, expect, it } from 'vitest';
import { requirePossibleDelta } from '../../src/inference/deltaBound.js';

const module = { name: 'm', rank: 3, outFeatures: 2 };
const rows = { x: Int16Array.of(100, -5, 0, 0, 32_767, -32_767), exponents: Int16Array.of(0, 7) };
/** Of a row: rank * 32767^2 * sum |x|. */
const bound = (sum: number) => 3n * 32_767n ** 2n * BigInt(sum);

describe('requirePossibleDelta', () => {
  it('takes every row up to its own bound, of either sign', () => {
    const y = BigInt64Array.of(bound(105), -bound(105), bound(65_534), -bound(65_534));
    expect(() => requirePossibleDelta(y, rows, module)).not.toThrow();
    const most = { x: new Int16Array(2 ** 14).fill(32_767), exponents: Int16Array.of(0) };
    const edges = BigInt64Array.of(2n ** 63n - 1n, -(2n ** 63n) + 1n);
    expect(() => requirePossibleDelta(edges, most, { ...module, rank: 256 })).not.toThrow();
  });

  it('refuses a delta beyond it, and any but 0 for activations of 0', () => {
    // float64 holds the bound to 2^-40
    const beyond = (sum: number) => bound(sum) + bound(sum) / 2n ** 30n;
    for (const values of [
      [beyond(105), 0n, 0n, 0n],
      [0n, -beyond(105), 0n, 0n],
      [bound(65_534), 0n, 0n, 0n],
      [0n, 0n, 0n, beyond(65_534)],
    ]) {
      expect(() => requirePossibleDelta(BigInt64Array.from(values), rows, module)).toThrow(
        expect.objectContaining({ code: 'SESSION_MALFORMED' }),
      );
    }
    const zero = { x: new Int16Array(3), exponents: Int16Array.of(0) };
    expect(() => requirePossibleDelta(BigInt64Array.of(0n, 1n), zero, module)).toThrow(
      expect.objectContaining({ code: 'SESSION_MALFORMED' }),
    );
  });
});

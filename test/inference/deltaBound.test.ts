import { describe, expect, it } from 'vitest';
import { requireBoundedGain, requirePossibleDelta } from '../../src/inference/deltaBound.js';

const module = { name: 'm', rank: 3 };
const rows = { x: Int16Array.of(100, -5, 0, 0, 32_767, -32_767), exponents: Int16Array.of(0, 7) };
/** Largest magnitude of each of `tokens` rows. */
function largest(y: bigint[], tokens = 2): Float64Array {
  const width = y.length / tokens;
  return Float64Array.from({ length: tokens }, (_, token) =>
    Math.max(...y.slice(width * token, width * (token + 1)).map((value) => Math.abs(Number(value)))),
  );
}

/** Of a row: rank * 32767^2 * sum |x|. */
const bound = (sum: number) => 3n * 32_767n ** 2n * BigInt(sum);

describe('requirePossibleDelta', () => {
  it('takes every row up to its own bound, of either sign', () => {
    const y = [bound(105), -bound(105), bound(65_534), -bound(65_534)];
    expect(() => requirePossibleDelta(largest(y), rows, module)).not.toThrow();
    const most = { x: new Int16Array(2 ** 14).fill(32_767), exponents: Int16Array.of(0) };
    const edges = largest([2n ** 63n - 1n, -(2n ** 63n) + 1n], 1);
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
      expect(() => requirePossibleDelta(largest(values), rows, module)).toThrow(
        expect.objectContaining({ code: 'SESSION_MALFORMED' }),
      );
    }
    const zero = { x: new Int16Array(3), exponents: Int16Array.of(0) };
    expect(() => requirePossibleDelta(largest([0n, 1n], 1), zero, module)).toThrow(
      expect.objectContaining({ code: 'SESSION_MALFORMED' }),
    );
  });
});

describe('requireBoundedGain', () => {
  /** rank * inFeatures * 2^(exponents) * scaling * 32767^2 is 2^58 * scaling times (32767 / 2^15)^2. */
  const largest = { name: 'm', rank: 4, inFeatures: 1024, outFeatures: 2, columnOffset: 0 };
  const commitment = (scaling: number) => ({
    modules: [{ ...largest, aExponent: 20, bExponent: -4, scaling, aRows: [], bColumns: [] }],
  });

  it('takes a gain of almost 2^60, of either sign', () => {
    expect(() => requireBoundedGain(commitment(4), 1)).not.toThrow();
    expect(() => requireBoundedGain(commitment(-0.5), -8)).not.toThrow();
    expect(() => requireBoundedGain(commitment(2 ** 64), 0)).not.toThrow();
  });

  it.each([
    [4.001, 1],
    [-4.001, 1],
    [1, -4.001],
    [2 ** 64, 2 ** 1000],
  ])('refuses more: scaling %d, weight %d', (scaling, weight) => {
    expect(() => requireBoundedGain(commitment(scaling), weight)).toThrow(
      expect.objectContaining({ code: 'ADAPTER_OVERFLOW' }),
    );
  });
});

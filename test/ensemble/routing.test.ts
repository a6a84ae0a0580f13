import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkRouting, ReplayMismatch } from '../../src/ensemble/replay.js';
import { routerShares, SMALLEST_WEIGHT, topWeights } from '../../src/ensemble/routing.js';
import { topCalls } from '../../src/ensemble/sampler.js';

describe('routerShares', () => {
  it('is the softmax of each row, also for large logits', () => {
    const shares = routerShares(Float32Array.of(0, Math.log(3), 1000, 0), 2, 2);
    expect(shares[0]).toBeCloseTo(0.25, 6);
    expect(shares[1]).toBeCloseTo(0.75, 6);
    expect([...shares.subarray(2)]).toEqual([1, 0]);
  });

  it('refuses logits that are not finite or too few', () => {
    const mismatch = expect.objectContaining({ code: 'ENSEMBLE_MISMATCH' });
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      expect(() => routerShares(Float32Array.of(0, bad), 1, 2)).toThrow(mismatch);
    }
    expect(() => routerShares(Float32Array.of(0, 1, 2), 2, 2)).toThrow(mismatch);
    expect(() => routerShares(new Float32Array(0), 1, 2)).toThrow(mismatch);
  });
});

describe('topWeights', () => {
  const shares = Float64Array.of(0.1, 0.5, 0.15, 0.25);

  it('routes to one, to k renormalised, to all', () => {
    expect([...topWeights(shares, 1)]).toEqual([0, 1, 0, 0]);
    expect([...topWeights(shares, 2)]).toEqual([0, 0.5 / 0.75, 0, 0.25 / 0.75]);
    expect([...topWeights(shares, 4)]).toEqual([...shares]);
  });

  it('takes the lower index of equal shares', () => {
    expect([...topWeights(Float64Array.of(0.25, 0.25, 0.25, 0.25), 2)]).toEqual([0.5, 0.5, 0, 0]);
  });

  it('leaves out what changes nothing', () => {
    const weights = topWeights(Float64Array.of(1 - 1e-5, 1e-5), 2);
    expect([...weights]).toEqual([1, 0]);
  });

  it('sums to one, with at most k experts, each above the smallest weight', () => {
    const rows = fc.array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(rows, fc.nat(8), (logits, k) => {
        const top = 1 + (k % logits.length);
        const own = routerShares(Float32Array.from(logits), 1, logits.length);
        const weights = topWeights(own, top);
        const positive = weights.filter((weight) => weight > 0);
        expect(weights.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 9);
        expect(positive.length).toBeLessThanOrEqual(top);
        expect(Math.min(...positive)).toBeGreaterThanOrEqual(SMALLEST_WEIGHT);
        // what was decided from shares is accepted for these shares
        checkRouting(topCalls(own, logits.length, top), own, logits.length, top);
      }),
      { seed: 5, numRuns: 300 },
    );
  });
});

describe('checkRouting', () => {
  const shares = Float64Array.of(0.6, 0.3, 0.1);
  const call = (expert: number, weight: number, row = 0) => ({ expert, rows: [row], weights: [weight] });
  const differs = (calls: ReturnType<typeof call>[], top: number) => {
    expect(() => checkRouting(calls, shares, 3, top)).toThrow(ReplayMismatch);
  };

  it('refuses another expert, other weights, too many experts, a sample that nobody got', () => {
    differs([call(1, 1)], 1);
    differs([call(0, 0.5), call(1, 0.5)], 2);
    differs([call(0, 0.6), call(1, 0.3), call(2, 0.1)], 2);
    differs([call(0, 1)], 2);
    differs([], 1);
    checkRouting([call(0, 1)], shares, 3, 1);
  });

  it('refuses experts and samples that are not there', () => {
    const malformed = expect.objectContaining({ code: 'ENSEMBLE_MALFORMED' });
    expect(() => checkRouting([call(3, 1)], shares, 3, 1)).toThrow(malformed);
    expect(() => checkRouting([call(0, 1, 1)], shares, 3, 1)).toThrow(malformed);
  });

  it('lets experts stand for each other that another machine may order otherwise', () => {
    const close = Float64Array.of(0.5, 0.4999, 0.0001);
    checkRouting([call(1, 1)], close, 3, 1);
  });
});

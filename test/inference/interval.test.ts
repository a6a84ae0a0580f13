import { describe, expect, it } from 'vitest';
import { estimateMean, studentQuantile } from '../../src/inference/interval.js';

describe('studentQuantile', () => {
  // Student's t, two-sided 95 %: NIST/SEMATECH e-Handbook of Statistical Methods, table 1.3.6.7.2
  it.each([
    [1, 12.706],
    [2, 4.303],
    [3, 3.182],
    [4, 2.776],
    [10, 2.228],
    [29, 2.045],
    [30, 2.042],
    [100, 1.984],
  ])('is that of the tables for %i degrees of freedom', (degrees, quantile) => {
    expect(studentQuantile(degrees)).toBeCloseTo(quantile, 3);
  });

  it('goes from the exact sum to the expansion without a step, and to the normal quantile', () => {
    const step = studentQuantile(198) - studentQuantile(199);
    expect(studentQuantile(199) - studentQuantile(200)).toBeCloseTo(step, 5);
    expect(studentQuantile(2 ** 20)).toBeCloseTo(1.959964, 5);
  });
});

describe('estimateMean', () => {
  it('is mean and s/sqrt(n) of equal sequences', () => {
    // per prediction: 1, 2, 3, 6; mean 3, s^2 = 14/3
    const { mean, interval } = estimateMean(Float64Array.of(10, 20, 30, 60), Uint32Array.of(10, 10, 10, 10));
    expect(mean).toBe(3);
    const half = 3.182446 * Math.sqrt(14 / 3 / 4);
    expect(interval![0]).toBeCloseTo(3 - half, 5);
    expect(interval![1]).toBeCloseTo(3 + half, 5);
  });

  it('weighs sequences by their predictions', () => {
    const { mean, interval } = estimateMean(Float64Array.of(2, 3), Uint32Array.of(1, 9));
    expect(mean).toBe(0.5);
    // residuals 1.5 and -1.5: n/(n-1) * 4.5 / 100
    expect(interval![1] - 0.5).toBeCloseTo(12.7062047 * 0.3, 5);
  });

  it('has no interval for one sequence and an empty one for equal ones', () => {
    expect(estimateMean(Float64Array.of(4), Uint32Array.of(2))).toEqual({ mean: 2, interval: null });
    expect(estimateMean(Float64Array.of(4, 4), Uint32Array.of(2, 2)).interval).toEqual([2, 2]);
  });

  it('holds the true mean in about 95 of 100 samples', () => {
    // sums of 12 numbers of a fixed stream, mean 6
    let state = 1;
    const next = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    let held = 0;
    for (let sample = 0; sample < 1000; sample += 1) {
      const totals = Float64Array.from({ length: 8 }, () => {
        let sum = 0;
        for (let i = 0; i < 12; i += 1) sum += next();
        return sum;
      });
      const [low, high] = estimateMean(totals, new Uint32Array(8).fill(1)).interval!;
      if (low <= 6 && 6 <= high) held += 1;
    }
    expect(held).toBeGreaterThan(930);
    expect(held).toBeLessThan(970);
  });
});

import { ZkLoraError } from '../errors.js';

/** A mean over sequences with the range that holds its expectation with 95 % confidence. */
export interface Estimate {
  readonly mean: number;
  /** Lower and upper end; null for a single sequence, which says nothing about spread. */
  readonly interval: readonly [number, number] | null;
}

/**
 * Mean of a quantity per prediction, with sequences as the sampling unit: sum of the totals over sum of the counts, and
 * Student's t interval with n - 1 degrees of freedom around it. The variance is that of a ratio,
 * n / (n - 1) sum (total_i - mean count_i)^2 / (sum count_i)^2, which is the usual s^2 / n where all counts are equal.
 *
 * @param totals of each sequence
 * @param counts predictions of each sequence, positive
 */
export function estimateMean(totals: Float64Array, counts: Uint32Array): Estimate {
  const n = totals.length;
  if (n === 0 || counts.length !== n)
    throw new ZkLoraError('INTERNAL', 'a mean needs a count for each sequence');
  const sum = totals.reduce((a, b) => a + b, 0);
  const count = counts.reduce((a, b) => a + b, 0);
  const mean = sum / count;
  if (n === 1) return { mean, interval: null };
  let squares = 0;
  for (let i = 0; i < n; i += 1) squares += (totals[i]! - mean * counts[i]!) ** 2;
  const error = Math.sqrt((n / (n - 1)) * squares) / count;
  const half = studentQuantile(n - 1) * error;
  return { mean, interval: [mean - half, mean + half] };
}

/** From here on the expansion below is right to 1e-9. */
const EXPANSION_FROM = 200;
/** 97.5 % quantile of the normal distribution. */
const NORMAL_QUANTILE = 1.959963984540054;
const LEVEL = 0.95;

/** 97.5 % quantile of Student's t with a whole number of degrees of freedom. */
export function studentQuantile(degrees: number): number {
  if (degrees >= EXPANSION_FROM) return expandedQuantile(degrees);
  let low = 0;
  let high = 20;
  for (let step = 0; step < 64; step += 1) {
    const middle = (low + high) / 2;
    if (centralProbability(middle, degrees) < LEVEL) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** P(|T| < t), Abramowitz and Stegun 26.7.3 and 26.7.4. */
function centralProbability(t: number, degrees: number): number {
  const angle = Math.atan(t / Math.sqrt(degrees));
  const cos2 = Math.cos(angle) ** 2;
  const odd = degrees % 2 === 1;
  let term = odd ? Math.cos(angle) : 1;
  let sum = degrees === 1 ? 0 : term;
  for (let k = odd ? 3 : 2; k < degrees; k += 2) {
    term *= ((k - 1) / k) * cos2;
    sum += term;
  }
  return odd ? (2 / Math.PI) * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum;
}

/** Abramowitz and Stegun 26.7.5. */
function expandedQuantile(degrees: number): number {
  const z = NORMAL_QUANTILE;
  const terms = [
    (z ** 3 + z) / 4,
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96,
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384,
    (79 * z ** 9 + 776 * z ** 7 + 1482 * z ** 5 - 1920 * z ** 3 - 945 * z) / 92160,
  ];
  return terms.reduce((sum, term, i) => sum + term / degrees ** (i + 1), z);
}

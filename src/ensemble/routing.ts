import { ZkLoraError } from '../errors.js';

/** Experts with a smaller share are left out and the rest renormalised: their forward pass would change nothing visible. */
export const SMALLEST_WEIGHT = 1e-4;

/** Softmax of router logits, row-major `[rows, experts]`. @throws ZkLoraError `ENSEMBLE_MISMATCH` */
export function routerShares(logits: Float32Array, rows: number, experts: number): Float64Array {
  if (logits.length !== rows * experts) {
    throw new ZkLoraError(
      'ENSEMBLE_MISMATCH',
      `the router gives ${logits.length} logits for ${rows} samples and ${experts} experts; use the router of this ensemble`,
    );
  }
  if (!logits.every(Number.isFinite)) {
    throw new ZkLoraError('ENSEMBLE_MISMATCH', 'the router gives logits that are not finite');
  }
  const shares = new Float64Array(logits.length);
  for (let row = 0; row < rows; row += 1) {
    const own = logits.subarray(row * experts, (row + 1) * experts);
    const max = own.reduce((a, b) => Math.max(a, b));
    let sum = 0;
    for (const [k, logit] of own.entries()) {
      const share = Math.exp(logit - max);
      shares[row * experts + k] = share;
      sum += share;
    }
    for (let k = 0; k < experts; k += 1) shares[row * experts + k]! /= sum;
  }
  return shares;
}

/**
 * Weights of one row: the `top` largest shares (the lower index first where two are equal), renormalised; then without
 * those below {@link SMALLEST_WEIGHT}, renormalised again.
 */
export function topWeights(shares: Float64Array, top: number): Float64Array {
  const order = [...shares.keys()].sort((a, b) => shares[b]! - shares[a]! || a - b).slice(0, top);
  const kept = new Float64Array(shares.length);
  for (const k of order) kept[k] = shares[k]!;
  normalise(kept);
  for (const [k, weight] of kept.entries()) if (weight < SMALLEST_WEIGHT) kept[k] = 0;
  return normalise(kept);
}

function normalise(weights: Float64Array): Float64Array {
  const sum = weights.reduce((a, b) => a + b, 0);
  for (const k of weights.keys()) weights[k]! /= sum;
  return weights;
}

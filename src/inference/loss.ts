import { ZkLoraError } from '../errors.js';
import type { Logits } from './baseModel.js';
import type { Windows } from './windows.js';

/** One forward pass: token ids `[batch, sequence]` to logits `[batch * sequence, vocabulary]`. */
export type Forward = (ids: BigInt64Array, batch: number, sequence: number) => Promise<Logits>;

export interface LossOptions {
  /** Windows in one forward pass. */
  readonly batch: number;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Loss {
  /** Mean of -ln softmax(logits)[next token] over all predictions, in nats. */
  readonly loss: number;
  readonly predictions: number;
  /** Token rows that went through the model. */
  readonly tokens: number;
  /** Sum over the predictions of each window, in nats. */
  readonly sums: Float64Array;
}

/**
 * Mean next-token loss. Each window runs as its own sequence from position 0; its last position is not scored,
 * so a window of L tokens holds at most L - 1 predictions.
 *
 * @throws ZkLoraError `BASE_MODEL_MISMATCH` when a token is outside the vocabulary or logits are not finite.
 */
export async function measureLoss(forward: Forward, windows: Windows, options: LossOptions): Promise<Loss> {
  const { count, sequence } = windows;
  const sums = new Float64Array(count);
  for (const pass of passes(count, options.batch)) {
    const logits = await forward(passIds(windows, pass), pass.size, sequence);
    sums.set(scorePass(logits, windows, pass), pass.first);
    options.onProgress?.(pass.first + pass.size, count);
  }
  const { loss, predictions } = meanLoss(windows, sums);
  return { loss, predictions, tokens: count * sequence, sums };
}

/** Windows of one forward pass. */
export interface Pass {
  readonly first: number;
  readonly size: number;
}

/** @throws ZkLoraError `USAGE` */
export function passes(count: number, batch: number): Pass[] {
  if (!Number.isInteger(batch) || batch < 1)
    throw new ZkLoraError('USAGE', 'a batch has at least one sequence');
  return Array.from({ length: Math.ceil(count / batch) }, (_, i) => {
    const first = i * batch;
    return { first, size: Math.min(batch, count - first) };
  });
}

/** Mean over all predictions. @param sums of each window */
export function meanLoss(
  { scored }: Windows,
  sums: Float64Array,
): { readonly loss: number; readonly predictions: number } {
  const predictions = scored.reduce((a, b) => a + b, 0);
  return { loss: sums.reduce((a, b) => a + b, 0) / predictions, predictions };
}

/** Token ids of a forward pass, `[size, sequence]`: a copy, not a view, for they travel to another thread. */
export function passIds({ ids, sequence }: Windows, { first, size }: Pass): BigInt64Array {
  return ids.slice(first * sequence, (first + size) * sequence);
}

/** Sums of the losses of the windows of a forward pass, in nats, by window. @throws as {@link measureLoss} */
export function scorePass(logits: Logits, windows: Windows, pass: Pass): Float64Array {
  const { sequence, scored } = windows;
  const ids = passIds(windows, pass);
  return Float64Array.from({ length: pass.size }, (_, row) => {
    let sum = 0;
    for (let t = sequence - 1 - scored[pass.first + row]!; t < sequence - 1; t += 1) {
      sum += surprise(logits, row * sequence + t, Number(ids[row * sequence + t + 1]));
    }
    return sum;
  });
}

/** -ln softmax(logits of `position`)[target], in float64. */
function surprise({ values, vocabulary }: Logits, position: number, target: number): number {
  if (target < 0 || target >= vocabulary) {
    throw new ZkLoraError(
      'BASE_MODEL_MISMATCH',
      `the model's vocabulary of ${vocabulary} lacks token ${target}`,
    );
  }
  const row = values.subarray(position * vocabulary, (position + 1) * vocabulary);
  let max = Number.NEGATIVE_INFINITY;
  for (const value of row) max = Math.max(max, value);
  let total = 0;
  for (const value of row) total += Math.exp(value - max);
  const result = max + Math.log(total) - row[target]!;
  if (!Number.isFinite(result)) {
    throw new ZkLoraError('BASE_MODEL_MISMATCH', 'the model gives logits that are not finite on this text');
  }
  return result;
}

import { ZkLoraError } from '../errors.js';
import type { Logits } from './baseModel.js';

/** Windows of one evaluation; their activations are recorded and proven. */
export const MAX_WINDOWS = 2 ** 20;

/** One forward pass: token ids `[batch, sequence]` to logits `[batch * sequence, vocabulary]`. */
export type Forward = (ids: BigInt64Array, batch: number, sequence: number) => Promise<Logits>;

/** A text cut into sequences of equal length that do not overlap; a shorter rest is not used. */
export interface Windows {
  /** Token ids, `[count, sequence]`. */
  readonly ids: BigInt64Array;
  readonly count: number;
  readonly sequence: number;
}

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
}

/**
 * Cuts a text into windows of `sequence` bytes; the token id of a byte is its value.
 *
 * @param maxWindows only the first so many
 * @throws ZkLoraError `TEXT_INVALID` for a text shorter than one window, `USAGE`.
 */
export function byteWindows(text: Uint8Array, sequence: number, maxWindows: number = MAX_WINDOWS): Windows {
  if (!Number.isInteger(sequence) || sequence < 2) {
    throw new ZkLoraError('USAGE', 'a sequence has at least 2 tokens: one to read and one to predict');
  }
  if (!Number.isInteger(maxWindows) || maxWindows < 1 || maxWindows > MAX_WINDOWS) {
    throw new ZkLoraError('USAGE', `the number of sequences is an integer from 1 to ${MAX_WINDOWS}`);
  }
  const count = Math.min(Math.floor(text.length / sequence), maxWindows);
  if (count === 0) {
    throw new ZkLoraError(
      'TEXT_INVALID',
      `the text has ${text.length} bytes, less than one sequence of ${sequence}; use a longer text or shorter sequences`,
    );
  }
  const ids = BigInt64Array.from(text.subarray(0, count * sequence), BigInt);
  return { ids, count, sequence };
}

/**
 * Mean next-token loss. Each window runs as its own sequence from position 0; its last position is not scored,
 * so a window of L tokens holds L - 1 predictions.
 *
 * @throws ZkLoraError `BASE_MODEL_MISMATCH` when a token is outside the vocabulary or logits are not finite.
 */
export async function measureLoss(forward: Forward, windows: Windows, options: LossOptions): Promise<Loss> {
  const { count, sequence, ids } = windows;
  const { batch } = options;
  if (!Number.isInteger(batch) || batch < 1)
    throw new ZkLoraError('USAGE', 'a batch has at least one sequence');
  let sum = 0;
  for (let first = 0; first < count; first += batch) {
    const size = Math.min(batch, count - first);
    // A copy, not a view: the ids travel to another thread.
    const part = ids.slice(first * sequence, (first + size) * sequence);
    const logits = await forward(part, size, sequence);
    for (let row = 0; row < size; row += 1) {
      for (let t = 0; t < sequence - 1; t += 1) {
        sum += surprise(logits, row * sequence + t, Number(part[row * sequence + t + 1]));
      }
    }
    options.onProgress?.(first + size, count);
  }
  const predictions = count * (sequence - 1);
  return { loss: sum / predictions, predictions, tokens: count * sequence };
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

import type { AdapterCommitment } from '../adapter/types.js';
import { ZkLoraError } from '../errors.js';
import type { ActivationRows } from '../protocol/session.js';

/** Largest size of an entry of A or B, see `quantizeModule`. */
const MAX_WEIGHT = 32_767;
/** Far beyond activations of models that work. */
export const MAX_ACTIVATION = 2 ** 60;
/**
 * Largest delta over the largest activation of its row: published adapters stay below 2^26. At {@link MAX_ACTIVATION},
 * added for all of 64 contributors, it gives 2^126: sums of deltas stay in float32.
 */
const MAX_GAIN = 2 ** 60;
/** The bound is computed in float64, with a relative error far below this. */
const SLACK = 1 + 2 ** -40;

/**
 * Refuses deltas that no adapter with int16 weights gives: |y| is at most rank * 32767^2 * sum |x| in each row.
 *
 * @param y `[tokens, outFeatures]`, without -2^63
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export function requirePossibleDelta(
  y: BigInt64Array,
  { x, exponents }: ActivationRows,
  { name, rank, outFeatures }: { readonly name: string; readonly rank: number; readonly outFeatures: number },
): void {
  const tokens = exponents.length;
  const features = x.length / tokens;
  const words = new Int32Array(y.buffer, y.byteOffset, 2 * y.length);
  for (let token = 0; token < tokens; token += 1) {
    let size = 0;
    for (let i = token * features; i < (token + 1) * features; i += 1) size += Math.abs(x[i]!);
    const bound = rank * MAX_WEIGHT ** 2 * size * SLACK;
    // whatever its low word, a value with a smaller high word is within the bound
    const high = Math.floor(bound / 2 ** 32) - 1;
    for (let i = token * outFeatures; i < (token + 1) * outFeatures; i += 1) {
      if (Math.abs(words[2 * i + 1]!) < high) continue;
      const value = words[2 * i + 1]! * 2 ** 32 + (words[2 * i]! >>> 0);
      if (Math.abs(value) <= bound) continue;
      throw new ZkLoraError(
        'SESSION_MALFORMED',
        `the contributor's delta of module ${name} is larger than its rank and the activations allow`,
      );
    }
  }
}

/**
 * Refuses an adapter before anything is asked when deltas within {@link requirePossibleDelta}'s bound could leave
 * float32's range on activations below {@link MAX_ACTIVATION}. What the model makes of a delta may still leave it.
 *
 * @param weight that its deltas are multiplied by
 * @throws ZkLoraError `ADAPTER_OVERFLOW`
 */
export function requireBoundedGain({ modules }: Pick<AdapterCommitment, 'modules'>, weight: number): void {
  for (const { name, rank, inFeatures, aExponent, bExponent, scaling } of modules) {
    const entries = MAX_WEIGHT ** 2 * 2 ** (aExponent + bExponent);
    if (Math.abs(weight) * rank * inFeatures * entries * Math.abs(scaling) <= MAX_GAIN) continue;
    throw new ZkLoraError(
      'ADAPTER_OVERFLOW',
      `deltas of module ${name} could leave float32's range: its commitment allows weights or a scaling, times the ` +
        "contributor's weight in the set, that no working adapter has",
    );
  }
}

import { magnitudeSums } from '../adapter/fixedPointRows.js';
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
 * @param largest |y| of each token, rounded to float64
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export function requirePossibleDelta(
  largest: Float64Array,
  { x }: ActivationRows,
  { name, rank }: { readonly name: string; readonly rank: number },
): void {
  const sizes = magnitudeSums(x, x.length / largest.length);
  if (largest.every((value, token) => value <= rank * MAX_WEIGHT ** 2 * sizes[token]! * SLACK)) return;
  throw new ZkLoraError(
    'SESSION_MALFORMED',
    `the contributor's delta of module ${name} is larger than its rank and the activations allow`,
  );
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

import { ZkLoraError } from '../errors.js';
import type { ApplyStage } from '../inference/graphModel.js';
import { expertClean, type Noisy, routerLogits } from './denoise.js';
import { sampleValues } from './description.js';
import type { Ensemble } from './ensemble.js';
import { MAX_GUIDANCE, MAX_RUN_VALUES, MAX_SAMPLES, MAX_STEPS } from './limits.js';
import { routerShares, topWeights } from './routing.js';

/** Flow times of the first and the last step; at 1 and 0 themselves the conversions divide by zero. */
export const FIRST_TIME = 0.98;
export const LAST_TIME = 0.02;

/** What is sampled. */
export interface Sampling {
  /** One for each sample, below `classes`; null for an ensemble without condition. */
  readonly labels: readonly number[] | null;
  /** Classifier-free guidance; 1 is none. */
  readonly guidance: number;
  /** Euler steps; the models are asked once more, for the final x0. */
  readonly steps: number;
  /** Experts that a sample is routed to: 1, k, or all. */
  readonly top: number;
}

/** One expert's part in a step. */
export interface ExpertCall {
  readonly expert: number;
  /** Indices of the samples, ascending. */
  readonly rows: readonly number[];
  /** Router weight of each of these samples, in (0, 1]. */
  readonly weights: readonly number[];
}

/** The routing decisions of one step. */
export interface StepTrace {
  readonly step: number;
  readonly time: number;
  /** Ascending by expert. */
  readonly calls: readonly ExpertCall[];
}

export interface SampleHooks {
  /** Deltas for a call of an expert; undefined runs the expert as it is. */
  readonly deltas?: (expert: number, step: number) => ApplyStage | undefined;
  /** Decides the routing of a step from the router's shares `[samples, experts]`; the `top` largest without it. */
  readonly route?: (step: number, shares: Float64Array) => readonly ExpertCall[];
  readonly onStep?: (step: number, total: number) => void;
  /** Sees the mixed x0 of each step, `[samples, values]`; none but the last is kept. */
  readonly onEstimate?: (step: number, estimate: Float32Array) => void;
}

export interface Sampled {
  /** Row-major `[samples, values]`. */
  readonly samples: Float32Array;
  readonly trace: readonly StepTrace[];
}

/**
 * Makes samples from noise: at each time every expert's x0 is mixed by router weight, v = (x - x0) / t, and an Euler step
 * goes to the next time. The mixed x0 at the last time is the sample.
 *
 * @param noise `[samples, values]`
 * @throws ZkLoraError `USAGE`, `ENSEMBLE_MISMATCH`, and what the models and hooks throw.
 */
export async function sampleEnsemble(
  ensemble: Ensemble,
  noise: Float32Array,
  sampling: Sampling,
  hooks: SampleHooks = {},
): Promise<Sampled> {
  const samples = checkSampling(ensemble, noise.length, sampling);
  const values = sampleValues(ensemble.description);
  const times = stepTimes(sampling.steps);
  const trace: StepTrace[] = [];
  let x = noise;
  let estimate = noise;
  for (const [step, time] of times.entries()) {
    hooks.onStep?.(step, times.length);
    const noisy: Noisy = { x, rows: samples, t: time, labels: sampling.labels };
    const experts = ensemble.experts.length;
    const shares = routerShares(await routerLogits(ensemble, noisy), samples, experts);
    const calls = hooks.route?.(step, shares) ?? topCalls(shares, experts, sampling.top);
    const mixed = new Float64Array(x.length);
    for (const { expert, rows, weights } of calls) {
      const part: Noisy = {
        x: pickRows(x, rows, values),
        rows: rows.length,
        t: time,
        labels: sampling.labels && rows.map((row) => sampling.labels![row]!),
      };
      const clean = await expertClean(
        ensemble,
        expert,
        part,
        sampling.guidance,
        hooks.deltas?.(expert, step),
      );
      for (const [i, row] of rows.entries()) {
        for (let j = 0; j < values; j += 1) mixed[row * values + j]! += weights[i]! * clean[i * values + j]!;
      }
    }
    trace.push({ step, time, calls });
    estimate = Float32Array.from(mixed);
    hooks.onEstimate?.(step, estimate);
    const next = times[step + 1];
    if (next !== undefined) x = x.map((value, i) => value + ((next - time) * (value - mixed[i]!)) / time);
  }
  return { samples: estimate, trace };
}

/** Flow times of `steps` Euler steps, ends included, in float32. */
export function stepTimes(steps: number): number[] {
  return Array.from({ length: steps + 1 }, (_, i) =>
    Math.fround(FIRST_TIME + ((LAST_TIME - FIRST_TIME) * i) / steps),
  );
}

/** Calls of the `top` largest shares of each row. @param shares `[samples, experts]` */
export function topCalls(shares: Float64Array, experts: number, top: number): ExpertCall[] {
  const calls = Array.from({ length: experts }, (_, expert) => ({
    expert,
    rows: [] as number[],
    weights: [] as number[],
  }));
  for (let row = 0; row * experts < shares.length; row += 1) {
    for (const [k, weight] of topWeights(
      shares.subarray(row * experts, (row + 1) * experts),
      top,
    ).entries()) {
      if (weight === 0) continue;
      calls[k]!.rows.push(row);
      calls[k]!.weights.push(weight);
    }
  }
  return calls.filter(({ rows }) => rows.length > 0);
}

/** Number of samples. @throws ZkLoraError `USAGE` */
function checkSampling({ description }: Ensemble, noise: number, sampling: Sampling): number {
  const { labels, guidance, steps, top } = sampling;
  const samples = noise / sampleValues(description);
  const usage = (message: string) => new ZkLoraError('USAGE', message);
  if (!Number.isInteger(samples) || samples < 1 || samples > MAX_SAMPLES || noise > MAX_RUN_VALUES) {
    throw usage(`the noise holds 1 to ${MAX_SAMPLES} whole samples of the ensemble's shape`);
  }
  if (!Number.isInteger(steps) || steps < 1 || steps > MAX_STEPS) {
    throw usage(`the number of steps is an integer from 1 to ${MAX_STEPS}`);
  }
  if (!Number.isInteger(top) || top < 1 || top > description.experts.length) {
    throw usage(`a sample is routed to 1 to ${description.experts.length} experts`);
  }
  if (!(guidance >= 0 && guidance <= MAX_GUIDANCE)) {
    throw usage(`guidance is a number from 0 to ${MAX_GUIDANCE}`);
  }
  const { classes } = description;
  if ((labels === null) !== (classes === null)) {
    throw usage(
      classes === null ? 'this ensemble takes no labels' : 'this ensemble needs a label for each sample',
    );
  }
  if (labels === null && guidance !== 1) throw usage('guidance needs an ensemble that takes labels');
  const fits = (label: number) => Number.isInteger(label) && label >= 0 && label <= classes!;
  if (labels !== null && (labels.length !== samples || !labels.every(fits))) {
    throw usage(`labels are one integer from 0 to ${classes} for each sample; ${classes} is no label`);
  }
  return samples;
}

function pickRows(x: Float32Array, rows: readonly number[], values: number): Float32Array {
  const picked = new Float32Array(rows.length * values);
  for (const [i, row] of rows.entries()) picked.set(x.subarray(row * values, (row + 1) * values), i * values);
  return picked;
}

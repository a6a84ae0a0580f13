import { ZkLoraError } from '../errors.js';
import type { ModelFeed } from '../inference/feeds.js';
import type { ApplyStage, GraphModel } from '../inference/graphModel.js';
import type { ModelOutput } from '../inference/stageRunner.js';
import { sampleValues } from './description.js';
import type { Ensemble } from './ensemble.js';
import { cleanValue, expertInput, guided } from './objective.js';

/** Noisy samples at one flow time. */
export interface Noisy {
  /** Row-major `[rows, values of a sample]`. */
  readonly x: Float32Array;
  readonly rows: number;
  /** Flow time in (0, 1), the same for all. */
  readonly t: number;
  /** `[rows]`; null without a condition. */
  readonly labels: readonly number[] | null;
}

/** Router logits `[rows, experts]`. @throws ZkLoraError `BASE_MODEL_MISMATCH` */
export async function routerLogits(ensemble: Ensemble, noisy: Noisy): Promise<Float32Array> {
  const output = await ensemble.router.forwardBase(feeds(ensemble, noisy, noisy.x, noisy.t, noisy.labels));
  return output.values;
}

/**
 * One expert's clipped x0, row-major `[rows, values]`. With guidance, conditioned and free rows go through the expert in
 * one forward pass: first all conditioned, then all free.
 *
 * @param applyStage deltas of an adapter; without it the uncut model runs
 * @throws ZkLoraError `ENSEMBLE_MISMATCH` for an answer that is not finite or of another size, and as the model's.
 */
export async function expertClean(
  ensemble: Ensemble,
  expert: number,
  noisy: Noisy,
  guidance: number,
  applyStage?: ApplyStage,
): Promise<Float32Array> {
  const { description } = ensemble;
  const file = description.experts[expert]!;
  const { x, rows, t, labels } = noisy;
  const { scale, time } = expertInput(file, t);
  const scaled = Float32Array.from(x, (value) => value * scale);
  const isGuided = labels !== null && guidance !== 1;
  const asked = isGuided
    ? {
        x: repeated(scaled),
        rows: 2 * rows,
        labels: [...labels, ...labels.map(() => description.classes!)],
      }
    : { x: scaled, rows, labels };
  const model: GraphModel = ensemble.experts[expert]!;
  const given = feeds(ensemble, asked, asked.x, time, asked.labels);
  const output = await (applyStage ? model.forward(given, applyStage) : model.forwardBase(given));
  const answer = checkAnswer(output, asked.x.length, expert);
  return x.map((value, i) => {
    const own = isGuided ? guided(answer[i]!, answer[x.length + i]!, guidance) : answer[i]!;
    return cleanValue(file.objective, value, own, t);
  });
}

function checkAnswer({ values }: ModelOutput, length: number, expert: number): Float32Array {
  if (values.length !== length || !values.every(Number.isFinite)) {
    throw new ZkLoraError(
      'ENSEMBLE_MISMATCH',
      `expert ${expert} does not answer with one finite value for each of its inputs`,
    );
  }
  return values;
}

function feeds(
  { description }: Ensemble,
  { rows }: { readonly rows: number },
  x: Float32Array,
  time: number,
  labels: readonly number[] | null,
): ModelFeed[] {
  if (x.length !== rows * sampleValues(description)) {
    throw new ZkLoraError('USAGE', 'the samples do not have the shape of the ensemble');
  }
  const given: ModelFeed[] = [
    { name: 'x', data: x, dims: [rows, ...description.sampleShape] },
    { name: 't', data: new Float32Array(rows).fill(time), dims: [rows] },
  ];
  if (labels !== null) given.push({ name: 'y', data: BigInt64Array.from(labels, BigInt), dims: [rows] });
  return given;
}

function repeated(values: Float32Array): Float32Array {
  const twice = new Float32Array(2 * values.length);
  twice.set(values);
  twice.set(values, values.length);
  return twice;
}

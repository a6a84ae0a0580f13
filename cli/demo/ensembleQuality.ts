import {
  type Alignment,
  alignment,
  type Ensemble,
  gaussianNoise,
  type Judgement,
  nearestClusters,
  openJudge,
  type Sampled,
  sampleEnsemble,
  sampleValues,
} from '../../src/ensemble/index.js';

export type RoutingVariant = 'top-1' | 'top-2' | 'full';

/** What one routing variant gives. */
export interface VariantQuality {
  /** By the judge, over all frames. */
  readonly judgement: Judgement;
  readonly alignment: Alignment;
  /** Expert forward passes for each sample and step. */
  readonly expertsPerStep: number;
  readonly seconds: number;
}

export interface QualityOptions {
  readonly ensemble: Ensemble;
  /** Path of the judge. */
  readonly judge: string;
  readonly samples: number;
  readonly steps: number;
  readonly seed: number;
  readonly onVariant?: (variant: RoutingVariant) => void;
}

/** Samples of every routing variant from the same noise, judged. Labels go round the classes. */
export async function measureQuality(
  options: QualityOptions,
): Promise<Record<RoutingVariant, VariantQuality>> {
  const { ensemble, samples, steps, seed, onVariant } = options;
  const { classes, experts } = ensemble.description;
  const labels = classes === null ? null : Array.from({ length: samples }, (_, i) => i % classes);
  const noise = gaussianNoise(seed, samples * sampleValues(ensemble.description));
  const measure = async (variant: RoutingVariant, top: number): Promise<VariantQuality> => {
    onVariant?.(variant);
    const started = performance.now();
    const nearest: number[][] = [];
    const sampling = { labels, guidance: 1, steps, top };
    const sampled = await sampleEnsemble(ensemble, noise, sampling, {
      onEstimate: (step, estimate) => {
        nearest[step] = nearestClusters(ensemble, estimate);
      },
    });
    const seconds = (performance.now() - started) / 1000;
    const rows = sampled.trace.flatMap(({ calls }) => calls).reduce((sum, call) => sum + call.rows.length, 0);
    return {
      judgement: await judgeSamples(options, sampled, labels),
      alignment: alignment(ensemble, sampled, nearest),
      expertsPerStep: rows / (samples * sampled.trace.length),
      seconds,
    };
  };
  return {
    'top-1': await measure('top-1', 1),
    'top-2': await measure('top-2', Math.min(2, experts.length)),
    full: await measure('full', experts.length),
  };
}

/** Every frame is judged by itself. */
async function judgeSamples(
  { ensemble, judge: path }: Pick<QualityOptions, 'ensemble' | 'judge'>,
  { samples }: Sampled,
  labels: readonly number[] | null,
): Promise<Judgement> {
  const [frames, rows, columns] = ensemble.description.sampleShape;
  const count = samples.length / (rows * columns);
  const judge = await openJudge(path);
  try {
    const each = labels && Array.from({ length: count }, (_, i) => labels[Math.floor(i / frames)]!);
    return await judge.judge(samples, count, each);
  } finally {
    await judge.close();
  }
}

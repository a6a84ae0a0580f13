import { ZkLoraError } from '../errors.js';
import type { Ensemble } from './ensemble.js';
import type { Sampled } from './sampler.js';

/** How the routing of a run fits the clusters that the experts were trained on. */
export interface Alignment {
  /** Share of (step, sample) pairs whose largest weight is on the expert with the centroid nearest to the final sample. */
  readonly nearestToSample: number;
  /** The same for the centroid nearest to the step's own x0 estimate. */
  readonly nearestToEstimate: number;
  /** The first share for three parts of the way: times above 2/3, above 1/3, and the rest. */
  readonly nearestByTime: readonly [number, number, number];
  /**
   * By expert: the pairs it led, and the mean Euclidean distance of their final samples to every centroid; null where the
   * expert led none.
   */
  readonly table: readonly { readonly pairs: number; readonly distances: readonly number[] | null }[];
}

/**
 * The expert with the nearest centroid, for each sample.
 *
 * @param samples `[samples, values]`
 * @throws ZkLoraError `USAGE` for an ensemble without centroids
 */
export function nearestClusters(ensemble: Ensemble, samples: Float32Array): number[] {
  return centroidDistances(ensemble, samples).map(indexOfSmallest);
}

/**
 * Expert-data alignment of a run.
 *
 * @param nearestToEstimates {@link nearestClusters} of each step's estimate, see `SampleHooks.onEstimate`
 * @throws ZkLoraError `USAGE` for an ensemble without centroids
 */
export function alignment(
  ensemble: Ensemble,
  { samples, trace }: Sampled,
  nearestToEstimates: readonly (readonly number[])[],
): Alignment {
  const { centroids } = ensemble;
  const finals = centroidDistances(ensemble, samples);
  const count = finals.length;
  const nearest = finals.map(indexOfSmallest);
  const byTime = [0, 1, 2].map(() => ({ right: 0, pairs: 0 }));
  const table = centroids.map(() => ({ pairs: 0, sums: centroids.map(() => 0) }));
  let toEstimate = 0;
  for (const { step, time, calls } of trace) {
    const leaders = leadingExperts(calls, count);
    const part = byTime[time > 2 / 3 ? 0 : time > 1 / 3 ? 1 : 2]!;
    for (const [row, leader] of leaders.entries()) {
      part.pairs += 1;
      if (leader === nearest[row]) part.right += 1;
      if (leader === nearestToEstimates[step]?.[row]) toEstimate += 1;
      const entry = table[leader]!;
      entry.pairs += 1;
      for (const [k, far] of finals[row]!.entries()) entry.sums[k]! += far;
    }
  }
  const pairs = count * trace.length;
  const share = ({ right, pairs: all }: { right: number; pairs: number }) => (all === 0 ? 0 : right / all);
  return {
    nearestToSample: byTime.reduce((sum, { right }) => sum + right, 0) / pairs,
    nearestToEstimate: toEstimate / pairs,
    nearestByTime: [share(byTime[0]!), share(byTime[1]!), share(byTime[2]!)],
    table: table.map((entry) => ({
      pairs: entry.pairs,
      distances: entry.pairs === 0 ? null : entry.sums.map((sum) => sum / entry.pairs),
    })),
  };
}

/** `[samples]` of `[experts]`. */
function centroidDistances({ centroids }: Ensemble, samples: Float32Array): number[][] {
  const values = centroids[0]?.length;
  if (values === undefined) throw new ZkLoraError('USAGE', 'the ensemble names no centroids');
  return Array.from({ length: samples.length / values }, (_, row) =>
    centroids.map((centroid) => distance(samples.subarray(row * values, (row + 1) * values), centroid)),
  );
}

/** The expert with the largest weight for each sample. */
function leadingExperts(calls: Sampled['trace'][number]['calls'], samples: number): number[] {
  const best = Array.from({ length: samples }, () => ({ expert: 0, weight: 0 }));
  for (const { expert, rows, weights } of calls) {
    for (const [i, row] of rows.entries()) {
      if (weights[i]! > best[row]!.weight) best[row] = { expert, weight: weights[i]! };
    }
  }
  return best.map(({ expert }) => expert);
}

function distance(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (const [i, value] of a.entries()) sum += (value - b[i]!) ** 2;
  return Math.sqrt(sum);
}

function indexOfSmallest(values: readonly number[]): number {
  return values.indexOf(Math.min(...values));
}

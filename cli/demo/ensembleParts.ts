import { join } from 'node:path';
import { bundled } from './bundled.js';

/** One of the two bundled ensembles, and what the demo asks of it. */
export interface EnsembleTask {
  readonly name: 'image' | 'video';
  /** Experts with an adapter; each adapter has a contributor of its own. */
  readonly adapted: readonly number[];
  /** For each sample; null where the ensemble takes no labels. */
  readonly labels: readonly number[] | null;
  readonly samples: number;
  readonly steps: number;
  readonly guidance: number;
  readonly seed: number;
  /** Samples of each routing variant whose quality is measured. */
  readonly judged: number;
}

export const ENSEMBLE_TASKS: readonly EnsembleTask[] = [
  {
    name: 'image',
    adapted: [3, 4],
    // the adapted experts were trained on the sixes and the zeros
    labels: [0, 6, 0, 6, 0, 6, 0, 6, 1, 2, 3, 4, 5, 7, 8, 9],
    samples: 16,
    steps: 20,
    guidance: 1.5,
    seed: 20240401,
    judged: 60,
  },
  {
    name: 'video',
    adapted: [1],
    labels: null,
    samples: 4,
    steps: 12,
    guidance: 1,
    seed: 20240402,
    judged: 12,
  },
];

/** Where the files of one ensemble are. */
export interface EnsemblePlaces {
  readonly model: string;
  readonly description: string;
  readonly judge: string;
  /** Of the user. */
  readonly run: string;
  readonly pictures: string;
  readonly lineage: string;
  readonly policy: string;
  readonly frauds: string;
  readonly parameters: string;
  readonly adapter: (expert: number) => string;
  /** Of the contributor of one adapter. */
  readonly contributor: (expert: number) => string;
  /** What the user pinned. */
  readonly pinned: (expert: number) => string;
}

export function ensemblePlaces(out: string, name: EnsembleTask['name']): EnsemblePlaces {
  const fixture = (path: string) => bundled(`ensemble/${name}/${path}`);
  const user = join(out, 'user', name);
  return {
    model: fixture('model'),
    description: fixture('describe.json'),
    judge: fixture('judge/model.onnx'),
    run: join(user, 'run'),
    pictures: join(user, 'pictures'),
    lineage: join(user, 'lineage'),
    policy: join(user, 'policy.json'),
    frauds: join(out, 'frauds', name),
    parameters: bundled('params/development'),
    adapter: (expert) => fixture(`adapters/expert_${expert}`),
    contributor: (expert) => join(out, 'contributor', `${name}-expert_${expert}`),
    pinned: (expert) => join(user, `expert_${expert}.zkl.json`),
  };
}

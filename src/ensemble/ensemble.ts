import { join } from 'node:path';
import { bytesToHex, sha256 } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { readFileBounded } from '../files.js';
import { type GraphModel, openGraphModel } from '../inference/graphModel.js';
import { ModelWorker } from '../inference/modelWorker.js';
import type { ModuleShape } from '../inference/targets.js';
import { type EnsembleFile, ensembleFileDigest, parseEnsembleFile, sampleValues } from './description.js';
import { MAX_CENTROID_VALUES, MAX_ENSEMBLE_BYTES } from './limits.js';

/** Name of the description in an ensemble's folder. */
export const ENSEMBLE_FILE = 'ensemble.json';

/** An ensemble with all of its models loaded, in one worker thread. */
export interface Ensemble {
  readonly description: EnsembleFile;
  /** See {@link ensembleFileDigest}. */
  readonly digest: string;
  readonly router: GraphModel;
  /** By expert index. */
  readonly experts: readonly GraphModel[];
  /** `[experts]` of `[values of a sample]`; empty where the ensemble names none. */
  readonly centroids: readonly Float32Array[];
  close(): Promise<void>;
}

/**
 * Opens the ensemble of a folder and checks every file against the digests of its description.
 *
 * @param adapters modules to cut experts at, by expert index
 * @throws ZkLoraError `ENSEMBLE_MALFORMED`, `ENSEMBLE_MISMATCH` for a file that is not the named one (a swapped expert, a
 * replaced router) or takes other inputs, `USAGE` for an adapter on an expert that is not there, `FILE_NOT_FOUND`,
 * `FILE_UNREADABLE`, `ONNX_MALFORMED`, `MODULE_NOT_FOUND`, `SHAPE_MISMATCH`, `BASE_MODEL_MISMATCH`.
 */
export async function openEnsemble(
  folder: string,
  adapters: ReadonlyMap<number, readonly ModuleShape[]> = new Map(),
): Promise<Ensemble> {
  const description = parseEnsembleFile(
    await readFileBounded(join(folder, ENSEMBLE_FILE), MAX_ENSEMBLE_BYTES, 'ensemble description'),
  );
  for (const expert of adapters.keys()) requireExpert(description, expert);
  const centroids = await readCentroids(folder, description);
  const worker = new ModelWorker();
  try {
    const feeds = description.classes === null ? ['x', 't'] : ['x', 't', 'y'];
    const open = async (
      what: string,
      { file, sha256 }: { file: string; sha256: string },
      modules: readonly ModuleShape[],
    ) => {
      const model = await openGraphModel(worker, join(folder, file), modules);
      if (model.digest !== sha256) throw otherFile(what, file);
      if (model.feeds.length === feeds.length && feeds.every((name) => model.feeds.includes(name)))
        return model;
      throw new ZkLoraError(
        'ENSEMBLE_MISMATCH',
        `${what} takes other inputs than ${feeds.join(', ')}; export it with these names`,
      );
    };
    const router = await open('the router', description.router, []);
    const experts: GraphModel[] = [];
    for (const [index, expert] of description.experts.entries()) {
      experts.push(await open(`expert ${index}`, expert, adapters.get(index) ?? []));
    }
    const close = () => worker.terminate();
    return { description, digest: ensembleFileDigest(description), router, experts, centroids, close };
  } catch (error) {
    await worker.terminate();
    throw error;
  }
}

/** @throws ZkLoraError `USAGE` */
export function requireExpert({ experts }: EnsembleFile, expert: number): void {
  if (Number.isInteger(expert) && expert >= 0 && expert < experts.length) return;
  throw new ZkLoraError('USAGE', `the ensemble has experts 0 to ${experts.length - 1}, not ${expert}`);
}

async function readCentroids(folder: string, description: EnsembleFile): Promise<Float32Array[]> {
  if (description.centroids === null) return [];
  const { file, sha256: wanted } = description.centroids;
  const bytes = await readFileBounded(join(folder, file), 4 * MAX_CENTROID_VALUES, 'cluster centroids');
  if (bytesToHex(sha256(bytes)) !== wanted) throw otherFile('the centroids file', file);
  const size = sampleValues(description);
  if (bytes.length !== 4 * size * description.experts.length) {
    throw new ZkLoraError('ENSEMBLE_MISMATCH', 'the centroids file does not hold one sample for each expert');
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return description.experts.map((_, expert) =>
    Float32Array.from({ length: size }, (_, i) => view.getFloat32(4 * (expert * size + i), true)),
  );
}

function otherFile(what: string, file: string): ZkLoraError {
  return new ZkLoraError(
    'ENSEMBLE_MISMATCH',
    `${what} (${file}) is not the file that ensemble.json names; it was replaced after the description was made`,
  );
}

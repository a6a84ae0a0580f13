import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { EnsembleManifest } from '../checkpoint/ensembleManifest.js';
import { digestCheckpoint } from '../checkpoint/openCheckpoint.js';
import { ZkLoraError } from '../errors.js';
import { readFileBounded } from '../files.js';
import { parseEnsembleFile } from './description.js';
import { ENSEMBLE_FILE } from './ensemble.js';
import { MAX_CENTROID_VALUES, MAX_ENSEMBLE_BYTES } from './limits.js';

/**
 * Checks the folder of an ensemble against its manifest, which somebody signed: the weights of every expert and of the
 * router by their checkpoint digests, ensemble.json and centroids by their bytes. ensemble.json alone is not signed: whoever
 * replaces a model can write its digest there.
 *
 * @throws ZkLoraError `ENSEMBLE_MISMATCH` for a swapped expert, a replaced router or another description,
 * `ENSEMBLE_MALFORMED`, and as `digestCheckpoint`
 */
export async function checkSignedEnsemble(folder: string, manifest: EnsembleManifest): Promise<void> {
  const bytes = await readFileBounded(
    join(folder, ENSEMBLE_FILE),
    MAX_ENSEMBLE_BYTES,
    'ensemble description',
  );
  requireListed(manifest, ENSEMBLE_FILE, bytes);
  const description = parseEnsembleFile(bytes);
  if (description.experts.length !== manifest.experts.length) {
    throw mismatch('the description', 'it has another number of experts than the signed manifest');
  }
  for (const [index, { file, objective }] of description.experts.entries()) {
    const signed = manifest.experts[index]!;
    if (signed.objective !== objective) throw mismatch(`expert ${index} is signed`, `as ${signed.objective}`);
    await requireWeights(`expert ${index}`, join(folder, file), signed.digest);
  }
  await requireWeights('the router', join(folder, description.router.file), manifest.router.digest);
  if (description.centroids !== null) {
    const { file } = description.centroids;
    requireListed(
      manifest,
      file,
      await readFileBounded(join(folder, file), 4 * MAX_CENTROID_VALUES, 'cluster centroids'),
    );
  }
}

async function requireWeights(what: string, path: string, digest: string): Promise<void> {
  if ((await digestCheckpoint(path)).digest !== digest) {
    throw mismatch(
      `${what} does not have the weights of the signed manifest`,
      'it was replaced after signing',
    );
  }
}

function requireListed({ files }: EnsembleManifest, file: string, bytes: Uint8Array): void {
  const listed = files.find(({ path }) => path === file);
  if (listed?.sha256 !== createHash('sha256').update(bytes).digest('hex')) {
    throw mismatch(`${file} is not the file of the signed manifest`, 'it was replaced after signing');
  }
}

function mismatch(problem: string, more: string): ZkLoraError {
  return new ZkLoraError('ENSEMBLE_MISMATCH', `${problem}: ${more}`);
}

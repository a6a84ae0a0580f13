import { join } from 'node:path';
import { bytesToHex } from '../bytes.js';
import { sha256OfFile } from '../checkpoint/confined.js';
import type { EnsembleManifest } from '../checkpoint/ensembleManifest.js';
import { digestCheckpoint } from '../checkpoint/openCheckpoint.js';
import { ZkLoraError } from '../errors.js';
import { readFileBounded } from '../files.js';
import type { ModuleShape } from '../inference/targets.js';
import { sha256Of } from '../sha256.js';
import { ensembleFileDigest, parseEnsembleFile } from './description.js';
import { ENSEMBLE_FILE, type Ensemble, openEnsemble } from './ensemble.js';
import { MAX_CENTROID_VALUES, MAX_ENSEMBLE_BYTES } from './limits.js';

/**
 * Checks the folder of an ensemble against its manifest, which somebody signed: ensemble.json and centroids by their bytes,
 * every expert and the router by the SHA-256 in ensemble.json and their weights by their checkpoint digests. ensemble.json
 * alone is not signed: whoever replaces a model can write its digest there.
 *
 * @returns digest of the description that was checked: an ensemble opened later from this folder has to have it
 * @throws ZkLoraError `ENSEMBLE_MISMATCH` for a swapped expert, a replaced router or another description,
 * `ENSEMBLE_MALFORMED`, and as `digestCheckpoint`
 */
export async function checkSignedEnsemble(folder: string, manifest: EnsembleManifest): Promise<string> {
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
  for (const [index, { file, sha256, objective }] of description.experts.entries()) {
    const signed = manifest.experts[index]!;
    if (signed.objective !== objective) throw mismatch(`expert ${index} is signed`, `as ${signed.objective}`);
    await requireModel(`expert ${index}`, join(folder, file), sha256, signed.digest);
  }
  const { router } = description;
  await requireModel('the router', join(folder, router.file), router.sha256, manifest.router.digest);
  if (description.centroids !== null) {
    const { file } = description.centroids;
    requireListed(
      manifest,
      file,
      await readFileBounded(join(folder, file), 4 * MAX_CENTROID_VALUES, 'cluster centroids'),
    );
  }
  return ensembleFileDigest(description);
}

/**
 * Opens an ensemble that holds what a manifest, which somebody signed, says: {@link checkSignedEnsemble}, and that what was
 * opened afterwards is what was checked.
 *
 * @param adapters modules to cut experts at, by expert index
 * @throws ZkLoraError as `checkSignedEnsemble` and `openEnsemble`
 */
export async function openSignedEnsemble(
  folder: string,
  manifest: EnsembleManifest,
  adapters?: ReadonlyMap<number, readonly ModuleShape[]>,
): Promise<Ensemble> {
  const checked = await checkSignedEnsemble(folder, manifest);
  // the description holds the SHA-256 of every file, and each was compared as it was opened
  const ensemble = await openEnsemble(folder, adapters);
  if (ensemble.digest === checked) return ensemble;
  await ensemble.close();
  throw mismatch('the folder is not what was checked', 'it was replaced meanwhile');
}

async function requireModel(what: string, path: string, sha256: string, digest: string): Promise<void> {
  if ((await sha256OfFile(path, what)) !== sha256) {
    throw mismatch(`${what} is not the file that ensemble.json names`, 'it was replaced after signing');
  }
  if ((await digestCheckpoint(path)).digest !== digest) {
    throw mismatch(
      `${what} does not have the weights of the signed manifest`,
      'it was replaced after signing',
    );
  }
}

function requireListed({ files }: EnsembleManifest, file: string, bytes: Uint8Array): void {
  const listed = files.find(({ path }) => path === file);
  if (listed?.sha256 !== bytesToHex(sha256Of(bytes))) {
    throw mismatch(`${file} is not the file of the signed manifest`, 'it was replaced after signing');
  }
}

function mismatch(problem: string, more: string): ZkLoraError {
  return new ZkLoraError('ENSEMBLE_MISMATCH', `${problem}: ${more}`);
}

import { cp, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { AdapterCommitment } from '../../src/adapter/index.js';
import { bytesToHex, sha256 } from '../../src/bytes.js';
import type { ImportedEnsemble } from '../../src/checkpoint/index.js';
import { checkSignedEnsemble, type Ensemble, openEnsemble } from '../../src/ensemble/index.js';
import { ZkLoraError } from '../../src/errors.js';
import { readFileBounded, writeFileAtomic } from '../../src/files.js';
import { checkBaseModel } from '../../src/inference/recordedSession.js';
import type { EnsemblePlaces } from './ensembleParts.js';

const MAX_MODEL_BYTES = 2 ** 24;

/** What became of an attempt: refused with these codes, or accepted. */
export interface Attempt {
  readonly rejected: boolean;
  readonly codes: readonly string[];
}

/**
 * Two experts change places, three ways: the files alone; with ensemble.json made to fit, against the signed manifest; and an
 * adapter offered on another expert than the one it was registered for.
 */
export async function trySwappedExpert(
  places: EnsemblePlaces,
  { manifest }: ImportedEnsemble,
  ensemble: Ensemble,
  commitment: AdapterCommitment,
  expert: number,
): Promise<Attempt> {
  const other = (expert + 1) % manifest.experts.length;
  const folder = join(places.frauds, 'ensemble-with-swapped-experts');
  await cp(places.model, folder, { recursive: true });
  const [ours, theirs] = [expert, other].map((index) => join(folder, `expert_${index}`, 'model.onnx'));
  await rename(ours!, `${ours}.aside`);
  await rename(theirs!, ours!);
  await rename(`${ours}.aside`, theirs!);
  const outcomes = [await outcome(async () => (await openEnsemble(folder)).close())];

  const file = join(folder, 'ensemble.json');
  const text = new TextDecoder().decode(await readFileBounded(file, MAX_MODEL_BYTES, 'ensemble description'));
  const digest = async (path: string) =>
    bytesToHex(sha256(await readFileBounded(path, MAX_MODEL_BYTES, 'expert')));
  // after the swap each place holds the digest that the other was described with
  const [now, then] = [await digest(ours!), await digest(theirs!)];
  const swapped = text.replaceAll(now, '#').replaceAll(then, now).replaceAll('#', then);
  await writeFileAtomic(file, swapped, { overwrite: true });
  outcomes.push(await outcome(() => checkSignedEnsemble(folder, manifest)));
  outcomes.push(await outcome(async () => checkBaseModel({ model: ensemble.experts[other]!, commitment })));
  const codes = outcomes.filter((code) => code !== undefined);
  return { rejected: codes.length === outcomes.length, codes };
}

/** Code of the refusal; undefined when there was none. */
async function outcome(attempt: () => Promise<void>): Promise<string | undefined> {
  try {
    await attempt();
    return undefined;
  } catch (error) {
    if (error instanceof ZkLoraError) return error.code;
    throw error;
  }
}

import { cp, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { type AdapterCommitment, adapterId } from '../../src/adapter/index.js';
import { bytesToHex, sha256, utf8ToBytes } from '../../src/bytes.js';
import {
  addHeadToStore,
  envelopeId,
  type ImportedEnsemble,
  type LineageVerdict,
  parseEnvelope,
  readLineageHeads,
  readStore,
  type StoredFile,
  serializeEnvelope,
  verifyAdapterLineage,
  verifyWithLineage,
} from '../../src/checkpoint/index.js';
import { checkSignedEnsemble, type Ensemble, openEnsemble } from '../../src/ensemble/index.js';
import { ZkLoraError } from '../../src/errors.js';
import { readFileBounded, writeFileAtomic } from '../../src/files.js';
import { checkBaseModel } from '../../src/inference/recordedSession.js';
import type { VerifyOptions } from '../../src/protocol/index.js';
import { adapterQuestion } from '../lineageInputs.js';
import { type SignedLineage, signAdapter } from './ensembleLineage.js';
import type { EnsemblePlaces } from './ensembleParts.js';

const MAX_MODEL_BYTES = 2 ** 24;

/** What became of an attempt: refused with these codes, or accepted. */
export interface Attempt {
  readonly rejected: boolean;
  readonly codes: readonly string[];
}

/**
 * Two experts change places, four ways: the files alone, as they are opened and against the signed manifest; with
 * ensemble.json made to fit, against the signed manifest; and an adapter offered on another expert than the one it was
 * registered for.
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
  const outcomes = [
    await outcome(async () => (await openEnsemble(folder)).close()),
    await outcome(() => checkSignedEnsemble(folder, manifest)),
  ];

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
async function outcome(attempt: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await attempt();
    return undefined;
  } catch (error) {
    if (error instanceof ZkLoraError) return error.code;
    throw error;
  }
}

/**
 * An adapter-of edge is turned to another expert, three ways, each in a store of its own: by somebody who edits the file; who
 * renames it to fit, too; and by the contributor, who signs the other edge and leaves the first one out.
 *
 * @param proven what the adapter's session is verified with
 */
export async function tryTamperedEdge(
  places: EnsemblePlaces,
  { imported: { manifest }, policy, contributors }: SignedLineage,
  proven: VerifyOptions,
  expert: number,
): Promise<Attempt> {
  const { adapter } = proven;
  const own = manifest.experts[expert]!.digest;
  const other = manifest.experts[(expert + 1) % manifest.experts.length]!.digest;
  const forge = async (name: string, turn: (file: StoredFile) => StoredFile) => {
    const folder = join(places.frauds, name);
    await mkdir(folder, { recursive: true });
    for (const file of await readStore(places.lineage)) {
      const { id, bytes } = isAbout(file, adapterId(adapter)) ? turn(file) : file;
      await writeFileAtomic(join(folder, `${id}.dsse.json`), bytes);
    }
    for (const head of await readLineageHeads(places.lineage)) await addHeadToStore(folder, head);
    return adapterQuestion(folder, policy, adapter);
  };
  const edited = ({ bytes }: StoredFile) => {
    const envelope = parseEnvelope(bytes);
    const payload = utf8ToBytes(new TextDecoder().decode(envelope.payload).replaceAll(own, other));
    return serializeEnvelope({ ...envelope, payload });
  };
  const named = (bytes: Uint8Array) => ({ id: envelopeId(bytes), bytes });
  const signed = serializeEnvelope(signAdapter(adapter, other, contributors.get(expert)!));
  const questions = [
    await forge('lineage-with-edited-edge', (file) => ({ id: file.id, bytes: edited(file) })),
    await forge('lineage-with-renamed-edge', (file) => named(edited(file))),
  ];
  const verdicts: LineageVerdict[] = await Promise.all(
    questions.map((each) => verifyAdapterLineage({ ...each, adapter })),
  );
  const bound = await verifyWithLineage(
    proven,
    await forge('lineage-with-edge-signed-again', () => named(signed)),
  );
  verdicts.push(bound.lineage);
  return {
    rejected: !bound.valid && verdicts.every(({ valid }) => !valid),
    codes: [...new Set(verdicts.flatMap(reasonsOf))],
  };
}

/** Whether an envelope is the adapter-of statement of an adapter. */
function isAbout({ bytes }: StoredFile, id: string): boolean {
  const text = new TextDecoder().decode(parseEnvelope(bytes).payload);
  return text.includes('"adapter-of"') && text.includes(id);
}

function reasonsOf({ failures, edges, ignored }: LineageVerdict): string[] {
  return [...failures, ...edges.flatMap(({ reasons }) => reasons), ...ignored].map(({ code }) => code);
}

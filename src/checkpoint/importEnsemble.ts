import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { quoted } from '../adapter/quoted.js';
import { ZkLoraError } from '../errors.js';
import { readFileBounded } from '../files.js';
import { parseJsonBytes } from '../jsonText.js';
import { compareTensors, isUnchanged } from './compare.js';
import { openConfined, streamRange } from './confined.js';
import type { DescribedParent, EnsembleDescription } from './ensembleDescription.js';
import { checkEnsembleManifest, type EnsembleManifest, ensembleDigest } from './ensembleManifest.js';
import { MAX_ENSEMBLE_FILES, MAX_EXPERTS, MAX_MANIFEST_BYTES } from './limits.js';
import type { Manifest, ManifestParent } from './manifest.js';
import { type DigestedCheckpoint, digestCheckpoint, holdsCheckpoint } from './openCheckpoint.js';
import { type EdgeToAttest, edgesStatement, ensembleStatement, type Statement } from './statement.js';
import type { LineageNode } from './vocabulary.js';

/** An imported ensemble. */
export interface ImportedEnsemble {
  readonly manifest: EnsembleManifest;
  /** See {@link ensembleDigest}. */
  readonly digest: string;
  /** One signed whole: the ensemble manifest, then the edges of its members. */
  readonly statements: readonly Statement[];
  /** Steps that claim to copy or relabel tensors only and were compared tensor by tensor. */
  readonly recheckedSteps: number;
}

interface Options {
  readonly folder: string;
  readonly description: EnsembleDescription;
  /** Base of relative parent paths in the description. */
  readonly parentFolder: string;
  /** See `formatTime`. */
  readonly issuedAt: string;
  readonly onProgress?: (what: string) => void;
}

const EXPERT = /^expert_(0|[1-9][0-9]{0,3})$/;
const WEIGHTS = /\.(?:safetensors|safetensors\.index\.json|onnx)$/;
/** Deepest file of a pipeline folder: `tokenizer/vocab.json` has depth 2. */
const MAX_FOLDER_DEPTH = 4;

/**
 * Imports a folder laid out as `expert_0/ ... expert_{n-1}/`, `router/` and further components (`vae/`,
 * `text_encoder/`, `tokenizer/`), with weights as safetensors or ONNX in each.
 *
 * Every file counts: weights by their checkpoint digest, everything else by its SHA-256, except the model card.
 * A step that claims to copy or relabel tensors only is compared tensor by tensor when the parent's path is given.
 *
 * @throws ZkLoraError `CHECKPOINT_MALFORMED` when the folder does not fit its description or a step does not hold;
 *   and as `digestCheckpoint`
 */
export async function importEnsemble(options: Options): Promise<ImportedEnsemble> {
  const { folder, description, onProgress } = options;
  const folders = await subfolders(folder);
  const indices = folders.flatMap((name) => EXPERT.exec(name)?.[1] ?? []).map(Number);
  if (indices.length > MAX_EXPERTS) throw malformed(`it has more than ${MAX_EXPERTS} experts`);
  if (indices.length !== description.experts.length || indices.some((index) => index >= indices.length)) {
    throw malformed(
      `it has ${indices.length} expert folders where the description has ${description.experts.length}`,
    );
  }
  if (!folders.includes('router')) throw malformed('it has no folder "router"');
  const seen = { rechecked: 0 };
  const common = {
    format: 'zklora/checkpoint-manifest/v1',
    kind: 'checkpoint',
    family: description.family,
    modality: description.modality,
    licence: description.licence,
  } as const;
  const experts: Manifest[] = [];
  for (const [index, { objective, cluster, parents }] of description.experts.entries()) {
    const name = `expert_${index}`;
    onProgress?.(`hashing ${name}`);
    const checkpoint = await digestCheckpoint(join(folder, name));
    await checkObjective(join(folder, name), name, objective);
    experts.push({
      ...common,
      digest: checkpoint.digest,
      name: `${description.name} ${name}`,
      role: 'expert',
      objective,
      expert: { index, cluster },
      parents: await resolveParents(parents, checkpoint, name, options, seen),
    });
  }
  onProgress?.('hashing router');
  const routed = await digestCheckpoint(join(folder, 'router'));
  const router: Manifest = {
    ...common,
    digest: routed.digest,
    name: `${description.name} router`,
    role: 'router',
    objective: null,
    expert: null,
    parents: await resolveParents(description.router.parents, routed, 'router', options, seen),
  };
  const components: EnsembleManifest['components'] = [];
  for (const name of folders) {
    if (EXPERT.test(name) || name === 'router' || !(await holdsCheckpoint(join(folder, name)))) continue;
    onProgress?.(`hashing ${name}`);
    components.push({ name, checkpoint: (await digestCheckpoint(join(folder, name))).digest });
  }
  onProgress?.('hashing configurations');
  const manifest = checkEnsembleManifest({
    format: 'zklora/ensemble-manifest/v1',
    name: description.name,
    family: description.family,
    modality: description.modality,
    licence: description.licence,
    experts,
    router,
    components,
    files: await otherFiles(folder),
  });
  const statements = [
    ensembleStatement(manifest, options.issuedAt),
    ...memberStatements(manifest, options.issuedAt),
  ];
  return { manifest, digest: ensembleDigest(manifest), statements, recheckedSteps: seen.rechecked };
}

/** Membership and origin of every expert and of the router. */
function memberStatements(manifest: EnsembleManifest, issuedAt: string): Statement[] {
  const ensemble: LineageNode = { kind: 'ensemble', digest: ensembleDigest(manifest) };
  const edges = [...manifest.experts, manifest.router].flatMap((member): EdgeToAttest[] => {
    const subject: LineageNode = { kind: 'checkpoint', digest: member.digest };
    const relation = member.role === 'router' ? 'router-of' : 'expert-of';
    return [
      { subject, relation, parents: [ensemble], step: null },
      ...member.parents.map((parent) => ({ subject, ...parent })),
    ];
  });
  const perStatement = 512;
  return Array.from({ length: Math.ceil(edges.length / perStatement) }, (_, i) =>
    edgesStatement(edges.slice(i * perStatement, (i + 1) * perStatement), issuedAt),
  );
}

async function resolveParents(
  described: readonly DescribedParent[],
  checkpoint: DigestedCheckpoint,
  name: string,
  { parentFolder, onProgress }: Options,
  seen: { rechecked: number },
): Promise<ManifestParent[]> {
  const resolved: ManifestParent[] = [];
  for (const { relation, parents, step } of described) {
    const nodes: LineageNode[] = [];
    for (const parent of parents) {
      if (!('path' in parent)) {
        nodes.push(parent);
        continue;
      }
      onProgress?.(`hashing a parent of ${name}`);
      const digested = await digestCheckpoint(resolve(parentFolder, parent.path));
      nodes.push({ kind: 'checkpoint', digest: digested.digest });
      if (step?.tensorsUnchanged !== true) continue;
      seen.rechecked += 1;
      const comparison = compareTensors(digested.tensors, checkpoint.tensors);
      if (isUnchanged(comparison)) continue;
      const odd = [...comparison.changed, ...comparison.added, ...comparison.removed];
      throw malformed(
        `the ${relation} step of ${name} should copy tensors only, but ${odd.length} differ, such as ${quoted(odd[0]!)}`,
      );
    }
    resolved.push({ relation, parents: nodes, step });
  }
  return resolved;
}

/** An objective that config.json names must be the described one. */
async function checkObjective(folder: string, name: string, objective: string): Promise<void> {
  const bytes = await readFileBounded(join(folder, 'config.json'), MAX_MANIFEST_BYTES, `${name}/config.json`);
  const config = parseJsonBytes(bytes, 'CHECKPOINT_MALFORMED', `${name}/config.json`);
  if (typeof config !== 'object' || config === null || !('objective' in config)) return;
  const said = String(config.objective).toLowerCase().replaceAll('_', '-');
  if (said === objective) return;
  throw malformed(
    `${name}/config.json names the objective ${quoted(said)}, the description says ${objective}`,
  );
}

async function subfolders(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new ZkLoraError('FILE_NOT_FOUND', `ensemble: there is no folder ${folder}; check the path`, {
      cause,
    });
  });
  if (entries.length > MAX_ENSEMBLE_FILES) throw malformed(`it has more than ${MAX_ENSEMBLE_FILES} files`);
  return entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
    .sort();
}

/** Everything besides weights and model cards, sorted by path. */
async function otherFiles(folder: string): Promise<EnsembleManifest['files']> {
  const paths: string[] = [];
  const visit = async (prefix: string, depth: number): Promise<void> => {
    if (depth > MAX_FOLDER_DEPTH)
      throw malformed(`its folders are nested deeper than ${MAX_FOLDER_DEPTH} levels`);
    for (const entry of await readdir(join(folder, prefix), { withFileTypes: true })) {
      if (entry.name.startsWith('.')) continue;
      const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
      if (entry.isDirectory()) await visit(path, depth + 1);
      else if (basename(path) !== 'README.md' && !WEIGHTS.test(path)) paths.push(path);
      if (paths.length > MAX_ENSEMBLE_FILES) throw malformed(`it has more than ${MAX_ENSEMBLE_FILES} files`);
    }
  };
  await visit('', 1);
  const files: EnsembleManifest['files'] = [];
  for (const path of paths.sort()) {
    const file = await openConfined(folder, path, 'ensemble file');
    try {
      const hash = createHash('sha256');
      await streamRange(file, 0, file.size, (piece) => hash.update(piece));
      files.push({ path, bytes: file.size, sha256: hash.digest('hex') });
    } finally {
      await file.handle.close();
    }
  }
  return files;
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError(
    'CHECKPOINT_MALFORMED',
    `the ensemble folder cannot be imported: ${problem}; correct the folder or its description`,
  );
}

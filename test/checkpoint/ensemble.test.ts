import { rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  digestCheckpoint,
  type EnsembleDescription,
  edgesStatement,
  ensembleDigest,
  importEnsemble,
  type LineageNode,
  parseEnsembleDescription,
  type StoredFile,
} from '../../src/checkpoint/index.js';
import { refusal, refusalOf } from '../adapter/refusal.js';
import { expertTensors, writeEnsemble } from './ensembleFolder.js';
import {
  ADAPTER,
  checkpoint,
  edge,
  edgeOf,
  failureCodes,
  ISSUED,
  judge,
  STRANGER,
  stored,
} from './lineageBuilder.js';
import { safetensorsBytes, temporaryFolder } from './tensorFiles.js';

const load = (folder: string, description: EnsembleDescription) =>
  importEnsemble({ folder: join(folder, 'ensemble'), description, parentFolder: folder, issuedAt: ISSUED });

const node = (digest: string): LineageNode => ({ kind: 'checkpoint', digest });

describe('importing an ensemble', () => {
  it('gives one manifest of experts, router, components and files, and re-checks conversions', async () => {
    const folder = await temporaryFolder();
    const { manifest, digest, recheckedSteps, statements } = await load(folder, await writeEnsemble(folder));
    expect(digest).toBe(ensembleDigest(manifest));
    expect(recheckedSteps).toBe(4);
    expect(statements).toHaveLength(2);
    expect(manifest.experts.map(({ objective }) => objective)).toEqual(
      Array.from({ length: 8 }, (_, i) => (i % 2 ? 'ddpm' : 'flow-matching')),
    );
    const third = await digestCheckpoint(join(folder, 'ensemble/expert_3'));
    expect(manifest.experts[3]!.digest).toBe(third.digest);
    expect(manifest.components.map(({ name }) => name)).toEqual(['text_encoder', 'vae']);
    expect(manifest.files.map(({ path }) => path)).toContain('tokenizer/vocab.json');
    expect(manifest.files.map(({ path }) => path)).not.toContain('README.md');
    expect(manifest.experts[0]!.parents[0]!.parents).toEqual([
      node((await digestCheckpoint(join(folder, 'ddpm/expert_0.safetensors'))).digest),
    ]);
  });

  it('carries an adapter from an expert to the ensemble and to the converted checkpoint', async () => {
    const folder = await temporaryFolder();
    const { manifest, digest, statements } = await load(folder, await writeEnsemble(folder));
    const files: StoredFile[] = statements.map((each) => stored(each));
    const ensembleRoot: LineageNode = { kind: 'ensemble', digest };
    const original = manifest.experts[0]!.parents[0]!.parents[0]!;
    const onExpert = (index: number) => [
      ...files,
      edge(ADAPTER, 'adapter-of', node(manifest.experts[index]!.digest)),
    ];
    const policy = { allowedRoots: [ensembleRoot, original], requiredRelations: ['expert-of' as const] };
    // an expert without parents ends in its ensemble, a converted one in what it was converted from
    expect(await failureCodes({ files: onExpert(1), policy })).toEqual([]);
    expect(await failureCodes({ files: onExpert(0), policy })).toEqual([]);
    expect(await failureCodes({ files: onExpert(0), policy: { allowedRoots: [ensembleRoot] } })).toEqual([
      'missing-parent',
    ]);
    expect(await failureCodes({ files: onExpert(1), policy: { allowedRoots: [original] } })).toEqual([
      'root-not-allowed',
    ]);
    const ddpm = { ...policy, forbiddenObjectives: ['ddpm' as const], forbiddenLicences: [] };
    expect(await failureCodes({ files: onExpert(1), policy: ddpm })).toContain('forbidden-objective');
    const nodes = (await judge({ files: onExpert(1), policy })).nodes;
    expect(nodes.find(({ role }) => role === 'expert')?.name).toBe('tiny paris expert_1');
  });

  it('refuses members that the signed manifest does not list', async () => {
    const folder = await temporaryFolder();
    const { manifest, digest, statements } = await load(folder, await writeEnsemble(folder, 2));
    const ensembleRoot: LineageNode = { kind: 'ensemble', digest };
    const policy = { allowedRoots: [ensembleRoot] };
    const files = statements.map((each) => stored(each));
    const swapped = checkpoint('another expert');
    const claim = edge(swapped, 'expert-of', ensembleRoot);
    const onto = [...files, claim, edge(ADAPTER, 'adapter-of', swapped)];
    expect(await failureCodes({ files: onto, policy })).toEqual(['not-in-ensemble']);
    // a router replaced after signing, and the router passed off as an expert
    const routed = [...files, edge(checkpoint('new router'), 'router-of', ensembleRoot)];
    expect(await failureCodes({ files: routed, policy, subject: checkpoint('new router') })).toEqual([
      'not-in-ensemble',
    ]);
    const router = node(manifest.router.digest);
    const passed = [...files, edge(router, 'expert-of', ensembleRoot)];
    expect(await failureCodes({ files: passed, policy, subject: router })).toEqual(['not-in-ensemble']);
    // the edges alone, without the ensemble's manifest, or with one that a stranger signed
    const first = node(manifest.experts[1]!.digest);
    expect(await failureCodes({ files: [files[1]!], policy, subject: first })).toEqual(['missing-manifest']);
    const foreign = [stored(statements[0]!, STRANGER), files[1]!];
    expect(await failureCodes({ files: foreign, policy, subject: first })).toEqual(['missing-manifest']);
    const other = stored(
      edgesStatement([edgeOf(first, 'expert-of', { kind: 'ensemble', digest: first.digest })], ISSUED),
    );
    expect(await failureCodes({ files: [...files, other], policy, subject: first })).toEqual([
      'missing-manifest',
    ]);
  });

  it('refuses an ensemble statement whose digest is not that of its manifest', async () => {
    const folder = await temporaryFolder();
    const { manifest, digest, statements } = await load(folder, await writeEnsemble(folder, 2));
    const [whole] = statements as [(typeof statements)[number]];
    const altered = { ...manifest, name: 'altered' };
    const forged = { ...whole, predicate: { ...whole.predicate, ensemble: altered } } as typeof whole;
    const files = [stored(forged), stored(statements[1]!)];
    const verdict = await judge({
      files,
      subject: node(manifest.experts[1]!.digest),
      policy: { allowedRoots: [{ kind: 'ensemble', digest }] },
    });
    expect(verdict.ignored.map(({ code }) => code)).toEqual(['wrong-subject-digest']);
    expect(verdict.failures.map(({ code }) => code)).toEqual(['missing-manifest']);
  });

  it('refuses folders that do not fit their description', async () => {
    const folder = await temporaryFolder();
    const description = await writeEnsemble(folder, 2);
    const code = async (changed = description) => (await refusalOf(load(folder, changed))).code;
    expect(await code({ ...description, experts: description.experts.slice(1) })).toBe(
      'CHECKPOINT_MALFORMED',
    );
    const [even, odd] = description.experts as [
      (typeof description.experts)[0],
      (typeof description.experts)[0],
    ];
    expect(await code({ ...description, experts: [even, { ...odd, objective: 'flow-matching' }] })).toBe(
      'CHECKPOINT_MALFORMED',
    );
    // the conversion changed a tensor after all
    await writeFile(join(folder, 'ddpm/expert_0.safetensors'), safetensorsBytes(expertTensors(1)));
    const error = await refusalOf(load(folder, description));
    expect(error.code).toBe('CHECKPOINT_MALFORMED');
    expect(error.message).toContain('should copy tensors only');
    const plain = { ...description, experts: [{ ...even, parents: [] }, odd] };
    expect((await load(folder, plain)).recheckedSteps).toBe(0);
    await symlink('/etc/hostname', join(folder, 'ensemble/tokenizer/merges.txt'));
    expect(await code(plain)).toBe('CHECKPOINT_MALFORMED');
    await rm(join(folder, 'ensemble/tokenizer/merges.txt'));
    await rm(join(folder, 'ensemble/router'), { recursive: true });
    expect(await code(plain)).toBe('CHECKPOINT_MALFORMED');
  });

  it('reads descriptions strictly', async () => {
    const description = await writeEnsemble(await temporaryFolder(), 2);
    const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
    expect(parseEnsembleDescription(bytes(description))).toEqual(description);
    for (const change of [{ experts: [] }, { name: 'a\nb' }, { modality: 'sound' }, { more: 1 }]) {
      expect(refusal(() => parseEnsembleDescription(bytes({ ...description, ...change }))).code).toBe(
        'CHECKPOINT_MALFORMED',
      );
    }
  });
});

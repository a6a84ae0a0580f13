import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type AdapterCommitment, adapterId } from '../../src/adapter/index.js';
import { bytesToHex } from '../../src/bytes.js';
import {
  addToStore,
  checkLineagePolicy,
  digestCheckpoint,
  drawHtml,
  drawingOf,
  drawMermaid,
  drawSvg,
  drawTree,
  type Envelope,
  edgesStatement,
  formatTime,
  type ImportedEnsemble,
  importEnsemble,
  type LineageNode,
  type LineagePolicy,
  type LineageVerdict,
  parseEnsembleDescription,
  RELATIONS,
  readStore,
  serializeStatement,
  signEnvelope,
  verifyAdapterLineage,
  verifyLineage,
} from '../../src/checkpoint/index.js';
import { writeFileAtomic } from '../../src/files.js';
import { generateKeyPair } from '../../src/inference/index.js';
import { adapterQuestion } from '../lineageInputs.js';
import type { EnsemblePlaces } from './ensembleParts.js';

/** An ensemble whose maker imported and signed it. */
export interface SignedEnsemble {
  readonly imported: ImportedEnsemble;
  /** Public key of the maker. */
  readonly maker: Uint8Array;
}

/** The signed history of an ensemble and of its adapters, and what the user's policy says of it. */
export interface SignedLineage {
  readonly imported: ImportedEnsemble;
  readonly policy: LineagePolicy;
  /** Secret keys of the contributors, by expert. */
  readonly contributors: ReadonlyMap<number, Uint8Array>;
  /** One walk over all adapters and members. */
  readonly whole: LineageVerdict;
}

/** The ensemble's maker imports its folder and signs it: what the adapters' lineage heads will list. */
export async function signEnsemble(places: EnsemblePlaces): Promise<SignedEnsemble> {
  const issuedAt = formatTime(Date.now());
  await mkdir(places.lineage, { recursive: true });
  const description = parseEnsembleDescription(new Uint8Array(await readFile(places.description)));
  const parentFolder = dirname(places.description);
  const imported = await importEnsemble({ folder: places.model, description, parentFolder, issuedAt });
  const maker = generateKeyPair();
  for (const statement of imported.statements) {
    await addToStore(places.lineage, signEnvelope(serializeStatement(statement), [maker.secretKey]));
  }
  return { imported, maker: maker.publicKey };
}

/** A contributor's statement that an adapter is one of a checkpoint. */
export function signAdapter(commitment: AdapterCommitment, base: string, secretKey: Uint8Array): Envelope {
  const subject: LineageNode = { kind: 'adapter', digest: adapterId(commitment) };
  const parents: LineageNode[] = [{ kind: 'checkpoint', digest: base }];
  const edges = [{ subject, relation: 'adapter-of' as const, parents, step: null }];
  return signEnvelope(serializeStatement(edgesStatement(edges, formatTime(Date.now()))), [secretKey]);
}

/**
 * Each contributor signs which expert its registered adapter is an adapter of; the user trusts these keys for these roles and
 * judges the whole.
 */
export async function signAdapters(
  places: EnsemblePlaces,
  { imported, maker }: SignedEnsemble,
  commitments: ReadonlyMap<number, AdapterCommitment>,
): Promise<SignedLineage> {
  const contributors = new Map<number, Uint8Array>();
  const keys = [key('ensemble maker', maker, ['maker'])];
  for (const [expert, commitment] of commitments) {
    const { secretKey, publicKey } = generateKeyPair();
    const base = imported.manifest.experts[expert]!.digest;
    await addToStore(places.lineage, signAdapter(commitment, base, secretKey));
    contributors.set(expert, secretKey);
    keys.push(key(`contributor of expert ${expert}`, publicKey, ['contributor']));
  }
  const sources = imported.manifest.experts.flatMap(({ parents }) =>
    parents.flatMap((parent) => parent.parents),
  );
  const policy = checkLineagePolicy({
    format: 'zklora/lineage-policy/v1',
    expires: null,
    roles: {
      maker: ['manifest', ...RELATIONS.filter((relation) => relation !== 'adapter-of')],
      contributor: ['adapter-of'],
    },
    keys,
    allowedRoots: [{ kind: 'ensemble', digest: imported.digest }, ...sources],
    requiredRelations: [],
    maximumDepth: 8,
    requireManifests: false,
    forbiddenObjectives: [],
    forbiddenLicences: [],
  });
  await writeFileAtomic(places.policy, `${JSON.stringify(policy, null, 2)}\n`);
  const listings = await listingsOf(places, imported);
  const verdicts: LineageVerdict[] = [];
  for (const adapter of commitments.values()) {
    const question = await adapterQuestion(places.lineage, policy, adapter);
    verdicts.push(await verifyAdapterLineage({ ...question, listings, adapter }));
  }
  const files = await readStore(places.lineage);
  for (const { digest } of [...imported.manifest.experts, imported.manifest.router]) {
    const subject: LineageNode = { kind: 'checkpoint', digest };
    verdicts.push(await verifyLineage({ subject, files, policy, now: Date.now(), listings }));
  }
  return { imported, policy, contributors, whole: union(verdicts) };
}

function key(name: string, publicKey: Uint8Array, roles: readonly string[]) {
  return { name, key: bytesToHex(publicKey), roles, expires: null, revoked: false };
}

/** Tensors of members that claim to be copies, and of what they are copies of: verified, not believed. */
async function listingsOf(places: EnsemblePlaces, { manifest }: ImportedEnsemble) {
  const listings = new Map<string, Awaited<ReturnType<typeof digestCheckpoint>>['tensors']>();
  const description = parseEnsembleDescription(new Uint8Array(await readFile(places.description)));
  for (const [expert, { parents }] of description.experts.entries()) {
    for (const parent of parents.flatMap((each) => each.parents)) {
      if (!('path' in parent)) continue;
      const source = await digestCheckpoint(join(dirname(places.description), parent.path));
      listings.set(source.digest, source.tensors);
      const own = await digestCheckpoint(join(places.model, `expert_${expert}`));
      listings.set(manifest.experts[expert]!.digest, own.tensors);
    }
  }
  return listings;
}

/** Several walks as one: nodes and edges once each. */
function union(verdicts: readonly LineageVerdict[]): LineageVerdict {
  const once = <T>(items: readonly T[], key: (item: T) => string) => [
    ...new Map(items.map((item) => [key(item), item])).values(),
  ];
  return {
    ...verdicts[0]!,
    valid: verdicts.every(({ valid }) => valid),
    nodes: once(
      verdicts.flatMap(({ nodes }) => nodes),
      ({ node }) => `${node.kind}:${node.digest}`,
    ),
    edges: once(
      verdicts.flatMap(({ edges }) => edges),
      ({ subject, relation, parents }) => JSON.stringify([subject, relation, parents]),
    ),
    failures: verdicts.flatMap(({ failures }) => failures),
  };
}

/** Edges by trusted keys, each parent counted. */
export function verifiedEdges({ edges }: LineageVerdict): number {
  return edges
    .filter(({ status }) => status === 'verified')
    .reduce((sum, { parents }) => sum + parents.length, 0);
}

/** The graph in every format, beside the samples. Returns the terminal tree. */
export async function drawLineage(places: EnsemblePlaces, { whole }: SignedLineage): Promise<string> {
  const drawing = drawingOf(whole);
  const write = (name: string, text: string) => writeFileAtomic(join(places.pictures, name), text);
  await write('lineage.svg', drawSvg(drawing));
  await write('lineage.html', drawHtml(drawing, whole));
  await write('lineage.mmd', drawMermaid(drawing));
  return drawTree(drawing);
}

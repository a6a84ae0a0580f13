import { cp, mkdir, readFile } from 'node:fs/promises';
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
  edgesStatement,
  envelopeId,
  formatTime,
  type ImportedEnsemble,
  importEnsemble,
  type LineageNode,
  type LineagePolicy,
  type LineageVerdict,
  parseEnsembleDescription,
  parseEnvelope,
  RELATIONS,
  readStore,
  type StoredFile,
  serializeEnvelope,
  serializeStatement,
  signEnvelope,
  verifyLineage,
} from '../../src/checkpoint/index.js';
import { writeFileAtomic } from '../../src/files.js';
import { generateKeyPair } from '../../src/inference/index.js';
import type { EnsemblePlaces } from './ensembleParts.js';

/** The signed history of an ensemble and of its adapters, and what the user's policy says of it. */
export interface SignedLineage {
  readonly imported: ImportedEnsemble;
  readonly policy: LineagePolicy;
  readonly files: readonly StoredFile[];
  readonly subjects: readonly LineageNode[];
  /** One walk over all adapters and members. */
  readonly whole: LineageVerdict;
}

/**
 * The ensemble's maker imports its folder and signs it; each contributor signs which expert its adapter is an adapter of; the
 * user trusts these keys for these roles and draws the whole.
 */
export async function signLineage(
  places: EnsemblePlaces,
  commitments: ReadonlyMap<number, AdapterCommitment>,
): Promise<SignedLineage> {
  const now = Date.now();
  const issuedAt = formatTime(now);
  await mkdir(places.lineage, { recursive: true });
  const description = parseEnsembleDescription(new Uint8Array(await readFile(places.description)));
  const parentFolder = dirname(places.description);
  const imported = await importEnsemble({ folder: places.model, description, parentFolder, issuedAt });
  const maker = generateKeyPair();
  const contributors: ReturnType<typeof key>[] = [];
  for (const statement of imported.statements) {
    await addToStore(places.lineage, signEnvelope(serializeStatement(statement), [maker.secretKey]));
  }
  for (const [expert, commitment] of commitments) {
    const subject: LineageNode = { kind: 'adapter', digest: adapterId(commitment) };
    const parent: LineageNode = { kind: 'checkpoint', digest: imported.manifest.experts[expert]!.digest };
    const statement = edgesStatement(
      [{ subject, relation: 'adapter-of', parents: [parent], step: null }],
      issuedAt,
    );
    const { secretKey, publicKey } = generateKeyPair();
    await addToStore(places.lineage, signEnvelope(serializeStatement(statement), [secretKey]));
    contributors.push(key(`contributor of expert ${expert}`, publicKey, ['contributor']));
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
    keys: [key('ensemble maker', maker.publicKey, ['maker']), ...contributors],
    allowedRoots: [{ kind: 'ensemble', digest: imported.digest }, ...sources],
    requiredRelations: [],
    maximumDepth: 8,
    requireManifests: false,
    forbiddenObjectives: [],
    forbiddenLicences: [],
  });
  await writeFileAtomic(places.policy, `${JSON.stringify(policy, null, 2)}\n`);
  const files = await readStore(places.lineage);
  const subjects: LineageNode[] = [
    ...[...commitments.values()].map((each) => ({ kind: 'adapter' as const, digest: adapterId(each) })),
    ...[...imported.manifest.experts, imported.manifest.router].map(({ digest }) => ({
      kind: 'checkpoint' as const,
      digest,
    })),
  ];
  const listings = await listingsOf(places, imported);
  const verdicts = subjects.map((subject) => verifyLineage({ subject, files, policy, now, listings }));
  return { imported, policy, files, subjects, whole: union(verdicts) };
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

/**
 * Somebody turns an adapter-of edge to another expert: once in the file as it lies, once with the file renamed to fit.
 * Returns whether the adapter's lineage fails both times.
 */
export async function tryTamperedEdge(
  places: EnsemblePlaces,
  { imported, files, policy, subjects }: SignedLineage,
  expert: number,
): Promise<{ rejected: boolean; reasons: string[] }> {
  const own = imported.manifest.experts[expert]!.digest;
  const other = imported.manifest.experts[(expert + 1) % imported.manifest.experts.length]!.digest;
  const subject = subjects[0]!;
  const forged = files.map((file) => {
    const envelope = parseEnvelope(file.bytes);
    const text = new TextDecoder().decode(envelope.payload);
    if (!text.includes('"adapter-of"') || !text.includes(subject.digest)) return { file, bytes: file.bytes };
    const payload = new TextEncoder().encode(text.replaceAll(own, other));
    return { file, bytes: serializeEnvelope({ ...envelope, payload }) };
  });
  const stores = [
    forged.map(({ file, bytes }) => ({ id: file.id, bytes })),
    forged.map(({ bytes }) => ({ id: envelopeId(bytes), bytes })),
  ];
  const folder = join(places.frauds, 'lineage-with-turned-edge');
  await cp(places.lineage, folder, { recursive: true });
  for (const { id, bytes } of stores[1]!) {
    await writeFileAtomic(join(folder, `${id}.dsse.json`), bytes, { overwrite: true });
  }
  const verdicts = stores.map((store) => verifyLineage({ subject, files: store, policy, now: Date.now() }));
  return {
    rejected: verdicts.every(({ valid }) => !valid),
    reasons: [
      ...new Set(
        verdicts.flatMap(({ failures, edges, ignored }) =>
          [...failures, ...edges.flatMap(({ reasons }) => reasons), ...ignored].map(({ code }) => code),
        ),
      ),
    ],
  };
}

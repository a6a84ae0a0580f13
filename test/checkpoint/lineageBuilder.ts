import { ed25519 } from '@noble/curves/ed25519.js';
import { bytesToHex, sha256, utf8ToBytes } from '../../src/bytes.js';
import {
  checkLineagePolicy,
  checkManifest,
  type EdgeToAttest,
  edgesStatement,
  envelopeId,
  type LineageNode,
  type LineagePolicy,
  type Manifest,
  manifestStatement,
  RELATIONS,
  type Relation,
  type Statement,
  type Step,
  type StoredFile,
  serializeEnvelope,
  serializeStatement,
  signEnvelope,
  type TensorDigest,
  verifyLineage,
} from '../../src/checkpoint/index.js';

/** Small lineages by hand. */

export interface TestKey {
  readonly secret: Uint8Array;
  readonly public: string;
}

export function testKey(name: string): TestKey {
  const secret = sha256(utf8ToBytes(`test key ${name}`));
  return { secret, public: bytesToHex(ed25519.getPublicKey(secret)) };
}

export const MAKER = testKey('maker');
export const OTHER = testKey('other');
export const STRANGER = testKey('stranger');

export const NOW = Date.parse('2026-06-01T00:00:00Z');
export const ISSUED = '2026-05-01T00:00:00Z';

export const digestOf = (text: string) => bytesToHex(sha256(utf8ToBytes(text)));
export const checkpoint = (name: string): LineageNode => ({ kind: 'checkpoint', digest: digestOf(name) });
export const adapter = (name: string): LineageNode => ({ kind: 'adapter', digest: digestOf(name) });
export const ensemble = (name: string): LineageNode => ({ kind: 'ensemble', digest: digestOf(name) });

export const BASE = checkpoint('base');
export const EXPERT = checkpoint('expert');
export const ADAPTER = adapter('adapter');

export function policyOf(changes: Partial<LineagePolicy> = {}): LineagePolicy {
  return checkLineagePolicy({
    format: 'zklora/lineage-policy/v1',
    expires: null,
    roles: { all: [...RELATIONS, 'manifest'], adapters: ['adapter-of'] },
    keys: [
      { name: 'maker', key: MAKER.public, roles: ['all'], expires: null, revoked: false },
      { name: 'other', key: OTHER.public, roles: ['all'], expires: null, revoked: false },
    ],
    allowedRoots: [BASE],
    requiredRelations: [],
    maximumDepth: 100,
    requireManifests: false,
    forbiddenObjectives: [],
    forbiddenLicences: [],
    ...changes,
  });
}

export function stored(statement: Statement, ...keys: TestKey[]): StoredFile {
  const signers = keys.length === 0 ? [MAKER] : keys;
  const bytes = serializeEnvelope(
    signEnvelope(
      serializeStatement(statement),
      signers.map(({ secret }) => secret),
    ),
  );
  return { id: envelopeId(bytes), bytes };
}

/** An envelope over any payload, for statements that the library would not make. */
export function storedPayload(payload: unknown, ...keys: TestKey[]): StoredFile {
  return stored(payload as Statement, ...keys);
}

export const step = (tensorsUnchanged = false): Step => ({
  tool: 'trainer',
  version: '1',
  arguments: ['--steps', '10'],
  tensorsUnchanged,
});

export function edgeOf(
  subject: LineageNode,
  relation: Relation,
  ...parents: LineageNode[]
): EdgeToAttest & { step: Step | null } {
  return { subject, relation, parents, step: null };
}

export function edge(subject: LineageNode, relation: Relation, ...parents: LineageNode[]): StoredFile {
  return stored(edgesStatement([edgeOf(subject, relation, ...parents)], ISSUED));
}

export function manifestOf(node: LineageNode, changes: Partial<Manifest> = {}): Manifest {
  const isAdapter = node.kind === 'adapter';
  return checkManifest({
    format: 'zklora/checkpoint-manifest/v1',
    kind: node.kind,
    digest: node.digest,
    name: 'a model',
    role: isAdapter ? 'adapter' : 'base',
    family: 'tiny',
    modality: 'image',
    objective: isAdapter ? null : 'ddpm',
    licence: 'mit',
    expert: null,
    parents: [],
    ...changes,
  });
}

export function manifestFile(
  node: LineageNode,
  changes: Partial<Manifest> = {},
  ...keys: TestKey[]
): StoredFile {
  return stored(manifestStatement(manifestOf(node, changes), ISSUED), ...keys);
}

/** base <- expert <- adapter */
export const GOOD: readonly StoredFile[] = [
  edge(ADAPTER, 'adapter-of', EXPERT),
  edge(EXPERT, 'finetuned-from', BASE),
];

export interface Question {
  readonly files?: readonly StoredFile[];
  readonly policy?: Partial<LineagePolicy>;
  readonly subject?: LineageNode;
  readonly listings?: ReadonlyMap<string, readonly TensorDigest[]>;
}

export function judge({ files = GOOD, policy = {}, subject = ADAPTER, listings }: Question = {}) {
  return verifyLineage({
    subject,
    files,
    policy: policyOf(policy),
    now: NOW,
    ...(listings === undefined ? {} : { listings }),
  });
}

export async function failureCodes(question: Question): Promise<string[]> {
  const verdict = await judge(question);
  if (verdict.valid !== (verdict.failures.length === 0)) throw new Error('the verdict contradicts itself');
  return verdict.failures.map(({ code }) => code);
}

import { z } from 'zod';
import { canonicalJson } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { parseJsonBytes } from '../jsonText.js';
import { type EnsembleManifest, ensembleDigest, ensembleManifestSchema } from './ensembleManifest.js';
import { MAX_PARENTS, MAX_STATEMENT_EDGES } from './limits.js';
import { type Manifest, manifestSchema } from './manifest.js';
import {
  digestSchema,
  type Kind,
  type LineageNode,
  nodeSchema,
  type Relation,
  stepSchema,
  textSchema,
  timeSchema,
} from './vocabulary.js';

export const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
/** Identifiers, not addresses: nothing is fetched from them. */
export const LINEAGE_PREDICATE = 'https://zklora.example/attestation/lineage/v1';
export const MANIFEST_PREDICATE = 'https://zklora.example/attestation/checkpoint-manifest/v1';
export const ENSEMBLE_PREDICATE = 'https://zklora.example/attestation/ensemble-manifest/v1';

/** Digest algorithm names of the subjects' digest sets. */
export const DIGEST_NAMES: Readonly<Record<Kind, string>> = {
  checkpoint: 'zkloraCheckpointV1',
  adapter: 'zkloraAdapterV1',
  ensemble: 'zkloraEnsembleV1',
};

const subjectSchema = z.strictObject({
  name: textSchema,
  digest: z.union([
    z.strictObject({ zkloraCheckpointV1: digestSchema }),
    z.strictObject({ zkloraAdapterV1: digestSchema }),
    z.strictObject({ zkloraEnsembleV1: digestSchema }),
  ]),
});

/** The relation is any text here: an unknown one is a verdict about the edge, not about the file. */
const edgeSchema = z.strictObject({
  subject: nodeSchema,
  relation: textSchema,
  parents: z.array(nodeSchema).min(1).max(MAX_PARENTS),
  step: stepSchema.nullable(),
});

const schema = z.discriminatedUnion('predicateType', [
  z.strictObject({
    _type: z.literal(STATEMENT_TYPE),
    subject: z.array(subjectSchema).min(1).max(MAX_STATEMENT_EDGES),
    predicateType: z.literal(LINEAGE_PREDICATE),
    predicate: z.strictObject({
      issuedAt: timeSchema,
      edges: z.array(edgeSchema).min(1).max(MAX_STATEMENT_EDGES),
    }),
  }),
  z.strictObject({
    _type: z.literal(STATEMENT_TYPE),
    subject: z.array(subjectSchema).length(1),
    predicateType: z.literal(MANIFEST_PREDICATE),
    predicate: z.strictObject({ issuedAt: timeSchema, manifest: manifestSchema }),
  }),
  z.strictObject({
    _type: z.literal(STATEMENT_TYPE),
    subject: z.array(subjectSchema).length(1),
    predicateType: z.literal(ENSEMBLE_PREDICATE),
    predicate: z.strictObject({ issuedAt: timeSchema, ensemble: ensembleManifestSchema }),
  }),
]);

/** An in-toto Statement v1 of one of the three predicate types. */
export type Statement = z.infer<typeof schema>;
/** One asserted edge; its relation may be unknown. */
export type AssertedEdge = z.infer<typeof edgeSchema>;

/** An edge to attest. */
export interface EdgeToAttest {
  readonly subject: LineageNode;
  readonly relation: Relation;
  readonly parents: readonly LineageNode[];
  readonly step: AssertedEdge['step'];
}

/** Key of a node in maps; a digest of one kind is never mistaken for one of another. */
export function nodeKey({ kind, digest }: LineageNode): string {
  return `${kind}:${digest}`;
}

/** The subjects of a statement as nodes. */
export function statementSubjects(statement: Statement): LineageNode[] {
  return statement.subject.map(({ digest }) => {
    const [name, value] = Object.entries(digest)[0] as [string, string];
    const kind = (Object.keys(DIGEST_NAMES) as Kind[]).find((each) => DIGEST_NAMES[each] === name)!;
    return { kind, digest: value };
  });
}

/** A statement of up to 1024 edges. @param issuedAt see `formatTime` */
export function edgesStatement(edges: readonly EdgeToAttest[], issuedAt: string): Statement {
  const subjects = new Map(edges.map(({ subject }) => [nodeKey(subject), subject]));
  return checkStatement({
    _type: STATEMENT_TYPE,
    subject: [...subjects.values()].map((node) => subjectOf(node, nodeKey(node))),
    predicateType: LINEAGE_PREDICATE,
    predicate: { issuedAt, edges },
  });
}

export function manifestStatement(manifest: Manifest, issuedAt: string): Statement {
  return checkStatement({
    _type: STATEMENT_TYPE,
    subject: [subjectOf(manifest, manifest.name)],
    predicateType: MANIFEST_PREDICATE,
    predicate: { issuedAt, manifest },
  });
}

export function ensembleStatement(ensemble: EnsembleManifest, issuedAt: string): Statement {
  const node: LineageNode = { kind: 'ensemble', digest: ensembleDigest(ensemble) };
  return checkStatement({
    _type: STATEMENT_TYPE,
    subject: [subjectOf(node, ensemble.name)],
    predicateType: ENSEMBLE_PREDICATE,
    predicate: { issuedAt, ensemble },
  });
}

/** The payload that is signed: canonical JSON. */
export function serializeStatement(statement: Statement): Uint8Array {
  return canonicalJson(statement);
}

/** Parses a payload. @throws ZkLoraError `LINEAGE_MALFORMED` */
export function parseStatement(payload: Uint8Array): Statement {
  return checkStatement(parseJsonBytes(payload, 'LINEAGE_MALFORMED', 'the statement'));
}

function checkStatement(value: unknown): Statement {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const path = parsed.error.issues[0]?.path.join('.') || 'the top level';
  throw new ZkLoraError(
    'LINEAGE_MALFORMED',
    `not a lineage statement: ${path} is missing, unknown or out of range; docs/lineage.md describes its members`,
  );
}

function subjectOf({ kind, digest }: LineageNode, name: string) {
  return { name, digest: { [DIGEST_NAMES[kind]]: digest } };
}

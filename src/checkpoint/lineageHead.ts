import { z } from 'zod';
import { bytesToHex, canonicalJson, labelledSha256 } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { parseJsonBytes } from '../jsonText.js';
import { envelopeId, parseEnvelope } from './dsse.js';
import { MAX_ENVELOPES, MAX_HEAD_BYTES } from './limits.js';
import { nodeKey, parseStatement, type Statement, statementSubjects } from './statement.js';
import type { StoredFile } from './store.js';
import { digestSchema, type LineageNode } from './vocabulary.js';

const FORMAT = 'zklora/lineage-head/v1';
const LABEL = 'zklora/lineage-head/v1';

const schema = z
  .strictObject({
    format: z.literal(FORMAT),
    /** Digest of the checkpoint that the adapter belongs to. */
    base: digestSchema,
    envelopes: z.array(digestSchema).max(MAX_ENVELOPES),
  })
  .refine(({ envelopes }) => envelopes.every((id, i) => i === 0 || envelopes[i - 1]! < id), {
    path: ['envelopes'],
  });

/**
 * What an adapter commitment's lineage digest stands for: the base checkpoint and the statements about it and its
 * ancestors, by envelope, ascending. The statement that the adapter is one of this base is not among them: its
 * subject is the adapter id, which depends on the head.
 */
export type LineageHead = z.infer<typeof schema>;

/**
 * The head of a base checkpoint: every envelope of a store that is about the base, or about a node that some
 * statement among them names as a parent, whoever signed it. Whether they are to be believed is for a policy to say.
 *
 * @param base checkpoint digest, hex
 * @param files content of a store, see `readStore`; damaged ones count for nothing
 */
export function makeLineageHead(base: string, files: readonly StoredFile[]): LineageHead {
  const about = new Map<string, { id: string; parents: readonly LineageNode[] }[]>();
  for (const file of files) {
    const statement = readable(file);
    if (statement === null) continue;
    const entry = { id: file.id, parents: parentsOf(statement) };
    for (const subject of statementSubjects(statement)) {
      const key = nodeKey(subject);
      const entries = about.get(key);
      if (entries) entries.push(entry);
      else about.set(key, [entry]);
    }
  }
  const taken = new Set<string>();
  const seen = new Set<string>();
  const open: LineageNode[] = [{ kind: 'checkpoint', digest: base }];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const key = nodeKey(node);
    if (seen.has(key)) continue;
    seen.add(key);
    for (const { id, parents } of about.get(key) ?? []) {
      taken.add(id);
      open.push(...parents);
    }
  }
  return { format: FORMAT, base, envelopes: [...taken].sort() };
}

/** Digest of a head, hex: H("zklora/lineage-head/v1" | 00 | JCS(head)). The lineage digest of commitments. */
export function lineageHeadDigest(head: LineageHead): string {
  return bytesToHex(labelledSha256(LABEL, canonicalJson(head)));
}

/** File form of a head: canonical JSON. */
export function serializeLineageHead(head: LineageHead): Uint8Array {
  return canonicalJson(head);
}

/** Parses a head. @throws ZkLoraError `LINEAGE_MALFORMED` */
export function parseLineageHead(bytes: Uint8Array): LineageHead {
  if (bytes.length > MAX_HEAD_BYTES) throw malformed(`it is larger than ${MAX_HEAD_BYTES} bytes`);
  const parsed = schema.safeParse(parseJsonBytes(bytes, 'LINEAGE_MALFORMED', 'the lineage head'));
  if (parsed.success) return parsed.data;
  throw malformed(`${parsed.error.issues[0]?.path.join('.') || 'the top level'} is wrong`);
}

function readable({ id, bytes }: StoredFile): Statement | null {
  try {
    return envelopeId(bytes) === id ? parseStatement(parseEnvelope(bytes).payload) : null;
  } catch (error) {
    if (error instanceof ZkLoraError) return null;
    throw error;
  }
}

function parentsOf({ predicate }: Statement): readonly LineageNode[] {
  if ('edges' in predicate) return predicate.edges.flatMap(({ parents }) => parents);
  if ('manifest' in predicate) return predicate.manifest.parents.flatMap(({ parents }) => parents);
  return [];
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError('LINEAGE_MALFORMED', `not a lineage head: ${problem}; fetch it again`);
}

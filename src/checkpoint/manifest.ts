import { z } from 'zod';
import { bytesToHex, canonicalJson, labelledSha256 } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { parseJsonBytes } from '../jsonText.js';
import { MAX_EXPERTS, MAX_MANIFEST_BYTES, MAX_PARENTS } from './limits.js';
import {
  digestSchema,
  KINDS,
  MODALITIES,
  nodeSchema,
  OBJECTIVES,
  RELATIONS,
  ROLES,
  stepSchema,
  textSchema,
} from './vocabulary.js';

const LABEL = 'zklora/checkpoint-manifest/v1';

const clusterSchema = z.strictObject({
  /** SHA-256 of the centroid as its maker wrote it. */
  centroidDigest: digestSchema,
  /** What data the cluster holds, for people. */
  data: textSchema,
});

const parentSchema = z.strictObject({
  relation: z.enum(RELATIONS),
  parents: z.array(nodeSchema).min(1).max(MAX_PARENTS),
  step: stepSchema.nullable(),
});

export const manifestSchema = z
  .strictObject({
    format: z.literal(LABEL),
    kind: z.enum(KINDS).exclude(['ensemble']),
    /** Checkpoint digest, or adapter id. */
    digest: digestSchema,
    name: textSchema,
    role: z.enum(ROLES),
    family: textSchema,
    modality: z.enum(MODALITIES),
    /** Null for routers and adapters. */
    objective: z.enum(OBJECTIVES).nullable(),
    licence: textSchema.nullable(),
    expert: z
      .strictObject({
        index: z
          .number()
          .int()
          .min(0)
          .max(MAX_EXPERTS - 1),
        cluster: clusterSchema.nullable(),
      })
      .nullable(),
    parents: z.array(parentSchema).max(MAX_PARENTS),
  })
  .refine(({ role, kind }) => (role === 'adapter') === (kind === 'adapter'), { path: ['kind'] })
  .refine(({ role, expert }) => (role === 'expert') === (expert !== null), { path: ['expert'] })
  .refine(
    ({ role, objective }) => (role === 'base' || role === 'expert' ? objective !== null : objective === null),
    { path: ['objective'] },
  );

/** What a checkpoint or adapter is, in its maker's words; docs/lineage.md, "Manifests". */
export type Manifest = z.infer<typeof manifestSchema>;
export type ManifestParent = z.infer<typeof parentSchema>;
export type Cluster = z.infer<typeof clusterSchema>;

/** Parses a manifest file. @throws ZkLoraError `CHECKPOINT_MALFORMED` */
export function parseManifest(bytes: Uint8Array): Manifest {
  if (bytes.length > MAX_MANIFEST_BYTES)
    throw malformed(`the file is larger than ${MAX_MANIFEST_BYTES} bytes`);
  return checkManifest(parseJsonBytes(bytes, 'CHECKPOINT_MALFORMED', 'the manifest'));
}

/** The checks of {@link parseManifest} on a value that is no longer text. @throws ZkLoraError `CHECKPOINT_MALFORMED` */
export function checkManifest(value: unknown): Manifest {
  const parsed = manifestSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const path = parsed.error.issues[0]?.path.join('.') || 'the top level';
  throw malformed(`${path} is missing, unknown or out of range`);
}

/** The file form: canonical JSON (RFC 8785), which is also what is hashed. */
export function serializeManifest(manifest: Manifest): Uint8Array {
  return canonicalJson(checkManifest(manifest));
}

/** Digest of a manifest, 32 bytes, hex: H("zklora/checkpoint-manifest/v1" | 00 | canonical JSON). */
export function manifestDigest(manifest: Manifest): string {
  return bytesToHex(labelledSha256(LABEL, canonicalJson(manifest)));
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError(
    'CHECKPOINT_MALFORMED',
    `not a checkpoint manifest: ${problem}; docs/lineage.md describes its members`,
  );
}

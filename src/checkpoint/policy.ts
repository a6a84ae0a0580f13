import { z } from 'zod';
import { ZkLoraError } from '../errors.js';
import { parseJsonBytes } from '../jsonText.js';
import { MAX_LINEAGE_DEPTH, MAX_MANIFEST_BYTES, MAX_POLICY_ENTRIES } from './limits.js';
import { digestSchema, nodeSchema, OBJECTIVES, RELATIONS, textSchema, timeSchema } from './vocabulary.js';

/** What a key may sign: edges of a relation, or manifests. */
const PERMISSIONS = [...RELATIONS, 'manifest'] as const;

const schema = z
  .strictObject({
    format: z.literal('zklora/lineage-policy/v1'),
    /** From this time on the policy itself counts no more. */
    expires: timeSchema.nullable(),
    /** Role name to what its keys may sign. */
    roles: z.record(textSchema, z.array(z.enum(PERMISSIONS)).max(PERMISSIONS.length)),
    keys: z
      .array(
        z.strictObject({
          name: textSchema,
          /** Ed25519 public key, hex. */
          key: digestSchema,
          roles: z.array(textSchema).min(1).max(MAX_POLICY_ENTRIES),
          expires: timeSchema.nullable(),
          revoked: z.boolean(),
        }),
      )
      .max(MAX_POLICY_ENTRIES),
    allowedRoots: z.array(nodeSchema).max(MAX_POLICY_ENTRIES),
    /** Relations that the lineage must contain. */
    requiredRelations: z.array(z.enum(RELATIONS)).max(RELATIONS.length),
    /** Most edges from the subject to a root. */
    maximumDepth: z.number().int().min(1).max(MAX_LINEAGE_DEPTH),
    /** Every node below a root needs a manifest by a trusted key. */
    requireManifests: z.boolean(),
    forbiddenObjectives: z.array(z.enum(OBJECTIVES)).max(OBJECTIVES.length),
    /** Compared without regard to case. */
    forbiddenLicences: z.array(textSchema).max(MAX_POLICY_ENTRIES),
  })
  .refine(({ roles }) => Object.keys(roles).length <= MAX_POLICY_ENTRIES, { path: ['roles'] })
  .refine(({ keys, roles }) => keys.every((key) => key.roles.every((role) => Object.hasOwn(roles, role))), {
    path: ['keys'],
  })
  .refine(({ keys }) => new Set(keys.map(({ key }) => key)).size === keys.length, { path: ['keys'] });

/** Whom and what a verifier trusts; written by the verifier, never taken from a store. */
export type LineagePolicy = z.infer<typeof schema>;
export type PolicyKey = LineagePolicy['keys'][number];
export type Permission = (typeof PERMISSIONS)[number];

/** Parses a policy file. @throws ZkLoraError `LINEAGE_MALFORMED` */
export function parseLineagePolicy(bytes: Uint8Array): LineagePolicy {
  if (bytes.length > MAX_MANIFEST_BYTES) throw malformed(`it is larger than ${MAX_MANIFEST_BYTES} bytes`);
  return checkLineagePolicy(parseJsonBytes(bytes, 'LINEAGE_MALFORMED', 'the lineage policy'));
}

/** The checks of {@link parseLineagePolicy} on a value that is no longer text. @throws ZkLoraError `LINEAGE_MALFORMED` */
export function checkLineagePolicy(value: unknown): LineagePolicy {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const path = parsed.error.issues[0]?.path.join('.') || 'the top level';
  throw malformed(`${path} is missing, unknown, repeated or out of range`);
}

/** Whether a role of the key permits it. */
export function isPermitted(policy: LineagePolicy, key: PolicyKey, permission: Permission): boolean {
  return key.roles.some((role) => policy.roles[role]?.includes(permission));
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError(
    'LINEAGE_MALFORMED',
    `not a lineage policy: ${problem}; docs/lineage.md describes its members`,
  );
}

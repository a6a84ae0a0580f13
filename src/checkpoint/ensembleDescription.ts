import { z } from 'zod';
import { ZkLoraError } from '../errors.js';
import { parseJsonBytes } from '../jsonText.js';
import { MAX_EXPERTS, MAX_MANIFEST_BYTES, MAX_PARENTS, MAX_TEXT_LENGTH } from './limits.js';
import {
  digestSchema,
  MODALITIES,
  nodeSchema,
  OBJECTIVES,
  RELATIONS,
  stepSchema,
  textSchema,
} from './vocabulary.js';

/** A parent by its digest, or by the path of its weights on this machine, which are then hashed. */
const parentSchema = z
  .strictObject({
    relation: z.enum(RELATIONS).exclude(['expert-of', 'router-of', 'adapter-of']),
    parents: z
      .array(z.union([nodeSchema, z.strictObject({ path: z.string().min(1).max(MAX_TEXT_LENGTH) })]))
      .min(1)
      .max(MAX_PARENTS),
    step: stepSchema.nullable(),
  })
  .refine(({ relation, parents }) =>
    relation === 'merged-from' ? parents.length > 1 : parents.length === 1,
  );

const schema = z.strictObject({
  format: z.literal('zklora/ensemble-description/v1'),
  name: textSchema,
  family: textSchema,
  modality: z.enum(MODALITIES),
  licence: textSchema.nullable(),
  /** By expert index. */
  experts: z
    .array(
      z.strictObject({
        objective: z.enum(OBJECTIVES),
        cluster: z.strictObject({ centroidDigest: digestSchema, data: textSchema }).nullable(),
        parents: z.array(parentSchema).max(MAX_PARENTS),
      }),
    )
    .min(1)
    .max(MAX_EXPERTS),
  router: z.strictObject({ parents: z.array(parentSchema).max(MAX_PARENTS) }),
});

/** What the folder of an ensemble does not say by itself; written by who imports it. */
export type EnsembleDescription = z.infer<typeof schema>;
export type DescribedParent = z.infer<typeof parentSchema>;

/** Parses a description file. @throws ZkLoraError `CHECKPOINT_MALFORMED` */
export function parseEnsembleDescription(bytes: Uint8Array): EnsembleDescription {
  if (bytes.length > MAX_MANIFEST_BYTES) throw malformed(`it is larger than ${MAX_MANIFEST_BYTES} bytes`);
  const parsed = schema.safeParse(parseJsonBytes(bytes, 'CHECKPOINT_MALFORMED', 'the ensemble description'));
  if (parsed.success) return parsed.data;
  throw malformed(
    `${parsed.error.issues[0]?.path.join('.') || 'the top level'} is missing, unknown or out of range`,
  );
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError(
    'CHECKPOINT_MALFORMED',
    `not an ensemble description: ${problem}; docs/lineage.md describes its members`,
  );
}

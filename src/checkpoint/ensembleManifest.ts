import { z } from 'zod';
import { bytesToHex, canonicalJson, labelledSha256 } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { MAX_ENSEMBLE_FILES, MAX_EXPERTS } from './limits.js';
import { manifestSchema } from './manifest.js';
import { digestSchema, MODALITIES, textSchema } from './vocabulary.js';

const LABEL = 'zklora/ensemble-manifest/v1';

const fileSchema = z.strictObject({
  /** Path in the folder, with `/`. */
  path: textSchema,
  bytes: z.number().int().min(0),
  sha256: digestSchema,
});

export const ensembleManifestSchema = z
  .strictObject({
    format: z.literal(LABEL),
    name: textSchema,
    family: textSchema,
    modality: z.enum(MODALITIES),
    licence: textSchema.nullable(),
    /** By expert index: 0, 1, ... */
    experts: z.array(manifestSchema).min(1).max(MAX_EXPERTS),
    router: manifestSchema,
    /** Further checkpoints of the pipeline, such as the VAE and the text encoder, by name. */
    components: z.array(z.strictObject({ name: textSchema, checkpoint: digestSchema })).max(MAX_EXPERTS),
    /** Every other file of the folder that changes what the pipeline computes: configurations, tokenizer. */
    files: z.array(fileSchema).max(MAX_ENSEMBLE_FILES),
  })
  .refine(({ experts }) => experts.every(({ role, expert }, i) => role === 'expert' && expert?.index === i), {
    path: ['experts'],
  })
  .refine(({ router }) => router.role === 'router', { path: ['router'] })
  .refine(({ files }) => new Set(files.map(({ path }) => path)).size === files.length, { path: ['files'] });

/** An ensemble of experts with its router, as one signed whole. */
export type EnsembleManifest = z.infer<typeof ensembleManifestSchema>;

/** @throws ZkLoraError `CHECKPOINT_MALFORMED` */
export function checkEnsembleManifest(value: unknown): EnsembleManifest {
  const parsed = ensembleManifestSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const path = parsed.error.issues[0]?.path.join('.') || 'the top level';
  throw new ZkLoraError(
    'CHECKPOINT_MALFORMED',
    `not an ensemble manifest: ${path} is missing, unknown or out of range; import the folder again`,
  );
}

/** Digest of an ensemble, 32 bytes, hex: H("zklora/ensemble-manifest/v1" | 00 | canonical JSON of its manifest). */
export function ensembleDigest(manifest: EnsembleManifest): string {
  return bytesToHex(labelledSha256(LABEL, canonicalJson(manifest)));
}

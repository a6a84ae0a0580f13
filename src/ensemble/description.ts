import { z } from 'zod';
import { bytesToHex, canonicalJson, labelledSha256 } from '../bytes.js';
import { MAX_EXPERTS } from '../checkpoint/limits.js';
import { digestSchema, textSchema } from '../checkpoint/vocabulary.js';
import { ZkLoraError } from '../errors.js';
import { parseJsonBytes } from '../jsonText.js';
import { MAX_CLASSES, MAX_ENSEMBLE_BYTES, MAX_SAMPLE_VALUES } from './limits.js';

const LABEL = 'zklora/ensemble/v1';

/** A path inside the ensemble's folder: no `..`, no hidden files, no absolute or drive paths. */
const FILE = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*){0,3}$/;

const fileSchema = z.strictObject({ file: z.string().max(256).regex(FILE), sha256: digestSchema });
const dimension = z.number().int().min(1).max(MAX_SAMPLE_VALUES);

const expertSchema = z
  .strictObject({
    ...fileSchema.shape,
    objective: z.enum(['ddpm', 'flow-matching']),
    /** Cosine schedule of a DDPM expert: alpha = cos(a), sigma = sin(a), a = pi/2 (offset + span u), u in [0, 1]. */
    schedule: z
      .strictObject({ offset: z.number().min(0).max(0.5), span: z.number().min(0.01).max(1) })
      .refine(({ offset, span }) => offset + span <= 1)
      .nullable(),
  })
  .refine(({ objective, schedule }) => (objective === 'ddpm') === (schedule !== null), {
    path: ['schedule'],
  });

const schema = z.strictObject({
  format: z.literal(LABEL),
  name: textSchema,
  modality: z.enum(['image', 'video']),
  /** [frames or channels, rows, columns] */
  sampleShape: z
    .tuple([dimension, dimension, dimension])
    .refine(([frames, rows, columns]) => frames * rows * columns <= MAX_SAMPLE_VALUES),
  /** Labels 0 .. classes-1 are a condition, label `classes` is none; null where the models take no condition. */
  classes: z.number().int().min(1).max(MAX_CLASSES).nullable(),
  router: fileSchema,
  experts: z.array(expertSchema).min(1).max(MAX_EXPERTS),
  /** float32 little-endian [experts, values of a sample]: centres of the clusters that the experts were trained on. */
  centroids: fileSchema.nullable(),
});

/** ensemble.json: how the models of a folder make samples together; docs/formats.md, "Ensemble". */
export type EnsembleFile = z.infer<typeof schema>;
export type ExpertFile = z.infer<typeof expertSchema>;

/** Parses ensemble.json. @throws ZkLoraError `ENSEMBLE_MALFORMED` */
export function parseEnsembleFile(bytes: Uint8Array): EnsembleFile {
  if (bytes.length > MAX_ENSEMBLE_BYTES) throw malformed(`it is larger than ${MAX_ENSEMBLE_BYTES} bytes`);
  const parsed = schema.safeParse(parseJsonBytes(bytes, 'ENSEMBLE_MALFORMED', 'ensemble.json'));
  if (parsed.success) return parsed.data;
  throw malformed(
    `${parsed.error.issues[0]?.path.join('.') || 'the top level'} is missing, unknown or out of range`,
  );
}

/** Digest of an ensemble's description and, through the digests in it, of its models: 32 bytes, hex. */
export function ensembleFileDigest(ensemble: EnsembleFile): string {
  return bytesToHex(labelledSha256(LABEL, canonicalJson(ensemble)));
}

/** Values of one sample. */
export function sampleValues({ sampleShape: [frames, rows, columns] }: EnsembleFile): number {
  return frames * rows * columns;
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError(
    'ENSEMBLE_MALFORMED',
    `not an ensemble description: ${problem}; docs/formats.md describes its members`,
  );
}

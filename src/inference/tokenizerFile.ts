import { createHash } from 'node:crypto';
import { z } from 'zod';
import { ZkLoraError } from '../errors.js';
import { parseJsonBytes } from '../jsonText.js';

/** A tokenizer.json: those of vocabularies of 256,000 tokens have about 35 MB. */
export const MAX_TOKENIZER_BYTES = 64 * 2 ** 20;

/** Tokens of a vocabulary; published ones end at about 260,000. */
export const MAX_VOCABULARY = 2 ** 22;

/** One token's text: the longest of published vocabularies are runs of a few hundred spaces. */
const MAX_TOKEN_LENGTH = 4096;
/** One pattern; the longest of published tokenizers have about 300 characters. */
const MAX_PATTERN_LENGTH = 16_384;
/** Parts of a chain of normalizers or pre-tokenizers. */
const MAX_STEPS = 64;

const id = z
  .number()
  .int()
  .min(0)
  .max(MAX_VOCABULARY - 1);
const token = z.string().max(MAX_TOKEN_LENGTH);

const addedToken = z.looseObject({ id, content: token.min(1) });

/** A step that the library builds by its `type`; chains hold steps of the same kind. */
interface Step {
  readonly type: string;
}
const step: z.ZodType<Step> = z.lazy(() =>
  z.looseObject({
    type: z.string().max(64),
    pattern: z
      .union([
        z.strictObject({ Regex: z.string().max(MAX_PATTERN_LENGTH) }),
        z.strictObject({ String: z.string().max(MAX_PATTERN_LENGTH) }),
      ])
      .optional(),
    normalizers: z.array(step).max(MAX_STEPS).optional(),
    pretokenizers: z.array(step).max(MAX_STEPS).optional(),
    processors: z.array(step).max(MAX_STEPS).optional(),
    decoders: z.array(step).max(MAX_STEPS).optional(),
  }),
);

const ids = z.record(token, id);
const mergeList = z.array(z.union([z.string().max(2 * MAX_TOKEN_LENGTH + 1), z.tuple([token, token])]));
const model = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('BPE'), vocab: ids, merges: mergeList.max(MAX_VOCABULARY) }),
  z.looseObject({ type: z.literal('WordPiece'), vocab: ids, unk_token: token }),
  z.looseObject({
    type: z.literal('Unigram'),
    vocab: z
      .array(z.tuple([token, z.number()]))
      .min(1)
      .max(MAX_VOCABULARY),
    unk_id: id,
  }),
]);

const schema = z.looseObject({
  model,
  added_tokens: z.array(addedToken).max(MAX_VOCABULARY),
  normalizer: step.nullable(),
  pre_tokenizer: step.nullable(),
  post_processor: step.nullable(),
  decoder: step.nullable(),
});

/** A tokenizer.json whose parts have the types that the library takes for granted. */
export type TokenizerFile = z.infer<typeof schema>;

/**
 * Reads a Hugging Face tokenizer.json with a BPE, WordPiece or Unigram model.
 *
 * @throws ZkLoraError `TOKENIZER_MALFORMED`
 */
export function parseTokenizerFile(bytes: Uint8Array): TokenizerFile {
  if (bytes.length > MAX_TOKENIZER_BYTES) {
    throw malformed(`is larger than ${MAX_TOKENIZER_BYTES} bytes`);
  }
  const result = schema.safeParse(parseJsonBytes(bytes, 'TOKENIZER_MALFORMED', 'tokenizer.json'));
  if (!result.success) {
    const path = result.error.issues[0]?.path.join('.') || 'top level';
    throw malformed(`is not a tokenizer that zklora reads (at ${path.slice(0, 80)})`);
  }
  const { data } = result;
  requireDistinctIds(data);
  return data;
}

/** Largest token id and one. */
export function vocabularySize({ model: { vocab }, added_tokens }: TokenizerFile): number {
  let size = Array.isArray(vocab) ? vocab.length : 0;
  for (const value of Array.isArray(vocab) ? [] : Object.values(vocab)) size = Math.max(size, value + 1);
  for (const added of added_tokens) size = Math.max(size, added.id + 1);
  return size;
}

/** SHA-256 of the file, hex. */
export function tokenizerDigest(bytes: Uint8Array): string {
  // Node's own SHA-256: the file has megabytes.
  return createHash('sha256').update(bytes).digest('hex');
}

/** An added token may name a token of the vocabulary again; two tokens of the vocabulary are never one. */
function requireDistinctIds({ model: { vocab } }: TokenizerFile): void {
  if (Array.isArray(vocab)) return;
  const values = Object.values(vocab);
  if (values.length === 0) throw malformed('has no tokens');
  if (new Set(values).size !== values.length) throw malformed('gives one id to two tokens');
}

export function malformed(problem: string): ZkLoraError {
  return new ZkLoraError('TOKENIZER_MALFORMED', `tokenizer.json ${problem}; use the base model's own file`);
}

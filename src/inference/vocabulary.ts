import { ZkLoraError } from '../errors.js';
import type { BaseModel } from './baseModel.js';
import { passes } from './loss.js';
import type { Windows } from './windows.js';

/**
 * Checks that a model knows every token that a tokenizer gives, with one pass of the uncut model.
 *
 * @param tokens largest token id of the tokenizer and one
 * @param batch of the evaluation: models with fixed shapes take no other
 * @returns size of the model's vocabulary
 * @throws ZkLoraError `BASE_MODEL_MISMATCH`
 */
export async function checkVocabulary(
  model: BaseModel,
  tokens: number,
  { count, sequence }: Windows,
  batch: number,
): Promise<number> {
  const { size } = passes(count, batch)[0]!;
  const { vocabulary } = await model.forwardBase(new BigInt64Array(size * sequence), size, sequence);
  if (tokens <= vocabulary) return vocabulary;
  throw new ZkLoraError(
    'BASE_MODEL_MISMATCH',
    `the tokenizer has ${tokens} tokens, the base model ${vocabulary}: use the model's own tokenizer`,
  );
}

import { ZkLoraError } from '../errors.js';
import { MAX_NAME_LENGTH, MODULE_NAME } from './limits.js';
import { quoted } from './quoted.js';

/** Where a tensor of an adapter file belongs. */
export interface PeftKey {
  readonly module: string;
  readonly matrix: 'A' | 'B';
}

/** PEFT's wrapper around the base model; missing in files of some other trainers. */
const PREFIX = 'base_model.model.';

/** Name of a tensor in PEFT's save format. */
export function peftKey({ module, matrix }: PeftKey): string {
  return `${PREFIX}${module}.lora_${matrix}.weight`;
}

/** Endings of names that PEFT and raw state dicts give to the two matrices of a linear layer. */
const ENDINGS: readonly (readonly [string, 'A' | 'B'])[] = [
  ['.lora_A.weight', 'A'],
  ['.lora_B.weight', 'B'],
  ['.lora_A.default.weight', 'A'],
  ['.lora_B.default.weight', 'B'],
];

/** Parts of names that show an unsupported feature, tried in order. */
const FEATURES: readonly (readonly [RegExp, string])[] = [
  [/lora_magnitude_vector/, 'DoRA (a magnitude vector)'],
  [/lora_embedding_[AB]/, 'a LoRA on an embedding (lora_embedding_A)'],
  [/lora_[AB]\.(?:default\.)?bias$/, 'lora_bias (a bias on lora_B)'],
  [/trainable_tokens/, 'trainable_token_indices (trained token embeddings)'],
  [/\.bias$/, 'bias other than none (a trained bias vector)'],
  [/lora_/, 'a LoRA variant this version does not know'],
];

/**
 * Reads a tensor name of PEFT's save format: `base_model.model.<module path>.lora_A.weight`, where the prefix
 * may be absent and the adapter name `default` may stand before `weight`.
 *
 * @throws ZkLoraError `ADAPTER_UNSUPPORTED` naming the feature that other tensors belong to;
 * `ADAPTER_MALFORMED` for a module path that is none.
 */
export function parsePeftKey(key: string): PeftKey {
  for (const [ending, matrix] of ENDINGS) {
    if (!key.endsWith(ending)) continue;
    const path = key.slice(0, -ending.length);
    const module = path.startsWith(PREFIX) ? path.slice(PREFIX.length) : path;
    if (module.length > MAX_NAME_LENGTH || !MODULE_NAME.test(module)) {
      throw new ZkLoraError(
        'ADAPTER_MALFORMED',
        `tensor ${quoted(key)} names no module path of at most ${MAX_NAME_LENGTH} letters, digits, "_", "-" and dots; rename it`,
      );
    }
    return { module, matrix };
  }
  const feature = FEATURES.find(([part]) => part.test(key))?.[1];
  throw new ZkLoraError(
    'ADAPTER_UNSUPPORTED',
    `tensor ${quoted(key)} belongs to ${feature ?? 'modules_to_save (a fully trained module)'}, which is not supported; train without it`,
  );
}

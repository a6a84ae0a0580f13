import { ZkLoraError } from '../errors.js';
import { MAX_NAME_LENGTH, MODULE_NAME } from './limits.js';
import { quoted } from './quoted.js';

/** Where a tensor of an adapter file belongs. */
export interface PeftKey {
  readonly module: string;
  readonly matrix: 'A' | 'B';
  /** The adapter's name in the state dict of a model; empty where the name is left out, as PEFT saves. */
  readonly adapterName: string;
}

/** PEFT's wrapper around the base model; missing in files of some other trainers. */
const PREFIX = 'base_model.model.';

/** Name of a tensor in PEFT's save format. */
export function peftKey({ module, matrix }: Pick<PeftKey, 'module' | 'matrix'>): string {
  return `${PREFIX}${module}.lora_${matrix}.weight`;
}

/** Ending of the names that PEFT and raw state dicts give to the two matrices of a linear layer. */
const ENDING = /\.lora_([AB])(?:\.([A-Za-z0-9_-]+))?\.weight$/;

/** Parts of names that show an unsupported feature, tried in order. */
const FEATURES: readonly (readonly [RegExp, string])[] = [
  [/lora_magnitude_vector/, 'DoRA (a magnitude vector)'],
  [
    /lora_embedding_[AB]/,
    'a LoRA on an embedding (lora_embedding_A), which looks rows up where a delta is a product,',
  ],
  [/lora_[AB]\.(?:[A-Za-z0-9_-]+\.)?bias$/, 'lora_bias (a bias on lora_B)'],
  [/trainable_tokens/, 'trainable_token_indices (trained token embeddings)'],
  [/\.base_layer\.(?!bias$)/, 'the base model (base_layer)'],
  [/\.original_module\./, 'modules_to_save (a fully trained module)'],
  [/\.bias$/, 'bias other than none (a trained bias vector)'],
  [/lora_/, 'a LoRA variant this version does not know'],
];

/**
 * Reads a tensor name of PEFT's save format: `base_model.model.<module path>.lora_A.weight`, where the prefix
 * may be absent and the adapter's name may stand before `weight`.
 *
 * @throws ZkLoraError `ADAPTER_UNSUPPORTED` naming the feature that other tensors belong to;
 * `ADAPTER_MALFORMED` for a module path that is none.
 */
export function parsePeftKey(key: string): PeftKey {
  const ending = ENDING.exec(key);
  if (ending !== null) {
    const path = key.slice(0, ending.index);
    const module = path.startsWith(PREFIX) ? path.slice(PREFIX.length) : path;
    if (module.length > MAX_NAME_LENGTH || !MODULE_NAME.test(module)) {
      throw new ZkLoraError(
        'ADAPTER_MALFORMED',
        `tensor ${quoted(key)} names no module path of at most ${MAX_NAME_LENGTH} letters, digits, "_", "-" and dots; rename it`,
      );
    }
    return { module, matrix: ending[1] as 'A' | 'B', adapterName: ending[2] ?? '' };
  }
  const feature = FEATURES.find(([part]) => part.test(key))?.[1];
  throw new ZkLoraError(
    'ADAPTER_UNSUPPORTED',
    `tensor ${quoted(key)} belongs to ${feature ?? 'modules_to_save (a fully trained module)'}, which is not supported; train without it`,
  );
}

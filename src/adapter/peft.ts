import { join } from 'node:path';
import { ZkLoraError } from '../errors.js';
import { readFileBounded } from '../files.js';
import { type Tensor, tensorToFloat32 } from './dtype.js';
import { MAX_FEATURES, MAX_MODULES, MAX_RANK, MAX_TOTAL_RANK } from './limits.js';
import { compareNatural } from './naturalOrder.js';
import { moduleSettings, type PeftConfig, parsePeftConfig } from './peftConfig.js';
import { parsePeftKey } from './peftKeys.js';
import { readPeftTensors } from './peftWeights.js';
import { quoted } from './quoted.js';

/** PEFT's configuration has about 40 short fields; patterns may list every module. */
const MAX_CONFIG_BYTES = 2 ** 20;

/** One LoRA module as trained. Private to the contributor. */
export interface FloatModule {
  /** Path of the adapted module in the base model. */
  readonly name: string;
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** PEFT's `lora_A.weight`, row-major `[rank, inFeatures]`. */
  readonly a: Float32Array;
  /** PEFT's `lora_B.weight`, row-major `[outFeatures, rank]`. */
  readonly b: Float32Array;
  /** alpha / r, or alpha / sqrt(r) for rsLoRA. */
  readonly scaling: number;
}

export interface FloatAdapter {
  /** In natural order of their names (`h.2` before `h.10`). */
  readonly modules: readonly FloatModule[];
  /** `base_model_name_or_path` of the configuration: a hint for people, not checked. */
  readonly baseModelName: string | null;
  /**
   * Names and layers of the configuration that the file holds no module for. PEFT leaves such modules of the base model
   * without a delta and warns of those that exist.
   */
  readonly unusedTargets: readonly string[];
}

/**
 * Reads an adapter folder as PEFT's `save_pretrained` writes it: `adapter_config.json` and
 * `adapter_model.safetensors`, or shards with an index (huggingface/peft, `LoraConfig` and `utils/save_and_load.py`).
 *
 * @throws ZkLoraError `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `SAFETENSORS_MALFORMED`, `ADAPTER_MALFORMED`,
 * `ADAPTER_UNSUPPORTED`
 * @example
 * const adapter = await readPeftAdapter('fixtures/gpt2-tiny/adapter');
 */
export async function readPeftAdapter(dir: string): Promise<FloatAdapter> {
  const config = parsePeftConfig(
    await readFileBounded(join(dir, 'adapter_config.json'), MAX_CONFIG_BYTES, 'adapter configuration'),
  );
  return adapterFromTensors(config, await readPeftTensors(dir));
}

/**
 * Pairs the tensors of an adapter file into modules and checks them against the configuration.
 *
 * @throws ZkLoraError `ADAPTER_MALFORMED`, `ADAPTER_UNSUPPORTED`
 */
export function adapterFromTensors(config: PeftConfig, tensors: ReadonlyMap<string, Tensor>): FloatAdapter {
  const pairs = new Map<string, { A?: Tensor; B?: Tensor }>();
  let adapterName: string | undefined;
  for (const [key, tensor] of tensors) {
    const parsed = parsePeftKey(key);
    const { module, matrix } = parsed;
    adapterName ??= parsed.adapterName;
    if (parsed.adapterName !== adapterName) {
      throw new ZkLoraError(
        'ADAPTER_UNSUPPORTED',
        `the file holds several adapters, ${quoted(adapterName)} and ${quoted(parsed.adapterName)}; save each alone`,
      );
    }
    const pair = pairs.get(module) ?? {};
    if (pair[matrix]) throw malformed(module, `has two lora_${matrix} tensors`);
    pairs.set(module, { ...pair, [matrix]: tensor });
  }
  if (pairs.size === 0) {
    throw new ZkLoraError(
      'ADAPTER_MALFORMED',
      'the adapter holds no LoRA modules; save it again after training',
    );
  }
  if (pairs.size > MAX_MODULES) {
    throw new ZkLoraError('ADAPTER_UNSUPPORTED', `the adapter has over ${MAX_MODULES} modules; adapt fewer`);
  }
  const modules = [...pairs]
    .sort(([nameA], [nameB]) => compareNatural(nameA, nameB))
    .map(([name, { A, B }]) => floatModule(config, name, A, B));
  if (modules.reduce((sum, { rank }) => sum + rank, 0) > MAX_TOTAL_RANK) {
    throw new ZkLoraError(
      'ADAPTER_UNSUPPORTED',
      `the ranks sum to over ${MAX_TOTAL_RANK}; train with a lower rank`,
    );
  }
  const names = modules.map(({ name }) => name);
  const ignored = names.find((name) => !config.targets.isTargeted(name));
  if (ignored !== undefined) {
    throw malformed(ignored, 'is none that its configuration adapts, so PEFT would leave it out');
  }
  return { modules, baseModelName: config.baseModelName, unusedTargets: config.targets.unused(names) };
}

function floatModule(config: PeftConfig, name: string, a?: Tensor, b?: Tensor): FloatModule {
  if (!a) throw malformed(name, 'has lora_B but no lora_A');
  if (!b) throw malformed(name, 'has lora_A but no lora_B');
  const [rank, inFeatures] = matrixShape(name, 'A', a);
  const [outFeatures, rankOfB] = matrixShape(name, 'B', b);
  if (rank !== rankOfB) {
    throw malformed(name, `has rank ${rank} in lora_A but ${rankOfB} in lora_B`);
  }
  if (rank === 0) throw malformed(name, 'has rank 0');
  if (inFeatures === 0 || outFeatures === 0) throw malformed(name, 'has no input or no output features');
  if (rank > MAX_RANK)
    throw unsupported(name, `has rank ${rank}, above ${MAX_RANK}; train with a lower rank`);
  if (inFeatures > MAX_FEATURES || outFeatures > MAX_FEATURES) {
    throw unsupported(name, `has more than ${MAX_FEATURES} features; leave it out of target_modules`);
  }
  const settings = moduleSettings(config, name);
  if (rank !== settings.rank) {
    throw malformed(name, `has rank ${rank} where the configuration says ${settings.rank}`);
  }
  return {
    name,
    rank,
    inFeatures,
    outFeatures,
    a: finiteFloats(name, 'A', a),
    b: finiteFloats(name, 'B', b),
    scaling: settings.scaling,
  };
}

function matrixShape(name: string, matrix: 'A' | 'B', { shape }: Tensor): readonly [number, number] {
  const [rows, columns] = shape;
  if (shape.length === 3 || shape.length === 4 || shape.length === 5) {
    throw unsupported(name, 'is a convolution; only linear layers can be adapted');
  }
  if (shape.length !== 2 || rows === undefined || columns === undefined) {
    throw malformed(name, `has a lora_${matrix} that is not a matrix`);
  }
  return [rows, columns];
}

function finiteFloats(name: string, matrix: 'A' | 'B', tensor: Tensor): Float32Array {
  const values = tensorToFloat32(tensor);
  if (!values.every(Number.isFinite)) throw malformed(name, `has NaN or infinite values in lora_${matrix}`);
  return values;
}

function malformed(name: string, problem: string): ZkLoraError {
  return new ZkLoraError(
    'ADAPTER_MALFORMED',
    `module ${quoted(name)} of the adapter ${problem}; train or save the adapter again`,
    { details: { module: name } },
  );
}

function unsupported(name: string, problem: string): ZkLoraError {
  return new ZkLoraError('ADAPTER_UNSUPPORTED', `module ${quoted(name)} of the adapter ${problem}`, {
    details: { module: name },
  });
}

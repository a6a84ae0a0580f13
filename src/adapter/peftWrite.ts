import { join } from 'node:path';
import { utf8ToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { fillNewFolder, writeFileAtomic } from '../files.js';
import { powerOfTwo } from './fixedPoint.js';
import { moduleSettings, parsePeftConfig } from './peftConfig.js';
import { peftKey } from './peftKeys.js';
import { quoted } from './quoted.js';
import { serializeSafetensors, type Tensor } from './safetensors.js';
import type { CommittedModule, QuantizedModule } from './types.js';

type Described = Pick<CommittedModule, 'name' | 'rank' | 'scaling' | 'aExponent' | 'bExponent'>;

/**
 * Exponents with which every int16 is a float32: multiples of the smallest one (2^-149), and 32768 * 2^112 = 2^127
 * below its end. Trained weights are far inside.
 */
const MIN_FLOAT_EXPONENT = -149;
const MAX_FLOAT_EXPONENT = 112;

/**
 * The `adapter_config.json` that gives modules their ranks and scalings in PEFT (huggingface/peft, `LoraConfig`).
 *
 * @returns JSON text, checked with this library's own reader of such files
 * @throws ZkLoraError `ADAPTER_UNSUPPORTED` when no such configuration, or no float32 file, can express the modules
 */
export function peftConfigText(modules: readonly Described[], baseModelName: string | null): string {
  for (const { name, aExponent, bExponent } of modules) {
    for (const exponent of [aExponent, bExponent]) {
      if (exponent >= MIN_FLOAT_EXPONENT && exponent <= MAX_FLOAT_EXPONENT) continue;
      throw inexpressible(name, 'its weights are not float32 numbers');
    }
  }
  for (const useRslora of [false, true]) {
    const alphas = modules.map(({ rank, scaling }) => alphaFor(scaling, useRslora ? Math.sqrt(rank) : rank));
    if (alphas.includes(null)) continue;
    return checkedConfig(modules, alphas as number[], useRslora, baseModelName);
  }
  throw inexpressible(modules[0]?.name ?? '', 'no lora_alpha gives its scaling');
}

/**
 * Writes an adapter folder that PEFT loads: `adapter_config.json` and `adapter_model.safetensors`, float32, each weight
 * integer * 2^exponent. The folder appears whole.
 *
 * @throws ZkLoraError `ADAPTER_UNSUPPORTED`, `FILE_EXISTS`, `FILE_UNWRITABLE`
 */
export async function writePeftAdapter(
  dir: string,
  modules: readonly QuantizedModule[],
  baseModelName: string | null,
): Promise<void> {
  const config = peftConfigText(modules, baseModelName);
  const tensors = new Map<string, Tensor>();
  for (const { name, rank, inFeatures, outFeatures, a, aExponent, bT, bExponent } of modules) {
    tensors.set(peftKey({ module: name, matrix: 'A' }), matrix(a, aExponent, [rank, inFeatures]));
    tensors.set(peftKey({ module: name, matrix: 'B' }), transposed(bT, bExponent, [outFeatures, rank]));
  }
  const weights = serializeSafetensors(tensors, { format: 'pt' });
  await fillNewFolder(dir, async (folder) => {
    await writeFileAtomic(join(folder, 'adapter_config.json'), config);
    await writeFileAtomic(join(folder, 'adapter_model.safetensors'), weights);
  });
}

function checkedConfig(
  modules: readonly Described[],
  alphas: readonly number[],
  useRslora: boolean,
  baseModelName: string | null,
): string {
  const rank = modules[0]!.rank;
  const alpha = alphas[0]!;
  // the first matching pattern wins, and a name also matches its suffixes' patterns: longer names first
  const order = modules
    .map(({ name }, i) => ({ name, rank: modules[i]!.rank, alpha: alphas[i]! }))
    .sort((a, b) => b.name.length - a.name.length);
  const uniform = order.every((module) => module.rank === rank && module.alpha === alpha);
  const pattern = (value: 'rank' | 'alpha') =>
    Object.fromEntries(uniform ? [] : order.map((module) => [module.name, module[value]]));
  const text = `${JSON.stringify(
    {
      peft_type: 'LORA',
      base_model_name_or_path: baseModelName,
      task_type: null,
      inference_mode: true,
      r: rank,
      lora_alpha: alpha,
      lora_dropout: 0,
      use_rslora: useRslora,
      bias: 'none',
      fan_in_fan_out: false,
      target_modules: modules.map(({ name }) => name),
      rank_pattern: pattern('rank'),
      alpha_pattern: pattern('alpha'),
    },
    null,
    2,
  )}\n`;
  const config = parsePeftConfig(utf8ToBytes(text));
  for (const { name, rank: expected, scaling } of modules) {
    const settings = moduleSettings(config, name);
    if (settings.rank === expected && settings.scaling === scaling) continue;
    throw inexpressible(name, "its name also matches another module's pattern");
  }
  return text;
}

/** A number that gives `scaling` when it is divided by `divisor`, in float64; null where rounding leaves none. */
function alphaFor(scaling: number, divisor: number): number | null {
  const near = scaling * divisor;
  // multiplying by 1 +- 2^-52 reaches the neighbours
  const candidates = [Math.round(near), near, near * (1 + 2 ** -52), near * (1 - 2 ** -52)];
  return candidates.find((alpha) => alpha / divisor === scaling) ?? null;
}

function matrix(integers: Int16Array, exponent: number, shape: readonly number[]): Tensor {
  const unit = powerOfTwo(exponent);
  const values = Float32Array.from(integers, (integer) => integer * unit);
  return { dtype: 'F32', shape, data: new Uint8Array(values.buffer) };
}

/** @param integers `[columns, rows]` for a tensor of shape `[rows, columns]` */
function transposed(integers: Int16Array, exponent: number, shape: readonly [number, number]): Tensor {
  const [rows, columns] = shape;
  const unit = powerOfTwo(exponent);
  const values = new Float32Array(integers.length);
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) {
      values[row * columns + column] = integers[column * rows + row]! * unit;
    }
  }
  return { dtype: 'F32', shape, data: new Uint8Array(values.buffer) };
}

function inexpressible(name: string, problem: string): ZkLoraError {
  return new ZkLoraError(
    'ADAPTER_UNSUPPORTED',
    `module ${quoted(name)} cannot be written as a PEFT adapter: ${problem}; do not buy it as it is`,
    { details: { module: name } },
  );
}

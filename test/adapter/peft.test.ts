import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Dtype } from '../../src/adapter/dtype.js';
import { readPeftAdapter } from '../../src/adapter/peft.js';
import { serializeSafetensors, type Tensor } from '../../src/adapter/safetensors.js';
import { refusalOf } from './refusal.js';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'zklora-peft-'));
});
afterEach(() => rm(dir, { recursive: true }));

const CONFIG = { peft_type: 'LORA', r: 2, lora_alpha: 4, bias: 'none', base_model_name_or_path: 'tiny' };

function floats(shape: number[], values?: number[], dtype: Dtype = 'F32'): Tensor {
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  const array = Float32Array.from({ length: size }, (_, i) => values?.[i] ?? i + 1);
  return { dtype, shape, data: new Uint8Array(array.buffer) };
}

async function write(tensors: Record<string, Tensor>, config: object = {}): Promise<void> {
  await writeFile(join(dir, 'adapter_config.json'), JSON.stringify({ ...CONFIG, ...config }));
  const bytes = serializeSafetensors(new Map(Object.entries(tensors)), { format: 'pt' });
  await writeFile(join(dir, 'adapter_model.safetensors'), bytes);
}

/** A module `name` of rank 2 with 3 inputs and 4 outputs. */
const pair = (name: string, change: { A?: Tensor; B?: Tensor } = {}) => ({
  [`base_model.model.${name}.lora_A.weight`]: change.A ?? floats([2, 3]),
  [`base_model.model.${name}.lora_B.weight`]: change.B ?? floats([4, 2]),
});

describe('readPeftAdapter', () => {
  it('pairs the matrices, in the order people count', async () => {
    await write({ ...pair('h.10.q'), ...pair('h.2.q'), ...pair('h.2.k') });
    const adapter = await readPeftAdapter(dir);
    expect(adapter.baseModelName).toBe('tiny');
    expect(adapter.modules.map(({ name }) => name)).toEqual(['h.2.k', 'h.2.q', 'h.10.q']);
    expect(adapter.modules[0]).toEqual({
      name: 'h.2.k',
      rank: 2,
      inFeatures: 3,
      outFeatures: 4,
      a: Float32Array.of(1, 2, 3, 4, 5, 6),
      b: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8),
      scaling: 2,
    });
  });

  it('follows rank_pattern and alpha_pattern', async () => {
    const narrow = { A: floats([1, 3]), B: floats([4, 1]) };
    await write(
      { ...pair('h.0.q'), ...pair('h.1.q', narrow) },
      { rank_pattern: { '1.q': 1 }, alpha_pattern: { q: 6 } },
    );
    const { modules } = await readPeftAdapter(dir);
    expect(modules.map(({ rank, scaling }) => [rank, scaling])).toEqual([
      [2, 3],
      [1, 6],
    ]);
  });

  it('reads float16 and bfloat16', async () => {
    const ones = (dtype: Dtype, bits: number, shape: number[]): Tensor => {
      const size = shape.reduce((product, dimension) => product * dimension, 1);
      return { dtype, shape, data: new Uint8Array(new Uint16Array(size).fill(bits).buffer) };
    };
    await write(pair('q', { A: ones('F16', 0x3c00, [2, 3]), B: ones('BF16', 0xbf80, [4, 2]) }));
    const [module] = (await readPeftAdapter(dir)).modules;
    expect([...module!.a, ...module!.b]).toEqual([...Array(6).fill(1), ...Array(8).fill(-1)]);
  });

  it('takes names with an adapter name and without the prefix', async () => {
    await write({ 'q.lora_A.default.weight': floats([2, 3]), 'q.lora_B.default.weight': floats([4, 2]) });
    expect((await readPeftAdapter(dir)).modules.map(({ name }) => name)).toEqual(['q']);
  });

  it.each<[string, Record<string, Tensor>, object, string]>([
    ['no modules', {}, {}, 'no LoRA modules'],
    ['A without B', { 'q.lora_A.weight': floats([2, 3]) }, {}, 'has lora_A but no lora_B'],
    ['B without A', { 'q.lora_B.weight': floats([4, 2]) }, {}, 'has lora_B but no lora_A'],
    ['two A', { ...pair('q'), 'q.lora_A.weight': floats([2, 3]) }, {}, 'two lora_A tensors'],
    ['rank 0', pair('q', { A: floats([0, 3]), B: floats([4, 0]) }), {}, 'has rank 0'],
    ['no inputs', pair('q', { A: floats([2, 0]) }), {}, 'no input or no output'],
    ['no outputs', pair('q', { B: floats([0, 2]) }), {}, 'no input or no output'],
    ['ranks of A and B apart', pair('q', { B: floats([4, 3]) }), {}, 'rank 2 in lora_A but 3 in lora_B'],
    ['B transposed', pair('q', { B: floats([2, 4]) }), {}, 'rank 2 in lora_A but 4 in lora_B'],
    ['a rank unlike the configuration', pair('q'), { r: 4 }, 'rank 2 where the configuration says 4'],
    ['a rank unlike the pattern', pair('q'), { rank_pattern: { q: 1 } }, 'configuration says 1'],
    ['NaN', pair('q', { A: floats([2, 3], [1, NaN]) }), {}, 'NaN or infinite values in lora_A'],
    ['infinity', pair('q', { B: floats([4, 2], [-Infinity]) }), {}, 'NaN or infinite values in lora_B'],
    ['a vector', pair('q', { A: floats([6]) }), {}, 'lora_A that is not a matrix'],
    ['rank 0 in the configuration', pair('q'), { r: 0 }, 'r must be a rank'],
  ])('refuses %s', async (_, tensors, config, message) => {
    await write(tensors, config);
    const error = await refusalOf(readPeftAdapter(dir));
    expect(error.code).toBe('ADAPTER_MALFORMED');
    expect(error.message).toContain(message);
  });

  it.each<[string, Record<string, Tensor>, object, string]>([
    ['a convolution', pair('conv', { A: floats([2, 3, 1, 1]) }), {}, 'convolution'],
    ['integers', pair('q', { A: { dtype: 'I32', shape: [2, 3], data: new Uint8Array(24) } }), {}, 'I32'],
    ['float64', pair('q', { B: { dtype: 'F64', shape: [4, 2], data: new Uint8Array(64) } }), {}, 'F64'],
    ['DoRA tensors', { ...pair('q'), 'q.lora_magnitude_vector': floats([4]) }, {}, 'DoRA'],
    [
      'saved modules',
      { ...pair('q'), 'base_model.model.lm_head.weight': floats([2]) },
      {},
      'modules_to_save',
    ],
    ['an embedding', { 'wte.lora_embedding_A': floats([2, 9]) }, {}, 'lora_embedding_A'],
    ['use_dora', pair('q'), { use_dora: true }, 'DoRA'],
  ])('refuses %s', async (_, tensors, config, message) => {
    await write(tensors, config);
    const error = await refusalOf(readPeftAdapter(dir));
    expect(error.code).toBe('ADAPTER_UNSUPPORTED');
    expect(error.message).toContain(message);
  });

  it('names what the configuration adapts and the file lacks', async () => {
    await write(pair('m.h.0.q'), { target_modules: ['q', 'v'], layers_to_transform: [0, 1] });
    expect((await readPeftAdapter(dir)).unusedTargets).toEqual(['v', 'layer 1']);
  });

  it('refuses a module that the configuration does not adapt: PEFT would leave it out', async () => {
    await write({ ...pair('h.0.q'), ...pair('h.0.v') }, { target_modules: ['q'] });
    const error = await refusalOf(readPeftAdapter(dir));
    expect(error.code).toBe('ADAPTER_MALFORMED');
    expect(error.message).toContain('module "h.0.v" of the adapter is none that its configuration adapts');
  });

  it('refuses two adapters in one file', async () => {
    const second = { 'k.lora_A.b.weight': floats([2, 3]), 'k.lora_B.b.weight': floats([4, 2]) };
    await write({ ...pair('q'), ...second });
    const error = await refusalOf(readPeftAdapter(dir));
    expect(error.code).toBe('ADAPTER_UNSUPPORTED');
    expect(error.message).toContain('several adapters');
  });

  describe('shards', () => {
    const INDEX = 'adapter_model.safetensors.index.json';
    const [one, two] = [
      'adapter_model-00001-of-00002.safetensors',
      'adapter_model-00002-of-00002.safetensors',
    ];
    const map = (first: string, second: string) => ({
      weight_map: {
        'base_model.model.q.lora_A.weight': first,
        'base_model.model.q.lora_B.weight': second,
      },
    });
    beforeEach(async () => {
      await write({});
      await rm(join(dir, 'adapter_model.safetensors'));
      const [a, b] = Object.entries(pair('q'));
      await writeFile(join(dir, one), serializeSafetensors(new Map([a!])));
      await writeFile(join(dir, two), serializeSafetensors(new Map([b!])));
    });

    it('are read by their index', async () => {
      await writeFile(join(dir, INDEX), JSON.stringify({ metadata: { total_size: 1 }, ...map(one, two) }));
      expect((await readPeftAdapter(dir)).modules).toHaveLength(1);
    });

    it.each<[string, object, string]>([
      ['a path', map('../x.safetensors', two), 'no name of a file beside it'],
      ['a hidden file', map('.x.safetensors', two), 'no name of a file beside it'],
      ['another format', map('x.bin', two), 'no name of a file beside it'],
      ['a tensor in the wrong file', map(two, one), 'does not place there'],
      ['a tensor that is nowhere', { weight_map: { ...map(one, two).weight_map, z: one } }, 'no file holds'],
      ['a tensor that it does not list', { weight_map: { x: one } }, 'does not place there'],
      ['no map', { weight_map: [] }, 'has no map'],
      [
        'too many files',
        {
          weight_map: Object.fromEntries(
            Array.from({ length: 257 }, (_, i) => [`t${i}`, `${i}.safetensors`]),
          ),
        },
        'more than 256 files',
      ],
    ])('are refused with an index that has %s', async (_, index, message) => {
      await writeFile(join(dir, INDEX), JSON.stringify(index));
      const error = await refusalOf(readPeftAdapter(dir));
      expect(error.code).toBe('ADAPTER_MALFORMED');
      expect(error.message).toContain(message);
    });

    it('are refused when one is missing', async () => {
      await writeFile(join(dir, INDEX), JSON.stringify(map(one, two)));
      await rm(join(dir, two));
      expect((await refusalOf(readPeftAdapter(dir))).code).toBe('FILE_NOT_FOUND');
    });
  });

  it('refuses a truncated file', async () => {
    await write(pair('q'));
    const bytes = serializeSafetensors(new Map(Object.entries(pair('q'))));
    await writeFile(join(dir, 'adapter_model.safetensors'), bytes.subarray(0, -1));
    expect((await refusalOf(readPeftAdapter(dir))).code).toBe('SAFETENSORS_MALFORMED');
  });

  it('says which file is missing', async () => {
    expect((await refusalOf(readPeftAdapter(join(dir, 'nowhere')))).code).toBe('FILE_NOT_FOUND');
    const error = await refusalOf(readPeftAdapter(dir));
    expect(error.code).toBe('FILE_NOT_FOUND');
    expect(error.message).toContain('adapter_config.json');
    await writeFile(join(dir, 'adapter_config.json'), JSON.stringify(CONFIG));
    expect((await refusalOf(readPeftAdapter(dir))).message).toContain('adapter_model.safetensors');
  });

  it('refuses a pickle file with advice', async () => {
    await writeFile(join(dir, 'adapter_config.json'), JSON.stringify(CONFIG));
    await writeFile(join(dir, 'adapter_model.bin'), 'x');
    const error = await refusalOf(readPeftAdapter(dir));
    expect(error.code).toBe('ADAPTER_UNSUPPORTED');
    expect(error.message).toContain('save the adapter as safetensors');
  });

  it('refuses a folder in place of a file, and an endless configuration', async () => {
    await mkdir(join(dir, 'adapter_config.json'));
    expect((await refusalOf(readPeftAdapter(dir))).code).toBe('FILE_UNREADABLE');
    await rm(join(dir, 'adapter_config.json'), { recursive: true });
    await writeFile(join(dir, 'adapter_config.json'), ' '.repeat(2 ** 20 + 1));
    expect((await refusalOf(readPeftAdapter(dir))).code).toBe('FILE_UNREADABLE');
  });
});

import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { readPeftAdapter } from '../../src/adapter/peft.js';
import { quantizeModule } from '../../src/adapter/quantize.js';
import { refusalOf } from './refusal.js';

const FOLDER = 'fixtures/peft';

interface Expected {
  readonly rank: number;
  readonly scaling: number;
  /** PEFT's `get_delta_weight`, `[outFeatures, inFeatures]`, six digits behind the point. */
  readonly update: readonly number[];
}

describe('adapters that PEFT saved', () => {
  it.each([
    ['list', []],
    ['layers', []],
    ['one-layer', []],
    ['expression', []],
    ['lookahead', []],
    ['all-linear', []],
    ['excluded', []],
    ['rank-pattern', []],
    ['alpha-pattern', []],
    ['rslora', []],
    ['fan-in-fan-out', []],
    ['rank-1', []],
    ['rank-256', []],
    ['gaussian', []],
    ['orthogonal', []],
    ['float16', []],
    ['bfloat16', []],
    ['sharded', []],
    ['named', []],
    ['unprefixed', []],
  ])('%s: modules, ranks, scalings and updates are those of PEFT', async (name, unused) => {
    const expected: Record<string, Expected> = JSON.parse(
      await readFile(`${FOLDER}/${name}/expected.json`, 'utf8'),
    );
    const { modules, unusedTargets } = await readPeftAdapter(`${FOLDER}/${name}`);
    expect(modules.map((module) => module.name).sort()).toEqual(Object.keys(expected).sort());
    expect(unusedTargets).toEqual(unused);
    const tolerance = name === 'bfloat16' ? 2 ** -5 : name === 'float16' ? 2 ** -8 : 1e-5;
    for (const module of modules) {
      const { rank, scaling, update } = expected[module.name]!;
      expect(module).toMatchObject({ rank, scaling });
      expect(module.inFeatures * module.outFeatures).toBe(update.length);
      const largest = Math.max(...update.map(Math.abs));
      for (let o = 0; o < module.outFeatures; o += 1) {
        for (let i = 0; i < module.inFeatures; i += 1) {
          let sum = 0;
          for (let j = 0; j < rank; j += 1)
            sum += module.b[o * rank + j]! * module.a[j * module.inFeatures + i]!;
          const error = Math.abs(scaling * sum - update[o * module.inFeatures + i]!);
          expect(error / largest).toBeLessThan(tolerance);
        }
      }
      expect(quantizeModule(module)).toMatchObject({ rank, scaling });
    }
  });

  it.each([
    ['dora', 'DoRA'],
    ['bias-all', 'bias other than "none"'],
    ['bias-lora-only', 'bias other than "none"'],
    ['lora-bias', 'a bias on lora_B'],
    ['modules-to-save', 'modules_to_save, fully trained modules'],
    ['trainable-tokens', 'trainable_token_indices, trained token embeddings'],
    ['embedding', 'a LoRA on an embedding (lora_embedding_A), which looks rows up'],
    ['convolution', 'is a convolution'],
    ['target-parameters', 'target_parameters'],
    ['pissa', 'init_lora_weights "pissa", which changes the base weights too'],
    ['olora', 'init_lora_weights "olora", which changes the base weights too'],
  ])('%s is refused by name', async (name, reason) => {
    const error = await refusalOf(readPeftAdapter(`${FOLDER}/${name}`));
    expect(error.code).toBe('ADAPTER_UNSUPPORTED');
    expect(error.message).toContain(reason);
  });

  it('has a test for every fixture', async () => {
    const folders = (await readdir(FOLDER, { withFileTypes: true })).filter((entry) => entry.isDirectory());
    const source = await readFile('test/adapter/peftFeatures.test.ts', 'utf8');
    for (const { name } of folders) expect(source).toContain(`['${name}', `);
  });
});

import { readdir, readFile } from 'node:fs/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { type FloatModule, readPeftAdapter } from '../../src/adapter/peft.js';
import { openBaseModel } from '../../src/inference/baseModel.js';
import { languageFeeds, languageInputs } from '../../src/inference/feeds.js';
import { floatDelta, localLora } from '../../src/inference/localLora.js';
import { openStageRunner, type StageRunner } from '../../src/inference/stageRunner.js';
import { maxDifference } from './fixtures.js';

const FOLDER = 'fixtures/exports';

/** Largest difference allowed, as a part of the largest logit: against the uncut model, and against torch. */
const FLOAT32 = { cut: 1e-6, torch: 1e-5 };
/** Rounding to 11 bits after each operation, at other places when the runtime fuses other nodes. */
const FLOAT16 = { cut: 2e-3, torch: 4e-3 };

interface Case {
  readonly modules: readonly FloatModule[];
  readonly ids: BigInt64Array;
  readonly base: Float32Array;
  readonly adapted: Float32Array;
}

async function loadCase(name: string): Promise<Case> {
  const raw = async (file: string) => Uint8Array.from(await readFile(`${FOLDER}/${name}/${file}`)).buffer;
  return {
    modules: (await readPeftAdapter(`${FOLDER}/${name}/adapter`)).modules,
    ids: new BigInt64Array(await raw('input_ids.i64')),
    base: new Float32Array(await raw('base_logits.f32')),
    adapted: new Float32Array(await raw('adapted_logits.f32')),
  };
}

const open: StageRunner[] = [];
async function openModel(path: string, modules: readonly FloatModule[]): Promise<StageRunner> {
  const runner = await openStageRunner(path, modules);
  open.push(runner);
  return runner;
}
afterEach(async () => {
  for (const runner of open.splice(0)) await runner.close();
});

/** A forward pass with the adapter in floating point, times `factor`. */
async function withLora(
  runner: StageRunner,
  { modules, ids }: Case,
  batch: number,
  factor: number,
): Promise<Float32Array> {
  const inputs = languageInputs(runner.info.feedTypes);
  let step = await runner.start(languageFeeds(inputs, ids, batch, ids.length / batch));
  while (step.kind === 'ask') {
    const deltas = new Map<number, Float32Array>();
    for (const { input, tokens, values } of step.inputs) {
      for (const module of runner.info.inputs[input]!)
        deltas.set(
          module,
          floatDelta(modules[module]!, values, tokens).map((x) => factor * x),
        );
    }
    step = await runner.resume(deltas);
  }
  return step.output.values;
}

async function uncut(runner: StageRunner, { ids }: Case, batch: number): Promise<Float32Array> {
  const inputs = languageInputs(runner.info.feedTypes);
  return (await runner.base(languageFeeds(inputs, ids, batch, ids.length / batch))).values;
}

const largest = (values: Float32Array) => values.reduce((max, x) => Math.max(max, Math.abs(x)), 0);

describe('exports of torch', () => {
  it.each([
    ['script-opset11', FLOAT32],
    ['script-opset13', FLOAT32],
    ['script-opset20', FLOAT32],
    ['script-unfolded', FLOAT32],
    ['script-fixed', FLOAT32],
    ['script-flat', FLOAT32],
    ['script-control', FLOAT32],
    ['script-half', FLOAT16],
    ['dynamo-forms', FLOAT32],
    ['dynamo-unoptimised', FLOAT32],
    ['dynamo-half', FLOAT16],
    ['dynamo-gpt2', FLOAT32],
    ['dynamo-llama', FLOAT32],
    ['dynamo-masked', FLOAT32],
  ])('%s: the split equals the uncut model, and torch without and with the adapter', async (name, limit) => {
    const known = await loadCase(name);
    const runner = await openModel(`${FOLDER}/${name}/model.onnx`, known.modules);
    const whole = await uncut(runner, known, 2);
    const scale = largest(known.adapted);
    expect(maxDifference(whole, known.base) / scale).toBeLessThan(limit.torch);
    expect(maxDifference(await withLora(runner, known, 2, 0), whole) / scale).toBeLessThan(limit.cut);
    const adapted = await withLora(runner, known, 2, 1);
    expect(maxDifference(adapted, known.adapted) / scale).toBeLessThan(limit.torch);
    // the adapter is no noise: far above both limits
    expect(maxDifference(known.adapted, known.base) / scale).toBeGreaterThan(20 * limit.torch);
  });

  it('runs an export with external data and a mask in the worker of a base model', async () => {
    const known = await loadCase('dynamo-masked');
    const model = await openBaseModel(`${FOLDER}/dynamo-masked/model.onnx`, known.modules);
    const base = await model.forwardBase(known.ids, 2, 5);
    const adapted = await localLora(model, known.modules)(known.ids, 2, 5);
    await model.close();
    expect(base.vocabulary).toBe(32);
    expect(maxDifference(base.values, known.base)).toBeLessThan(1e-5);
    expect(maxDifference(adapted.values, known.adapted)).toBeLessThan(1e-5);
  });

  it('has a test for every fixture', async () => {
    const folders = (await readdir(FOLDER, { withFileTypes: true })).filter((entry) => entry.isDirectory());
    const source = await readFile('test/inference/exports.test.ts', 'utf8');
    for (const { name } of folders) expect(source).toContain(`'${name}'`);
  });

  it('runs other batches and lengths when the axes are free, and names the size when they are not', async () => {
    const known = await loadCase('script-fixed');
    const fixed = await openModel(`${FOLDER}/script-fixed/model.onnx`, known.modules);
    await expect(uncut(fixed, known, 1)).rejects.toMatchObject({
      code: 'BASE_MODEL_MISMATCH',
      message: expect.stringContaining('fixed size [2, 5], not [1, 10]'),
    });
    const masked = await loadCase('dynamo-masked');
    const free = await openModel(`${FOLDER}/dynamo-masked/model.onnx`, masked.modules);
    const first = { ...masked, ids: masked.ids.slice(0, 5) };
    const values = await withLora(free, first, 1, 1);
    expect(maxDifference(values, masked.adapted.slice(0, values.length))).toBeLessThan(1e-5);
  });

  it('reads the modules of an If and a Loop as such, and refuses them by name', async () => {
    const inner = { name: 'branch.inner', inFeatures: 8, outFeatures: 8 };
    await expect(openStageRunner(`${FOLDER}/script-control/model.onnx`, [inner])).rejects.toMatchObject({
      code: 'BASE_MODEL_MISMATCH',
      message: expect.stringContaining('"branch.inner" of the base model runs inside a subgraph (If)'),
    });
  });

  it.each(['script-opset13', 'dynamo-forms'])('%s: refuses a convolution by name', async (name) => {
    const conv = { name: 'conv', inFeatures: 8, outFeatures: 8 };
    await expect(openStageRunner(`${FOLDER}/${name}/model.onnx`, [conv])).rejects.toMatchObject({
      code: 'BASE_MODEL_MISMATCH',
      message: expect.stringContaining('"conv" of the base model computes with "Conv"'),
    });
  });

  it('refuses bfloat16 by name', async () => {
    const { modules } = await loadCase('script-bfloat16');
    await expect(openStageRunner(`${FOLDER}/script-bfloat16/model.onnx`, modules)).rejects.toMatchObject({
      code: 'BASE_MODEL_MISMATCH',
      message: expect.stringContaining('bfloat16'),
    });
  });
});

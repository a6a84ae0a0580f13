import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BaseModel, openBaseModel } from '../../src/inference/baseModel.js';
import { localLora } from '../../src/inference/localLora.js';
import { measureLoss } from '../../src/inference/loss.js';
import { byteWindows } from '../../src/inference/windows.js';
import { constantDeltas, type Fixture, heldOutText, loadFixture, maxDifference } from './fixtures.js';

describe.each(['gpt2-tiny', 'llama-tiny'] as const)('openBaseModel: %s', (name) => {
  let fixture: Fixture;
  let model: BaseModel;
  beforeAll(async () => {
    fixture = await loadFixture(name);
    model = await openBaseModel(fixture.modelPath, fixture.adapter.modules);
  });
  afterAll(() => model.close());

  it('gives the logits of torch, without and with the adapter in floating point', async () => {
    const { ids, batch, sequence, adapter, baseLogits, adaptedLogits } = fixture;
    const base = await model.forwardBase(ids, batch, sequence);
    expect(base.vocabulary).toBe(256);
    expect(maxDifference(base.values, baseLogits)).toBeLessThan(1e-4);
    const adapted = await localLora(model, adapter.modules)(ids, batch, sequence);
    expect(maxDifference(adapted.values, adaptedLogits)).toBeLessThan(1e-3);
  });

  it('runs passes one after the other, however they are started', async () => {
    const { ids, batch, sequence, adapter } = fixture;
    const answer = constantDeltas(model, adapter.modules, 0.1);
    const [first, base, second] = await Promise.all([
      model.forward(ids, batch, sequence, answer),
      model.forwardBase(ids, batch, sequence),
      model.forward(ids, batch, sequence, answer),
    ]);
    expect(second.values).toEqual(first.values);
    expect(maxDifference(first.values, base.values)).toBeGreaterThan(1e-3);
  });

  it('survives an answer that fails', async () => {
    const { ids, batch, sequence, adapter } = fixture;
    const failing = model.forward(ids, batch, sequence, async () => {
      throw new Error('gone');
    });
    await expect(failing).rejects.toThrow('gone');
    await model.forward(ids, batch, sequence, constantDeltas(model, adapter.modules, 0));
  });

  it('brings typed errors over from the worker', async () => {
    const { modelPath, ids } = fixture;
    const unknown = [{ name: 'no.such.module', inFeatures: 1, outFeatures: 1 }];
    await expect(openBaseModel(modelPath, unknown)).rejects.toMatchObject({
      name: 'ZkLoraError',
      code: 'MODULE_NOT_FOUND',
      details: { module: 'no.such.module' },
    });
    await expect(openBaseModel('/nowhere', unknown)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(model.forwardBase(ids, 1, 1)).rejects.toMatchObject({ code: 'USAGE' });
  });
});

it('refuses calls after it was closed', async () => {
  const fixture = await loadFixture('llama-tiny');
  const model = await openBaseModel(fixture.modelPath, fixture.adapter.modules);
  await model.close();
  await expect(model.forwardBase(fixture.ids, 2, 16)).rejects.toMatchObject({ code: 'INTERNAL' });
});

it("reproduces torch's losses on the held-out text", async () => {
  const { modelPath, adapter, oracle } = await loadFixture('gpt2-tiny');
  const model = await openBaseModel(modelPath, adapter.modules);
  const windows = byteWindows(await heldOutText(), 96);
  const progress: number[] = [];
  const base = await measureLoss((ids, b, s) => model.forwardBase(ids, b, s), windows, {
    batch: 32,
    onProgress: (done, total) => progress.push(done / total),
  });
  const float = await measureLoss(localLora(model, adapter.modules), windows, { batch: 32 });
  await model.close();
  expect(base).toMatchObject({ predictions: 24_510, tokens: 24_768 });
  expect(progress).toHaveLength(9);
  expect(progress.at(-1)).toBe(1);
  expect(Math.abs(base.loss - oracle.losses!.base.wholeFile)).toBeLessThan(1e-3);
  expect(Math.abs(float.loss - oracle.losses!.adapted.wholeFile)).toBeLessThan(1e-3);
});

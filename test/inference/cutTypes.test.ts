import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { encodeModel } from '../../src/inference/onnx.js';
import { openStageRunner } from '../../src/inference/stageRunner.js';
import { floats, graph, intAttribute, model, node } from './builder.js';
import { temporaryFolder } from './fixtures.js';

const DOUBLE = 11;

it('refuses a module in float64 by name', async () => {
  const main = model(
    graph({
      initializers: [floats('e', [5, 4]), floats('w', [4, 4])],
      nodes: [
        node('Gather', '', ['e', 'ids'], ['x']),
        node('Cast', '', ['x'], ['xd'], [intAttribute('to', DOUBLE)]),
        node('Cast', '', ['w'], ['wd'], [intAttribute('to', DOUBLE)]),
        node('MatMul', '/fc/MatMul', ['xd', 'wd'], ['y']),
        node('Cast', '', ['y'], ['logits'], [intAttribute('to', 1)]),
      ],
    }),
  );
  const path = join(await temporaryFolder(), 'model.onnx');
  await writeFile(path, encodeModel(main));
  await expect(openStageRunner(path, [{ name: 'fc', inFeatures: 4, outFeatures: 4 }])).rejects.toMatchObject({
    code: 'BASE_MODEL_MISMATCH',
    message: expect.stringContaining('"y" computes neither in float32 nor in float16'),
  });
});

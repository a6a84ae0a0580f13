import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bytesToHex, sha256, utf8ToBytes } from '../../src/bytes.js';
import { openEnsemble, parseEnsembleFile, routerLogits, sampleEnsemble } from '../../src/ensemble/index.js';
import { MAX_ENSEMBLE_BYTES } from '../../src/ensemble/limits.js';
import { TensorProto_DataType } from '../../src/inference/gen/onnx_pb.js';
import { encodeModel } from '../../src/inference/onnx.js';
import { floats, graph, model, node, value } from '../inference/builder.js';
import { temporaryFolder } from '../inference/fixtures.js';
import { modelFolder, openBundled } from './support.js';

const { FLOAT } = TensorProto_DataType;

const error = (code: string, message = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });
const bundledFile = async () =>
  JSON.parse(await readFile(join(modelFolder('image'), 'ensemble.json'), 'utf8'));

/** Sets a member by its path. */
function changed(whole: unknown, path: string, to: unknown): unknown {
  const [head, ...rest] = path.split('.');
  const copy = Array.isArray(whole) ? [...whole] : { ...(whole as object) };
  const at = copy as Record<string, unknown>;
  at[head!] = rest.length === 0 ? to : changed(at[head!], rest.join('.'), to);
  return copy;
}

describe('parseEnsembleFile', () => {
  it('takes the bundled ones', async () => {
    expect(parseEnsembleFile(utf8ToBytes(JSON.stringify(await bundledFile()))).experts).toHaveLength(8);
  });

  it.each([
    ['format', 'zklora/ensemble/v2'],
    ['name', 'two\nlines'],
    ['modality', 'text'],
    ['sampleShape', [1, 8]],
    ['sampleShape', [1, 8, 0]],
    ['sampleShape', [2 ** 11, 2 ** 11, 2]],
    ['sampleShape', [1, 8, 1.5]],
    ['classes', 0],
    ['classes', 2 ** 17],
    ['experts', []],
    ['experts', Array.from({ length: 1025 }, () => null)],
    ['experts.0.file', '../expert_0/model.onnx'],
    ['experts.0.file', 'a/../../model.onnx'],
    ['experts.0.file', '/etc/passwd'],
    ['experts.0.file', 'C:\\model.onnx'],
    ['experts.0.file', 'a//b.onnx'],
    ['experts.0.sha256', 'AB'.repeat(32)],
    ['experts.0.objective', 'autoregressive'],
    ['experts.0.schedule', null],
    ['experts.1.schedule', { offset: 0, span: 1 }],
    ['experts.0.schedule', { offset: 0.5, span: 0.6 }],
    ['experts.0.schedule', { offset: 0, span: 0 }],
    ['router', null],
    ['centroids', { file: 'c.f32' }],
    ['more', 1],
  ])('refuses %s = %j', async (path, to) => {
    const bytes = utf8ToBytes(JSON.stringify(changed(await bundledFile(), path, to)));
    expect(() => parseEnsembleFile(bytes)).toThrow(error('ENSEMBLE_MALFORMED'));
  });

  it('refuses what is no strict JSON or too large', () => {
    for (const text of ['', '{', '[]', 'null', '{"format":1,"format":2}']) {
      expect(() => parseEnsembleFile(utf8ToBytes(text))).toThrow(error('ENSEMBLE_MALFORMED'));
    }
    expect(() => parseEnsembleFile(new Uint8Array(MAX_ENSEMBLE_BYTES + 1))).toThrow(
      error('ENSEMBLE_MALFORMED'),
    );
  });
});

/** A copy of the video ensemble, the smaller one. */
async function copied(): Promise<string> {
  const folder = join(await temporaryFolder(), 'model');
  await cp(modelFolder('video'), folder, { recursive: true });
  return folder;
}

/** Writes a file and its digest into ensemble.json. */
async function replaceRouter(folder: string, bytes: Uint8Array): Promise<void> {
  await writeFile(join(folder, 'router/model.onnx'), bytes);
  const path = join(folder, 'ensemble.json');
  const description = JSON.parse(await readFile(path, 'utf8'));
  description.router.sha256 = bytesToHex(sha256(bytes));
  await writeFile(path, JSON.stringify(description));
}

/** A router of x [batch, 8, 12, 12] and t [batch] whose logits are one number everywhere, `[batch, experts]`. */
function constantRouter(constant: number, experts: number): Uint8Array {
  const main = graph({
    nodes: [
      node('Flatten', '/flat', ['x'], ['flat']),
      node('MatMul', '/nothing', ['flat', 'zeros'], ['nothing']),
      node('ReduceSum', '/sum', ['t'], ['sum']),
      node('Mul', '/still', ['sum', 'zero'], ['still']),
      node('Add', '/both', ['nothing', 'still'], ['both']),
      node('Add', '/out', ['both', 'constant'], ['out']),
    ],
    initializers: [
      floats('zeros', [1152, experts], new Float32Array(1152 * experts)),
      floats('zero', [1], Float32Array.of(0)),
      floats('constant', [1], Float32Array.of(constant)),
    ],
    outputs: [],
  });
  main.input = [value('x', FLOAT, ['batch', 8, 12, 12]), value('t', FLOAT, ['batch'])];
  main.output = [value('out', FLOAT, ['batch', experts])];
  return encodeModel(model(main));
}

describe('openEnsemble', () => {
  it('refuses swapped experts, a replaced router and other centroids', async () => {
    const folder = await copied();
    const [first, second] = [0, 1].map((expert) => join(folder, `expert_${expert}/model.onnx`));
    const bytes = await readFile(first!);
    await writeFile(first!, await readFile(second!));
    await expect(openEnsemble(folder)).rejects.toEqual(error('ENSEMBLE_MISMATCH', /expert 0 .* replaced/));
    await writeFile(first!, bytes);
    const router = join(folder, 'router/model.onnx');
    const original = await readFile(router);
    await writeFile(router, bytes);
    await expect(openEnsemble(folder)).rejects.toEqual(error('ENSEMBLE_MISMATCH', /the router .* replaced/));
    await writeFile(router, original);
    await writeFile(join(folder, 'centroids.f32'), new Uint8Array(4));
    await expect(openEnsemble(folder)).rejects.toEqual(error('ENSEMBLE_MISMATCH', /centroids/));
  });

  it('refuses missing files and adapters on experts that are not there', async () => {
    const folder = await copied();
    for (const expert of [3, -1, 0.5]) {
      await expect(openEnsemble(folder, new Map([[expert, []]]))).rejects.toEqual(
        error('USAGE', /experts 0 to 2/),
      );
    }
    await rm(join(folder, 'expert_2/model.onnx'));
    await expect(openEnsemble(folder)).rejects.toEqual(error('FILE_NOT_FOUND'));
    await rm(join(folder, 'ensemble.json'));
    await expect(openEnsemble(folder)).rejects.toEqual(error('FILE_NOT_FOUND'));
  });

  it('refuses a router with other inputs, and one that is no model', async () => {
    const folder = await copied();
    await replaceRouter(folder, await readFile('fixtures/ensemble/video/judge/model.onnx'));
    await expect(openEnsemble(folder)).rejects.toEqual(error('ENSEMBLE_MISMATCH', /other inputs/));
    await replaceRouter(folder, Uint8Array.of(1, 2, 3));
    await expect(openEnsemble(folder)).rejects.toEqual(error('ONNX_MALFORMED'));
  });
});

describe('sampleEnsemble', () => {
  const sampling = { labels: null, guidance: 1, steps: 1, top: 1 };

  it('refuses options that do not fit the ensemble', async () => {
    const ensemble = await openBundled('image');
    const noise = new Float32Array(64);
    const good = { ...sampling, labels: [0] };
    const bad = [
      { ...good, labels: null },
      { ...good, labels: [11] },
      { ...good, labels: [0, 1] },
      { ...good, labels: [0.5] },
      { ...good, steps: 0 },
      { ...good, steps: 1001 },
      { ...good, top: 0 },
      { ...good, top: 9 },
      { ...good, guidance: Number.NaN },
      { ...good, guidance: -1 },
    ];
    for (const options of bad) {
      await expect(sampleEnsemble(ensemble, noise, options)).rejects.toEqual(error('USAGE'));
    }
    for (const length of [0, 65]) {
      await expect(sampleEnsemble(ensemble, new Float32Array(length), good)).rejects.toEqual(error('USAGE'));
    }
    const noisy = { x: new Float32Array(63), rows: 1, t: 0.5, labels: [0] };
    await expect(routerLogits(ensemble, noisy)).rejects.toEqual(error('USAGE'));
  });

  it('refuses a router that answers NaN or for another number of experts', async () => {
    for (const [constant, experts] of [
      [Number.NaN, 3],
      [0, 2],
    ] as const) {
      const folder = await copied();
      await replaceRouter(folder, constantRouter(constant, experts));
      const ensemble = await openEnsemble(folder);
      try {
        const attempt = sampleEnsemble(ensemble, new Float32Array(1152), sampling);
        await expect(attempt).rejects.toEqual(error('ENSEMBLE_MISMATCH', /the router gives/));
      } finally {
        await ensemble.close();
      }
    }
  });
});

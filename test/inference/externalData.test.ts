import { createHash } from 'node:crypto';
import {
  appendFile,
  chmod,
  copyFile,
  link,
  mkdir,
  readFile,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { clearField, create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { canonicalJson, labelledSha256 } from '../../src/bytes.js';
import { baseModelDigest } from '../../src/checkpoint/baseModelDigest.js';
import { INLINE_BYTES, openExternalData } from '../../src/inference/externalData.js';
import { idFeed } from '../../src/inference/feeds.js';
import {
  TensorProto_DataLocation as DataLocation,
  TensorProtoSchema,
} from '../../src/inference/gen/onnx_pb.js';
import { encodeModel, type Model } from '../../src/inference/onnx.js';
import { openStageRunner } from '../../src/inference/stageRunner.js';
import { floats, graph, model, node } from './builder.js';
import { constantDeltas, maxDifference, temporaryFolder } from './fixtures.js';

const WIDE = 160;
const MODULES = [
  { name: 'fc', inFeatures: WIDE, outFeatures: WIDE },
  { name: 'head', inFeatures: WIDE, outFeatures: 7 },
];
const IDS = BigInt64Array.of(1n, 2n, 3n, 4n);

/** One weight above {@link INLINE_BYTES}, others below. */
function embedded(): Model {
  return model(
    graph({
      initializers: [floats('e', [5, WIDE]), floats('w', [WIDE, WIDE]), floats('h', [WIDE, 7])],
      nodes: [
        node('Gather', '/e/Gather', ['e', 'ids'], ['x']),
        node('MatMul', '/fc/MatMul', ['x', 'w'], ['y']),
        node('Tanh', '/Tanh', ['y'], ['z']),
        node('MatMul', '/head/MatMul', ['z', 'h'], ['logits']),
      ],
    }),
  );
}

/** Moves all weights of a model into `location`, and describes each as `change` says. */
function moved(
  location: string,
  change: (entries: [string, string][]) => [string, string][] = (entries) => entries,
  main = embedded(),
) {
  const data = Buffer.concat(main.graph.initializer.map(({ rawData }) => rawData));
  let offset = 0;
  for (const tensor of main.graph.initializer) {
    const length = tensor.rawData.length;
    tensor.externalData = change([
      ['location', location],
      ['offset', String(offset)],
      ['length', String(length)],
    ]).map(([key, value]) => ({ $typeName: 'onnx.StringStringEntryProto' as const, key, value }));
    tensor.dataLocation = DataLocation.EXTERNAL;
    clearField(tensor, TensorProtoSchema.field.rawData);
    offset += length;
  }
  return { main, data };
}

async function write({ main, data }: ReturnType<typeof moved>) {
  const dir = await temporaryFolder();
  await writeFile(join(dir, 'model.onnx'), encodeModel(main));
  await writeFile(join(dir, 'weights.bin'), data);
  return dir;
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

async function logits(path: string, value: number): Promise<Float32Array> {
  const runner = await openStageRunner(path, MODULES);
  const answer = constantDeltas(runner.info, MODULES, value);
  let step = await runner.start([idFeed('ids', IDS, 2, 2)]);
  while (step.kind === 'ask') step = await runner.resume(await answer(step.stage, step.inputs));
  await runner.close();
  return step.output.values;
}

describe('external data', () => {
  it('gives the answers of the same model in one file, from a folder that nobody may write', async () => {
    const dir = await write(moved('weights.bin'));
    const whole = join(dir, 'whole.onnx');
    await writeFile(whole, encodeModel(embedded()));
    await chmod(dir, 0o555);
    for (const value of [0, 0.5]) {
      const [outside, inside] = [await logits(join(dir, 'model.onnx'), value), await logits(whole, value)];
      expect(maxDifference(outside, inside)).toBeLessThan(1e-6);
    }
    const runner = await openStageRunner(join(dir, 'model.onnx'), MODULES);
    const base = await runner.base([idFeed('ids', IDS, 2, 2)]);
    expect(maxDifference(base.values, await logits(whole, 0))).toBeLessThan(1e-6);
    expect(base.dims).toEqual([2, 2, 7]);
    await runner.close();
    await chmod(dir, 0o755);
  });

  it('reads a data file in a folder below, and one that is a hard link', async () => {
    const made = moved('./data/weights.bin');
    const dir = await temporaryFolder();
    await mkdir(join(dir, 'data'));
    await writeFile(join(dir, 'store'), made.data);
    await link(join(dir, 'store'), join(dir, 'data/weights.bin'));
    await writeFile(join(dir, 'model.onnx'), encodeModel(made.main));
    await logits(join(dir, 'model.onnx'), 0);
  });

  it('keeps only large weights outside the model, and binds every byte of the data files', async () => {
    const dir = await write(moved('weights.bin'));
    const { main, data } = moved('weights.bin');
    const external = (await openExternalData(main, join(dir, 'model.onnx'), 'ab'.repeat(32)))!;
    expect(main.graph.initializer.map(({ externalData }) => externalData.length > 0)).toEqual([
      false,
      true,
      false,
    ]);
    expect(4 * WIDE * WIDE).toBeGreaterThan(INLINE_BYTES);
    const described = { model: 'ab'.repeat(32), data: [{ file: 'weights.bin', sha256: sha256(data) }] };
    const digest = Buffer.from(labelledSha256('zklora/onnx-external/v1', canonicalJson(described)));
    expect(external.digest).toBe(digest.toString('hex'));
    await external.checkUnchanged();
    await appendFile(join(dir, 'weights.bin'), 'x');
    await expect(external.checkUnchanged()).rejects.toMatchObject({ code: 'BASE_MODEL_MISMATCH' });
    await external.close();
  });

  it('ends a pass when a data file changed while the model was in use, and every later one', async () => {
    const dir = await write(moved('weights.bin'));
    const path = join(dir, 'weights.bin');
    const runner = await openStageRunner(join(dir, 'model.onnx'), MODULES);
    const feed = [idFeed('ids', IDS, 2, 2)];
    const answer = constantDeltas(runner.info, MODULES, 0.5);
    await runner.base(feed);
    let step = await runner.start(feed);
    const bytes = await readFile(path);
    await writeFile(path, Buffer.from(bytes).fill(1, bytes.length - 4));
    const rest = async () => {
      while (step.kind === 'ask') step = await runner.resume(await answer(step.stage, step.inputs));
    };
    await expect(rest()).rejects.toMatchObject({ code: 'BASE_MODEL_MISMATCH' });
    // the same bytes again: what was computed meanwhile is not known
    await writeFile(path, bytes);
    await expect(runner.base(feed)).rejects.toMatchObject({ code: 'BASE_MODEL_MISMATCH' });
    await runner.close();
  });

  it('does not take a range that was cut off for the one before', async () => {
    const main = embedded();
    // two blocks of equal bytes each
    const weights = [floats('v', [512, 1024]), floats('u', [512, 1024])];
    for (const weight of weights) weight.rawData = new Uint8Array(weight.rawData.length).fill(1);
    main.graph.initializer.push(...weights);
    const made = moved('weights.bin', undefined, main);
    const dir = await write(made);
    const path = join(dir, 'weights.bin');
    const external = (await openExternalData(made.main, join(dir, 'model.onnx'), 'ab'.repeat(32)))!;
    expect(external.sameData(weights[0]!, weights[1]!)).toBe(true);
    await truncate(path, made.data.length - 4);
    expect(external.sameData(weights[0]!, weights[1]!)).toBe(false);
    await external.close();
  });

  it('refuses data of the same size whose time of modification was set back', async () => {
    const dir = await write(moved('weights.bin'));
    const path = join(dir, 'weights.bin');
    const at = new Date(1_600_000_000_000);
    await utimes(path, at, at);
    const { main, data } = moved('weights.bin');
    const external = (await openExternalData(main, join(dir, 'model.onnx'), 'ab'.repeat(32)))!;
    await writeFile(path, Buffer.from(data).fill(1));
    await utimes(path, at, at);
    await expect(external.checkUnchanged()).rejects.toMatchObject({ code: 'BASE_MODEL_MISMATCH' });
    await external.close();
  });

  it('changes the digest of the base model with one byte of the data file', async () => {
    const made = moved('weights.bin');
    const digests = [];
    for (const flip of [0, 1]) {
      const data = Buffer.from(made.data);
      data[0]! ^= flip;
      const dir = await write({ main: made.main, data });
      const runner = await openStageRunner(join(dir, 'model.onnx'), []);
      digests.push(runner.info.digest);
      expect(await baseModelDigest(join(dir, 'model.onnx'))).toBe(runner.info.digest);
      await runner.close();
      expect(runner.info.digest).not.toBe(sha256(await readFile(join(dir, 'model.onnx'))));
    }
    expect(digests[0]).not.toBe(digests[1]);
  });

  it('leaves the digest of a model in one file what it was', async () => {
    const path = join(await temporaryFolder(), 'model.onnx');
    await writeFile(path, encodeModel(embedded()));
    expect(await baseModelDigest(path)).toBe(sha256(await readFile(path)));
  });

  it('knows a module that runs twice by weights at two places of a data file', async () => {
    const main = embedded();
    main.graph.initializer.push(create(TensorProtoSchema, { ...main.graph.initializer[1]!, name: 'copy' }));
    main.graph.node[2] = node('MatMul', '/fc_1/MatMul', ['y', 'copy'], ['z']);
    const dir = await write(moved('weights.bin', undefined, main));
    await expect(openStageRunner(join(dir, 'model.onnx'), MODULES)).rejects.toMatchObject({
      code: 'BASE_MODEL_MISMATCH',
      message: expect.stringContaining('more than once'),
    });
  });

  it.each([
    ['/etc/passwd', 'CHECKPOINT_MALFORMED'],
    ['../weights.bin', 'CHECKPOINT_MALFORMED'],
    ['a/../../weights.bin', 'CHECKPOINT_MALFORMED'],
    ['..\\weights.bin', 'CHECKPOINT_MALFORMED'],
    ['C:weights.bin', 'CHECKPOINT_MALFORMED'],
    ['weights.bin\0', 'CHECKPOINT_MALFORMED'],
    ['', 'CHECKPOINT_MALFORMED'],
    ['.', 'CHECKPOINT_MALFORMED'],
    ['link.bin', 'CHECKPOINT_MALFORMED'],
    ['linked/weights.bin', 'CHECKPOINT_MALFORMED'],
    ['*/_ORT_MEM_ADDR_/*', 'ONNX_MALFORMED'],
    ['missing.bin', 'FILE_NOT_FOUND'],
    ['folder', 'FILE_UNREADABLE'],
  ])('refuses the location %j', async (location, code) => {
    const dir = await write(moved(location));
    await symlink(join(dir, 'weights.bin'), join(dir, 'link.bin'));
    await symlink(dir, join(dir, 'linked'));
    await mkdir(join(dir, 'folder'));
    // what onnxruntime would take for an address in its memory, as a file that is there
    await mkdir(join(dir, '*/_ORT_MEM_ADDR_'), { recursive: true });
    await copyFile(join(dir, 'weights.bin'), join(dir, '*/_ORT_MEM_ADDR_/*'));
    await expect(openStageRunner(join(dir, 'model.onnx'), MODULES)).rejects.toMatchObject({ code });
  });

  it.each<[string, (entries: [string, string][]) => [string, string][]]>([
    ['no location', (entries) => entries.slice(1)],
    ['an entry twice', (entries) => [...entries, ['offset', '0']]],
    ['a negative offset', ([place, , length]) => [place!, ['offset', '-8'], length!]],
    ['an offset beyond the end', ([place, , length]) => [place!, ['offset', '10000000'], length!]],
    ['an offset in hex', ([place, , length]) => [place!, ['offset', '0x10'], length!]],
    ['another length', ([place, offset]) => [place!, offset!, ['length', '16']]],
  ])('refuses %s', async (_, change) => {
    const dir = await write(moved('weights.bin', change));
    await expect(openStageRunner(join(dir, 'model.onnx'), MODULES)).rejects.toMatchObject({
      code: 'ONNX_MALFORMED',
    });
  });

  it('refuses a data file too large to hash, before reading it', async () => {
    const dir = await write(moved('weights.bin'));
    await truncate(join(dir, 'weights.bin'), 2 ** 41 + 1);
    await expect(openStageRunner(join(dir, 'model.onnx'), MODULES)).rejects.toMatchObject({
      code: 'ONNX_MALFORMED',
      message: expect.stringContaining('pass 2199023255552 bytes'),
    });
  });

  it('refuses weights that are both inside and outside, or say external without a place', async () => {
    for (const change of [
      (main: Model) => {
        main.graph.initializer[1]!.rawData = new Uint8Array(4 * WIDE * WIDE);
      },
      (main: Model) => {
        main.graph.initializer[1]!.externalData = [];
      },
      (main: Model) => {
        main.graph.initializer[1]!.dataType = 8; // strings
      },
    ]) {
      const made = moved('weights.bin');
      change(made.main);
      const dir = await write(made);
      await expect(openStageRunner(join(dir, 'model.onnx'), MODULES)).rejects.toMatchObject({
        code: 'ONNX_MALFORMED',
      });
    }
  });
});

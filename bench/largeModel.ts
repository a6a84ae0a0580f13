/**
 * Memory and time of a base model with more than 2 GB of external data: `npm run bench:large-model`.
 *
 * The model is made for the run: square layers that are the identity, in one sparse data file, and a small head. What
 * comes out is known, so the run also checks the split. Two processes: one opens the model and runs it, this one asks for
 * its peak of resident memory.
 */
import { fork } from 'node:child_process';
import { mkdir, open, rm, stat, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  ModelProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from '../src/inference/gen/onnx_pb.js';
import { openStageRunner, type StepResult } from '../src/inference/stageRunner.js';
import { CACHE, writeResult } from './results.js';

const WIDTH = 4096;
const LAYERS = 36;
const VOCABULARY = 32;
const TOKENS = 16;
/** Layers with a delta. */
const ADAPTED = [0, 9, 18, 27, 35];
const LAYER_BYTES = 4 * WIDTH * WIDTH;
const FOLDER = join(CACHE, 'large-model');
const DATA = 'weights.bin';

interface Measured {
  readonly openSeconds: number;
  readonly baseSeconds: number;
  readonly passSeconds: number;
  /** Largest error of a logit: the model is the identity before its head. */
  readonly error: number;
  /** Of the whole process, in bytes. */
  readonly peakResident: number;
  readonly digest: string;
}

function layerName(layer: number): string {
  return `layers.${layer}.fc`;
}

/** Row of the embedding for a token: a few values that float32 holds exactly. */
function embedding(token: number): Float32Array {
  return Float32Array.from({ length: WIDTH }, (_, i) => ((i * 7 + token * 13) % 64) / 64 - 0.5);
}

function head(): Float32Array {
  return Float32Array.from({ length: WIDTH * VOCABULARY }, (_, i) => ((i * 11) % 32) / 1024);
}

function stored(name: string, dims: number[], values: Float32Array): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: DataType.FLOAT,
    rawData: new Uint8Array(values.buffer),
  });
}

function external(layer: number): TensorProto {
  const entries = { location: DATA, offset: String(layer * LAYER_BYTES), length: String(LAYER_BYTES) };
  return create(TensorProtoSchema, {
    name: `w${layer}`,
    dims: [BigInt(WIDTH), BigInt(WIDTH)],
    dataType: DataType.FLOAT,
    dataLocation: DataLocation.EXTERNAL,
    externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
  });
}

function model(): Uint8Array {
  const rows = new Float32Array(VOCABULARY * WIDTH);
  for (let token = 0; token < VOCABULARY; token += 1) rows.set(embedding(token), token * WIDTH);
  const layers = Array.from({ length: LAYERS }, (_, layer) => layer);
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: '', version: 17n }],
      graph: {
        name: 'large',
        initializer: [
          stored('embedding', [VOCABULARY, WIDTH], rows),
          stored('head', [WIDTH, VOCABULARY], head()),
          ...layers.map(external),
        ],
        node: [
          { opType: 'Gather', name: '/embed/Gather', input: ['embedding', 'input_ids'], output: ['x0'] },
          ...layers.map((layer) => ({
            opType: 'MatMul',
            name: `/layers.${layer}/fc/MatMul`,
            input: [`x${layer}`, `w${layer}`],
            output: [`x${layer + 1}`],
          })),
          { opType: 'MatMul', name: '/head/MatMul', input: [`x${LAYERS}`, 'head'], output: ['logits'] },
        ],
        input: [described('input_ids', DataType.INT64, ['batch', 'seq'])],
        output: [described('logits', DataType.FLOAT, ['batch', 'seq', 'vocabulary'])],
      },
    }),
  );
}

function described(name: string, elemType: DataType, axes: string[]) {
  const dim = axes.map((axis) => ({ value: { case: 'dimParam' as const, value: axis } }));
  return { name, type: { value: { case: 'tensorType' as const, value: { elemType, shape: { dim } } } } };
}

/** Identity matrices, one number written in each row; the rest of the file are holes. */
async function writeData(): Promise<void> {
  const file = await open(join(FOLDER, DATA), 'w');
  try {
    await file.truncate(LAYERS * LAYER_BYTES);
    const one = Buffer.from(new Float32Array([1]).buffer);
    for (let layer = 0; layer < LAYERS; layer += 1) {
      for (let row = 0; row < WIDTH; row += 1) {
        await file.write(one, 0, 4, layer * LAYER_BYTES + 4 * row * (WIDTH + 1));
      }
    }
  } finally {
    await file.close();
  }
}

async function measure(): Promise<Measured> {
  const modules = ADAPTED.map((layer) => ({ name: layerName(layer), inFeatures: WIDTH, outFeatures: WIDTH }));
  const ids = BigInt64Array.from({ length: TOKENS }, (_, i) => BigInt((i * 5) % VOCABULARY));
  const feeds = [{ name: 'input_ids', data: ids, dims: [1, TOKENS] }];
  const seconds = clock();
  const runner = await openStageRunner(join(FOLDER, 'model.onnx'), modules);
  const openSeconds = seconds();
  const base = await runner.base(feeds);
  const baseSeconds = seconds();
  let step: StepResult = await runner.start(feeds);
  while (step.kind === 'ask') {
    const deltas = new Map<number, Float32Array>();
    for (const { input, tokens } of step.inputs) {
      for (const module of runner.info.inputs[input]!) deltas.set(module, new Float32Array(tokens * WIDTH));
    }
    step = await runner.resume(deltas);
  }
  const passSeconds = seconds();
  const { digest } = runner.info;
  await runner.close();
  const peakResident = process.resourceUsage().maxRSS * 1024;
  const errors = [base.values, step.output.values].map((values) => largestError(values, ids));
  return { openSeconds, baseSeconds, passSeconds, error: Math.max(...errors), peakResident, digest };
}

function clock(): () => number {
  let since = performance.now();
  return () => {
    const seconds = (performance.now() - since) / 1e3;
    since += seconds * 1e3;
    return seconds;
  };
}

function largestError(values: Float32Array, ids: BigInt64Array): number {
  const weights = head();
  let largest = values.length === TOKENS * VOCABULARY ? 0 : Number.POSITIVE_INFINITY;
  for (const [token, id] of ids.entries()) {
    const row = embedding(Number(id));
    for (let word = 0; word < VOCABULARY; word += 1) {
      let sum = 0;
      for (let i = 0; i < WIDTH; i += 1) sum += row[i]! * weights[i * VOCABULARY + word]!;
      largest = Math.max(largest, Math.abs(sum - values[token * VOCABULARY + word]!));
    }
  }
  return largest;
}

async function main(): Promise<void> {
  await mkdir(FOLDER, { recursive: true });
  await writeFile(join(FOLDER, 'model.onnx'), model());
  await writeData();
  const { size, blocks } = await stat(join(FOLDER, DATA));
  const child = fork(fileURLToPath(import.meta.url), ['measure']);
  const measured = await new Promise<Measured>((resolve, reject) => {
    child.once('message', (message) => resolve(message as Measured));
    child.once('exit', (code) => reject(new Error(`the measuring process ended with ${code}`)));
  });
  await rm(FOLDER, { recursive: true });
  const result = {
    command: 'npm run bench:large-model',
    date: new Date().toISOString().slice(0, 10),
    machine: { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, node: process.version },
    model: { layers: LAYERS, width: WIDTH, dataBytes: size, dataBytesOnDisk: blocks * 512, tokens: TOKENS },
    adaptedModules: ADAPTED.length,
    ...measured,
    peakOverData: measured.peakResident / size,
  };
  await writeResult('large-model', result);
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
}

if (process.argv[2] === 'measure') process.send!(await measure());
else await main();

/** Parts of a remote pass, each alone on the data of one call. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { create, fromBinary } from '@bufbuild/protobuf';
import {
  type AdapterCommitment,
  applyExact,
  type QuantizedModule,
  scaleDelta,
} from '../../src/adapter/index.js';
import { bytesToHex } from '../../src/bytes.js';
import { AnsweredJournal, requestDigest } from '../../src/inference/answeredJournal.js';
import { ApplyRequestSchema, ApplyResponseSchema } from '../../src/inference/gen/zklora_pb.js';
import {
  type BaseModel,
  createSessionRecord,
  generateKeyPair,
  type SessionWriter,
} from '../../src/inference/index.js';
import { messageBytes } from '../../src/inference/messageBytes.js';
import { int64Within, toBytes } from '../../src/littleEndian.js';
import { type SessionCall, type SessionHeader, sessionModules } from '../../src/protocol/session.js';
import { SessionTree } from '../../src/protocol/sessionTree.js';
import type { RecordedCall } from './recorded.js';
import { median } from './stats.js';

const REPEATS = 25;

/** One part of a pass. */
export interface Part {
  readonly name: string;
  /** Who does it. */
  readonly side: 'user' | 'contributor' | 'both';
  /** Median of a whole call, all stages; of one side. */
  readonly ms: number;
}

export interface PartsOptions {
  readonly model: BaseModel;
  readonly commitment: AdapterCommitment;
  readonly modules: readonly QuantizedModule[];
  readonly call: RecordedCall;
  readonly folder: string;
}

/** Times each part of one call. */
export async function measureParts(options: PartsOptions): Promise<Part[]> {
  const { model, commitment, modules, call, folder } = options;
  const { tokens, stages } = call;
  const outputsOf = (input: number) => model.inputs[input]!;
  const answers = new Map<number, BigInt64Array>();
  const multiply = () => {
    for (const { input, rows } of stages.flat()) {
      for (const module of outputsOf(input))
        answers.set(module, applyExact(modules[module]!, rows.x, tokens));
    }
  };
  const sessionId = new Uint8Array(16);
  const questions = () =>
    stages.map((inputs, stage) =>
      create(ApplyRequestSchema, {
        sessionId,
        call: 0,
        stage,
        tokens,
        inputs: inputs.map(({ input, rows }) => ({
          input,
          rows: toBytes(rows.x),
          exponents: toBytes(rows.exponents),
        })),
      }),
    );
  multiply();
  const replies = () =>
    stages.map((inputs, stage) =>
      create(ApplyResponseSchema, {
        call: 0,
        stage,
        deltas: inputs
          .flatMap(({ input }) => outputsOf(input))
          .sort((a, b) => a - b)
          .map((module) => ({ module, values: toBytes(answers.get(module)!) })),
      }),
    );
  const questionBytes = questions().map((message) => messageBytes(ApplyRequestSchema, message));
  const replyBytes = replies().map((message) => messageBytes(ApplyResponseSchema, message));

  const header = headerOf(commitment, model);
  const whole: SessionCall = {
    tokens,
    inputs: model.inputs.map((_, i) => stages.flat().find(({ input }) => input === i)!.rows),
    outputs: model.inputs
      .flat()
      .sort((a, b) => a - b)
      .map((module) => answers.get(module)!),
  };
  const seed = new Uint8Array(32);
  const tree = new SessionTree({ header, seed }, modules);
  const recordDir = join(folder, 'parts');
  await mkdir(recordDir);
  const record = await createSessionRecord(join(recordDir, 'record'), { header, seed }, modules);
  const journal = AnsweredJournal.begin(recordDir, header);
  let noted = 0;

  return [
    await part('encode the questions', 'user', () => {
      for (const message of questions()) messageBytes(ApplyRequestSchema, message);
    }),
    await part('decode and digest the questions', 'contributor', () => {
      for (const bytes of questionBytes) requestDigest(fromBinary(ApplyRequestSchema, bytes));
    }),
    await part('X A^T B^T over the integers', 'contributor', multiply),
    await part('encode the answers', 'contributor', () => {
      for (const message of replies()) messageBytes(ApplyResponseSchema, message);
    }),
    await part('decode the answers', 'user', () => {
      for (const bytes of replyBytes) {
        for (const { module, values } of fromBinary(ApplyResponseSchema, bytes).deltas) {
          int64Within(values, values.length / 8, `module ${module}`);
        }
      }
    }),
    await part('scale the deltas', 'user', () => {
      for (const { input, rows } of stages.flat()) {
        for (const module of outputsOf(input))
          scaleDelta(answers.get(module)!, rows.exponents, modules[module]!);
      }
    }),
    await part('note each stage on disk', 'contributor', async () => {
      for (const [stage, inputs] of stages.entries()) {
        const request = requestDigest(questions()[stage]!);
        const asked = inputs.map(({ input }) => input);
        await journal.append({ call: noted, stage, tokens, inputs: asked, request });
      }
      await journal.rest();
      noted += 1;
    }),
    await part('record the call on disk', 'both', () => recordCall(record, whole)),
    await part('hash the rows', 'both', () => {
      tree.add(whole);
    }),
  ];
}

/** Records a call part by part, as both sides do. */
async function recordCall(record: SessionWriter, { tokens, inputs, outputs }: SessionCall): Promise<void> {
  const call = record.begin(tokens);
  for (const [input, rows] of inputs.entries()) call.input(input, rows);
  for (const [i, module] of sessionModules(record.header).entries()) {
    const { buffer, byteOffset, length } = outputs[i]!;
    // an array of its own, whose digest is not known yet
    call.output(module, new BigInt64Array(buffer, byteOffset, length));
  }
  await call.finish();
}

async function part(name: string, side: Part['side'], work: () => unknown): Promise<Part> {
  const ms: number[] = [];
  for (let i = 0; i < REPEATS; i++) {
    const started = performance.now();
    await work();
    ms.push(performance.now() - started);
  }
  return { name, side, ms: median(ms) };
}

function headerOf({ contributorKey }: AdapterCommitment, { inputs }: BaseModel): SessionHeader {
  return {
    format: 'zklora/session/v1',
    adapterId: '00'.repeat(32),
    contributorKey,
    userKey: bytesToHex(generateKeyPair().publicKey),
    nonce: '00'.repeat(32),
    inputs,
  };
}

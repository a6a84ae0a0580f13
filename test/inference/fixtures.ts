import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type FloatAdapter, readPeftAdapter } from '../../src/adapter/peft.js';
import type { ApplyStage } from '../../src/inference/graphModel.js';
import type { BaseModelInfo } from '../../src/inference/stageRunner.js';

export type FixtureName = 'gpt2-tiny' | 'llama-tiny';

/** A small model with torch's answers. */
export interface Fixture {
  readonly modelPath: string;
  readonly adapter: FloatAdapter;
  readonly batch: number;
  readonly sequence: number;
  readonly ids: BigInt64Array;
  readonly baseLogits: Float32Array;
  readonly adaptedLogits: Float32Array;
  readonly oracle: {
    readonly model: { readonly targets: Record<string, string> };
    readonly losses?: { readonly base: FixtureLoss; readonly adapted: FixtureLoss };
    readonly inputs: Record<string, { sha256: string }>;
  };
}

interface FixtureLoss {
  readonly first8: number;
  readonly wholeFile: number;
}

export async function loadFixture(name: FixtureName): Promise<Fixture> {
  const dir = `fixtures/${name}`;
  const oracle = JSON.parse(await readFile(`${dir}/oracle/oracle.json`, 'utf8'));
  const raw = async (key: string): Promise<ArrayBuffer> =>
    Uint8Array.from(await readFile(`${dir}/oracle/${oracle.tensors[key].file}`)).buffer;
  const [batch, sequence] = oracle.tensors.inputIds.shape;
  return {
    modelPath: `${dir}/base/model.onnx`,
    adapter: await readPeftAdapter(`${dir}/adapter`),
    batch,
    sequence,
    ids: new BigInt64Array(await raw('inputIds')),
    baseLogits: new Float32Array(await raw('baseLogits')),
    adaptedLogits: new Float32Array(await raw('adaptedLogits')),
    oracle,
  };
}

export async function heldOutText(): Promise<Uint8Array> {
  return readFile('fixtures/gpt2-tiny/text/heldout.txt');
}

export function maxDifference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let max = 0;
  for (let i = 0; i < a.length; i += 1) max = Math.max(max, Math.abs(a[i]! - b[i]!));
  return max;
}

/** Answers every stage with the same number everywhere. */
export function constantDeltas(
  info: BaseModelInfo,
  modules: readonly { outFeatures: number }[],
  value: number,
): ApplyStage {
  return async (_stage, inputs) =>
    new Map(
      inputs.flatMap(({ input, tokens }) =>
        info.inputs[input]!.map((module) => [
          module,
          new Float32Array(tokens * modules[module]!.outFeatures).fill(value),
        ]),
      ),
    );
}

/** A folder that is removed after the test. */
export async function temporaryFolder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'zklora-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

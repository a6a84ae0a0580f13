/** What the leakage bench runs on: the small GPT-2 and its adapter, in this process. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type FloatModule,
  type QuantizedModule,
  quantizeModule,
  readPeftAdapter,
} from '../../src/adapter/index.js';
import {
  type ApplyStage,
  type AskedRows,
  type BaseModel,
  byteWindows,
  LeakageMeter,
  openBaseModel,
  type Windows,
} from '../../src/inference/index.js';
import { scorePass } from '../../src/inference/loss.js';
import { ROOT } from '../results.js';
import { localIntegers, quantizeStage } from '../service/recorded.js';

/** Tokens of one window: what `evaluate` takes by itself. */
export const SEQUENCE = 96;

export interface LeakageFixture {
  readonly model: BaseModel;
  readonly floats: readonly FloatModule[];
  readonly modules: readonly QuantizedModule[];
  readonly windows: Windows;
}

/** @param count windows of the held-out text */
export async function openFixture(count: number): Promise<LeakageFixture> {
  const folder = join(ROOT, 'fixtures/gpt2-tiny');
  const { modules: floats } = await readPeftAdapter(join(folder, 'adapter'));
  const model = await openBaseModel(join(folder, 'base/model.onnx'), floats);
  const text = await readFile(join(folder, 'text/heldout.txt'));
  const windows = byteWindows(new Uint8Array(text), SEQUENCE, count);
  return { model, floats, modules: floats.map(quantizeModule), windows };
}

/** Tokens of one window. */
export function idsOf({ windows }: LeakageFixture, window: number): BigInt64Array {
  return windows.ids.slice(window * SEQUENCE, (window + 1) * SEQUENCE);
}

/** Rows that a window asks of every input. */
export async function rowsOf(fixture: LeakageFixture, window: number): Promise<AskedRows[]> {
  const { model, modules } = fixture;
  const answer = localIntegers(model, modules);
  const asked: AskedRows[] = [];
  await model.forward(idsOf(fixture, window), 1, SEQUENCE, async (stage, inputs) => {
    for (const { input, rows } of quantizeStage(model, modules, inputs)) {
      asked.push({ modules: model.inputs[input]!, tokens: SEQUENCE, x: rows.x });
    }
    return answer(stage, inputs);
  });
  return asked;
}

/** The first rows of each input. */
export function firstRows(asked: readonly AskedRows[], tokens: number): AskedRows[] {
  return asked.map((part) => ({
    ...part,
    tokens,
    x: part.x.slice(0, (part.x.length / part.tokens) * tokens),
  }));
}

/** A meter that has seen these rows. */
export async function metered(
  { modules }: LeakageFixture,
  calls: readonly (readonly AskedRows[])[],
): Promise<LeakageMeter> {
  const meter = new LeakageMeter(modules);
  for (const asked of calls) await meter.add('user', asked);
  return meter;
}

/** Losses of the last 1, 2, ... predictions of a window, summed: `[SEQUENCE]`, 0 at index 0, in nats. */
export async function suffixLosses(
  fixture: LeakageFixture,
  window: number,
  answer: ApplyStage | undefined,
): Promise<Float64Array> {
  const { model } = fixture;
  const ids = idsOf(fixture, window);
  const logits =
    answer === undefined
      ? await model.forwardBase(ids.slice(), 1, SEQUENCE)
      : await model.forward(ids.slice(), 1, SEQUENCE, answer);
  return Float64Array.from({ length: SEQUENCE }, (_, last) => {
    const scored = Uint32Array.of(last);
    return scorePass(logits, { ids, count: 1, sequence: SEQUENCE, scored }, { first: 0, size: 1 })[0]!;
  });
}

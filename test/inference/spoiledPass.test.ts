import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { FloatModule } from '../../src/adapter/peft.js';
import { evaluateSet } from '../../src/inference/evaluate.js';
import { encodeModel } from '../../src/inference/onnx.js';
import { checkClosing, openSessionRecord } from '../../src/inference/record.js';
import type { Windows } from '../../src/inference/windows.js';
import { floats, graph, model, node } from './builder.js';
import { temporaryFolder } from './fixtures.js';
import { at, inflated, type Part, partiesOf } from './setParties.js';

const WIDTH = 4;
const VOCABULARY = 5;
const WINDOWS: Windows = {
  ids: BigInt64Array.of(1n, 2n, 3n, 4n, 0n, 2n, 1n, 4n),
  count: 2,
  sequence: 4,
  scored: Uint32Array.of(3, 3),
};

/** Adds 2^exponent times about one to a module's output. */
function module(name: string, exponent: number, outFeatures = WIDTH): FloatModule {
  const ones = (length: number) => new Float32Array(length).fill(1);
  const shape = { name, rank: 1, inFeatures: WIDTH, outFeatures };
  return { ...shape, a: ones(WIDTH), b: ones(outFeatures), scaling: 2 ** exponent };
}
const head = module('head', -6, VOCABULARY);

/** A model without norms: what `fc` gives enters `head` to the fourth power; `mid` sees it as it is. */
async function unbounded(): Promise<string> {
  const path = join(await temporaryFolder(), 'model.onnx');
  const main = graph({
    initializers: [
      floats('e', [VOCABULARY, WIDTH]),
      ...['w', 'v'].map((name) => floats(name, [WIDTH, WIDTH])),
      floats('h', [WIDTH, VOCABULARY]),
    ],
    nodes: [
      node('Gather', '/e/Gather', ['e', 'ids'], ['x']),
      node('MatMul', '/fc/MatMul', ['x', 'w'], ['y']),
      node('MatMul', '/mid/MatMul', ['y', 'v'], ['m']),
      node('Mul', '/Mul', ['y', 'y'], ['y2']),
      node('Mul', '/Mul_1', ['y2', 'y2'], ['y4']),
      node('Add', '/Add', ['y4', 'm'], ['z']),
      node('MatMul', '/head/MatMul', ['z', 'h'], ['logits']),
    ],
  });
  await writeFile(path, encodeModel(model(main)));
  return path;
}

async function evaluate(parts: readonly Part[]) {
  const { model, members, dir } = await partiesOf(await unbounded(), parts);
  const run = {
    model,
    members,
    dir: join(dir, 'user'),
    windows: WINDOWS,
    batch: 1,
    onFailure: 'drop',
  } as const;
  return { members, evaluation: evaluateSet(run) };
}

describe('numbers that leave all bounds', () => {
  it("are nobody's in particular when several contributors are asked; the message says how large the deltas of each were", async () => {
    const { evaluation } = await evaluate([
      { name: 'bob', modules: [head] },
      { name: 'alice', modules: [module('fc', 40)] },
      { name: 'carl', modules: [module('mid', -6)], weight: -0.5 },
    ]);
    await expect(evaluation).rejects.toMatchObject({
      code: 'BASE_MODEL_MISMATCH',
      message: expect.stringMatching(
        /activations pass all bounds .* may be any of them\. .*: alice \d\.\de\+1\d, carl \d\.\de\+\d+, bob 0\.0\. Evaluate again/,
      ),
    });
  });

  it('are those of the only contributor', async () => {
    const { evaluation } = await evaluate([{ name: 'alice', modules: [module('fc', 40)] }]);
    await expect(evaluation).rejects.toMatchObject({
      code: 'BASE_MODEL_MISMATCH',
      message: expect.stringMatching(/^the model gives logits that are not finite .* adapter's deltas/),
    });
  });

  it('do not end the evaluation when they came from one that failed in the same pass', async () => {
    const { members, evaluation } = await evaluate([
      { name: 'bob', modules: [head] },
      { name: 'carl', modules: [module('fc', 40), module('mid', 0)], tamper: at(0, 1, inflated) },
    ]);
    const { members: reports } = await evaluation;
    expect(reports).toMatchObject([
      { name: 'bob', measured: true, failure: null, calls: 3 },
      { name: 'carl', measured: false, failure: { code: 'SESSION_MALFORMED' } },
    ]);
    const record = await openSessionRecord(members[0]!.dir);
    await checkClosing(record, members[0]!.commitment.modules);
    // what the model gave in that pass was beyond all bounds
    expect((await record.readCall(0)).inputs[0]!.x.every((value) => value === 0)).toBe(true);
  });

  it('name the last one that is left', async () => {
    const { evaluation } = await evaluate([
      { name: 'alice', modules: [module('fc', 40), head] },
      { name: 'carl', modules: [module('mid', 0)], tamper: at(0, 0, inflated) },
    ]);
    await expect(evaluation).rejects.toMatchObject({
      code: 'BASE_MODEL_MISMATCH',
      message: expect.stringMatching(/^contributor alice: the model's activations/),
    });
  });
});

describe('an adapter whose deltas could pass float32', () => {
  it.each([
    [60, 1],
    [40, 2 ** 20],
    [40, -(2 ** 20)],
  ])('is refused before anybody is asked: 2^%i, weight %i', async (exponent, weight) => {
    const parties = await partiesOf(await unbounded(), [
      { name: 'bob', modules: [head] },
      { name: 'alice', modules: [module('fc', exponent)], weight },
    ]);
    const { model, members, dir } = parties;
    await expect(
      evaluateSet({ model, members, dir: join(dir, 'user'), windows: WINDOWS, batch: 1 }),
    ).rejects.toMatchObject({
      code: 'ADAPTER_OVERFLOW',
      message: expect.stringMatching(/^contributor alice: deltas of module fc /),
    });
    expect(parties.served.flatMap(({ events }) => events)).toEqual([]);
  });
});

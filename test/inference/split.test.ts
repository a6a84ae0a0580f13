import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { idFeed, type ModelFeed } from '../../src/inference/feeds.js';
import { decodeModel, encodeModel, type Model } from '../../src/inference/onnx.js';
import { planSplit } from '../../src/inference/split.js';
import { type ModelOutput, openStageRunner, type StageRunner } from '../../src/inference/stageRunner.js';
import { floats, graph, model, node, toyModel, toyModules, VOCABULARY, WIDTH } from './builder.js';
import { constantDeltas, type Fixture, loadFixture, maxDifference, temporaryFolder } from './fixtures.js';

function feeds(runner: StageRunner, ids: BigInt64Array, batch: number, sequence: number): ModelFeed[] {
  return [idFeed(runner.info.feeds[0]!, ids, batch, sequence)];
}

async function run(
  runner: StageRunner,
  answer: ReturnType<typeof constantDeltas>,
  ids: BigInt64Array,
  batch: number,
) {
  let step = await runner.start(feeds(runner, ids, batch, ids.length / batch));
  while (step.kind === 'ask') step = await runner.resume(await answer(step.stage, step.inputs));
  return step.output;
}

async function openToy(main: Model, names: string[]) {
  const path = join(await temporaryFolder(), 'model.onnx');
  await writeFile(path, encodeModel(main));
  return { path, modules: toyModules(names), runner: await openStageRunner(path, toyModules(names)) };
}

const IDS = BigInt64Array.from({ length: 10 }, (_, i) => BigInt((7 * i) % VOCABULARY));

describe.each(['gpt2-tiny', 'llama-tiny'] as const)('%s', (name) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await loadFixture(name);
  });

  it('is cut where the exporter put the modules', async () => {
    const plan = planSplit(decodeModel(await readFile(fixture.modelPath)), fixture.adapter.modules);
    const layers = name === 'gpt2-tiny' ? 4 : 2;
    const perLayer = name === 'gpt2-tiny' ? 4 : 1;
    expect(plan.stages).toHaveLength(layers * perLayer + 1);
    expect(plan.targets.map(({ node: index }) => plan.graph.nodes[index]!.proto.name).sort()).toEqual(
      Object.values(fixture.oracle.model.targets).sort(),
    );
    // q and v read one tensor and share a session input.
    const inputs =
      name === 'gpt2-tiny'
        ? Array.from({ length: 16 }, (_, i) => [i])
        : [
            [0, 1],
            [2, 3],
          ];
    expect(plan.inputs).toEqual(inputs);
    expect(plan.stageInputs).toEqual([...inputs.keys()].map((i) => [i]).concat([[]]));
  });

  it('equals the uncut model with deltas of zero', async () => {
    const { modelPath, adapter, ids, batch, sequence, baseLogits, oracle } = fixture;
    const runner = await openStageRunner(modelPath, adapter.modules);
    const split = await run(runner, constantDeltas(runner.info, adapter.modules, 0), ids, batch);
    const whole = await runner.base(feeds(runner, ids, batch, sequence));
    await runner.close();
    expect(runner.info.digest).toBe(oracle.inputs['../base/model.onnx']!.sha256);
    expect(maxDifference(split.values, whole.values)).toBeLessThan(1e-5);
    expect(maxDifference(whole.values, baseLogits)).toBeLessThan(1e-4);
  });

  it('gives other logits with deltas that are not zero', async () => {
    const { modelPath, adapter, ids, batch, baseLogits } = fixture;
    const runner = await openStageRunner(modelPath, adapter.modules);
    const split = await run(runner, constantDeltas(runner.info, adapter.modules, 0.5), ids, batch);
    await runner.close();
    expect(maxDifference(split.values, baseLogits)).toBeGreaterThan(1e-2);
  });
});

describe('planSplit', () => {
  it('puts modules that can be asked at once into one stage', () => {
    const plan = planSplit(toyModel(), toyModules(['proj', 'attn.v', 'attn.q', 'head']));
    expect(plan.targets.map(({ stage }) => stage)).toEqual([1, 0, 0, 2]);
    expect(plan.inputs).toEqual([[0], [1, 2], [3]]);
    expect(plan.stageInputs).toEqual([[1], [0], [2], []]);
    expect(plan.stages.map(({ nodes }) => nodes.map(({ opType }) => opType))).toEqual([
      // The shared weight's Identity is repeated where it is needed; k has no target and waits for none.
      ['Identity', 'Gather', 'MatMul', 'MatMul', 'MatMul'],
      ['Add', 'Add', 'Mul', 'Add', 'MatMul', 'Add'],
      ['Add', 'If', 'MatMul'],
      ['Add'],
    ]);
  });

  it('passes values that only a subgraph reads across the cut', () => {
    const plan = planSplit(toyModel(), toyModules(['proj']));
    expect(plan.stages[1]!.inputs).toEqual(expect.arrayContaining(['mixed', '/proj/Add_output__base']));
    expect(plan.stages[0]!.outputs).toEqual(expect.arrayContaining(['mixed', '/proj/Add_output__base']));
  });

  it('chooses free names', () => {
    const main = graph({
      initializers: [floats('w', [WIDTH, WIDTH])],
      nodes: [
        node('Cast', '', ['ids'], ['y__base']),
        node('MatMul', '/fc/MatMul', ['y__base', 'w'], ['y']),
        node('Neg', '', ['y'], ['y__delta']),
        node('Neg', '', ['y__delta'], ['logits']),
      ],
    });
    const plan = planSplit(model(main), [{ name: 'fc', inFeatures: WIDTH, outFeatures: WIDTH }]);
    expect(plan.targets[0]).toMatchObject({ base: 'y__base_', delta: 'y__delta_' });
  });

  it('releases a value after its last reader', () => {
    const plan = planSplit(toyModel(), toyModules(['attn.q', 'proj', 'head']));
    const held = new Set(plan.graph.inputs);
    for (const stage of plan.stages) {
      for (const name of stage.inputs.filter((input) => !input.endsWith('__delta')))
        expect(held).toContain(name);
      for (const name of stage.outputs) held.add(name);
      for (const name of stage.release) expect(held.delete(name)).toBe(true);
    }
    expect([...held]).toEqual(['logits']);
  });
});

describe('openStageRunner', () => {
  it('runs any subset of modules to the same logits, and deltas act like changed biases', async () => {
    const all = ['attn.q', 'attn.k', 'attn.v', 'proj', 'head'];
    const { path, runner: reference } = await openToy(toyModel(), all);
    const whole = await reference.base(feeds(reference, IDS, 2, 5));
    const biased = toyModel();
    const bias = biased.graph.initializer.find(({ name }) => name === 'bp')!;
    bias.rawData = new Uint8Array(new Float32Array(bias.rawData.slice().buffer).map((x) => x + 0.25).buffer);
    const { runner: changed } = await openToy(biased, []);
    const moved = await changed.base(feeds(changed, IDS, 2, 5));
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(all), async (names) => {
        const modules = toyModules(names);
        const runner = await openStageRunner(path, modules);
        const zero = constantDeltas(runner.info, modules, 0);
        expect(maxDifference((await run(runner, zero, IDS, 2)).values, whole.values)).toBeLessThan(1e-6);
        const proj = names.indexOf('proj');
        const shifted: ModelOutput = await run(
          runner,
          async (stage, inputs) => {
            const deltas = await zero(stage, inputs);
            deltas.get(proj)?.fill(0.25);
            return deltas;
          },
          IDS,
          2,
        );
        const expected = proj < 0 ? whole : moved;
        expect(maxDifference(shifted.values, expected.values)).toBeLessThan(1e-6);
        await runner.close();
      }),
      { numRuns: 25, seed: 1 },
    );
    await reference.close();
    await changed.close();
  });

  it('hands out the activations that the module reads', async () => {
    const { runner } = await openToy(toyModel(), ['attn.q', 'attn.v']);
    const step = await runner.start(feeds(runner, IDS, 2, 5));
    const embedding = new Float32Array(toyModel().graph.initializer[0]!.rawData.slice().buffer);
    const rows = [...IDS].flatMap((id) => [
      ...embedding.subarray(Number(id) * WIDTH, (Number(id) + 1) * WIDTH),
    ]);
    expect(step).toEqual({
      kind: 'ask',
      stage: 0,
      inputs: [{ input: 0, tokens: 10, values: Float32Array.from(rows) }],
    });
    await runner.close();
  });

  const error = (code: string, message: RegExp) =>
    expect.objectContaining({ code, message: expect.stringMatching(message) });

  it('refuses deltas that are missing or of another size, then goes on', async () => {
    const { runner, modules } = await openToy(toyModel(), ['proj']);
    await runner.start(feeds(runner, IDS, 2, 5));
    await expect(runner.resume(new Map())).rejects.toEqual(error('STATEMENT_INVALID', /whole delta/));
    await runner.start(feeds(runner, IDS, 2, 5));
    await expect(runner.resume(new Map([[0, new Float32Array(3)]]))).rejects.toEqual(
      error('STATEMENT_INVALID', /whole/),
    );
    await expect(runner.resume(new Map())).rejects.toEqual(error('INTERNAL', /under way/));
    await run(runner, constantDeltas(runner.info, modules, 0), IDS, 2);
    await runner.close();
  });

  it('refuses token ids that do not fit', async () => {
    const { runner } = await openToy(toyModel(), ['proj']);
    expect(() => feeds(runner, IDS, 3, 5)).toThrow(error('USAGE', /3 x 5 token ids, got 10/));
    expect(() => feeds(runner, IDS, 0, 5)).toThrow(error('USAGE', /positive/));
    await expect(runner.base([])).rejects.toEqual(error('BASE_MODEL_MISMATCH', /takes the 1 inputs/));
    await expect(runner.base(feeds(runner, BigInt64Array.of(99n), 1, 1))).rejects.toEqual(
      error('BASE_MODEL_MISMATCH', /vocabulary/),
    );
    await runner.close();
  });

  it('refuses a graph that the runtime refuses', async () => {
    const main = toyModel();
    main.graph.node[0]!.opType = 'NoSuchOperator';
    await expect(openToy(main, ['proj'])).rejects.toEqual(error('ONNX_MALFORMED', /runtime refuses/));
  });

  it('takes the logits among several outputs, and refuses outputs without them', async () => {
    const main = toyModel();
    main.graph.output.push(...graph({ nodes: [], outputs: ['mixed'] }).output);
    const { runner } = await openToy(main, ['proj']);
    const { dims } = await runner.base(feeds(runner, IDS, 2, 5));
    expect(dims).toEqual([2, 5, VOCABULARY]);
    await runner.close();
    main.graph.output.shift();
    main.graph.output.push(...graph({ nodes: [], outputs: ['q'] }).output);
    await expect(openToy(main, ['proj'])).rejects.toEqual(
      error('BASE_MODEL_MISMATCH', /1 inputs and 2 outputs/),
    );
  });

  it('refuses a file that is missing, and one that changed while in use', async () => {
    await expect(openStageRunner('/nowhere/model.onnx', [])).rejects.toEqual(
      error('FILE_NOT_FOUND', /check the path/),
    );
    const { runner, path } = await openToy(toyModel(), ['proj']);
    await writeFile(path, 'something else');
    await expect(runner.base(feeds(runner, IDS, 2, 5))).rejects.toEqual(
      error('BASE_MODEL_MISMATCH', /changed/),
    );
    await runner.close();
  });
});

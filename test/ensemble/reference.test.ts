import { describe, expect, it } from 'vitest';
import { readPeftAdapter } from '../../src/adapter/index.js';
import { expertClean, openJudge, routerLogits, sampleEnsemble } from '../../src/ensemble/index.js';
import { floatDelta } from '../../src/inference/index.js';
import { maxDifference } from '../inference/fixtures.js';
import { ADAPTED, loadOracle, openBundled, type TaskName } from './support.js';

/** float32 sums in another order, over up to nine evaluations of models with values of a few units. */
const TOLERANCE = 2e-3;
const ONE_PASS = 1e-4;

describe.each<TaskName>(['image', 'video'])('%s ensemble against torch', (task) => {
  it('gives the answers of every expert, of the router and of the judge', async () => {
    const ensemble = await openBundled(task);
    const oracle = await loadOracle(task);
    const [x, outputs, predictions, logits] = await Promise.all(
      ['x', 'outputs', 'predictions', 'routerLogits'].map(oracle.tensor),
    );
    const values = x!.length / oracle.t.length;
    const experts = ensemble.experts.length;
    for (const [row, t] of oracle.t.entries()) {
      const labels = oracle.y && [oracle.y[row]!];
      const noisy = { x: x!.subarray(row * values, (row + 1) * values), rows: 1, t, labels };
      const own = logits!.subarray(row * experts, (row + 1) * experts);
      expect(maxDifference(await routerLogits(ensemble, noisy), own)).toBeLessThan(ONE_PASS);
      for (const [expert, model] of ensemble.experts.entries()) {
        const at = (expert * oracle.t.length + row) * values;
        const { values: answer } = await model.forwardBase([
          { name: 'x', data: noisy.x.slice(), dims: [1, ...ensemble.description.sampleShape] },
          { name: 't', data: Float32Array.of(t), dims: [1] },
          ...(labels ? [{ name: 'y', data: BigInt64Array.of(BigInt(labels[0]!)), dims: [1] }] : []),
        ]);
        expect(maxDifference(answer, outputs!.subarray(at, at + values))).toBeLessThan(ONE_PASS);
        const clean = await expertClean(ensemble, expert, noisy, oracle.guidance ?? 1);
        expect(maxDifference(clean, predictions!.subarray(at, at + values))).toBeLessThan(TOLERANCE);
      }
    }
  });

  it.each(['base', 'adapted'] as const)('follows the %s trajectory', async (kind) => {
    const ensemble = await openBundled(task);
    const oracle = await loadOracle(task);
    const adapters = new Map(
      kind === 'base'
        ? []
        : await Promise.all(
            ADAPTED[task].map(async (expert) => {
              const { modules } = await readPeftAdapter(
                `fixtures/ensemble/${task}/adapters/expert_${expert}`,
              );
              return [expert, modules] as const;
            }),
          ),
    );
    let last: Float32Array | undefined;
    const steps: number[] = [];
    const { samples, trace } = await sampleEnsemble(
      ensemble,
      await oracle.tensor('x'),
      {
        labels: oracle.y,
        guidance: oracle.guidance ?? 1,
        steps: oracle.steps,
        top: oracle.trajectories[kind].top,
      },
      {
        onEstimate: (step, estimate) => {
          steps.push(step);
          last = estimate;
        },
        deltas: (expert) => {
          const modules = adapters.get(expert);
          return (
            modules &&
            (async (_stage, inputs) =>
              new Map(
                inputs.flatMap(({ input, tokens, values }) =>
                  ensemble.experts[expert]!.inputs[input]!.map((module) => [
                    module,
                    floatDelta(modules[module]!, values, tokens),
                  ]),
                ),
              ))
          );
        },
      },
    );
    const weights = await oracle.tensor(`${kind}Weights`);
    const experts = ensemble.experts.length;
    const count = oracle.t.length;
    const routed = new Float32Array(weights.length);
    for (const { step, calls } of trace) {
      for (const call of calls) {
        for (const [i, row] of call.rows.entries()) {
          routed[(step * count + row) * experts + call.expert] = call.weights[i]!;
        }
      }
    }
    expect(maxDifference(routed, weights)).toBeLessThan(TOLERANCE);
    expect(maxDifference(samples, await oracle.tensor(`${kind}Final`))).toBeLessThan(TOLERANCE);
    expect(steps).toEqual(trace.map(({ step }) => step));
    expect(steps).toHaveLength(oracle.steps + 1);
    expect(last).toEqual(samples);
  });

  it('judges frames as torch does', async () => {
    const ensemble = await openBundled(task);
    const oracle = await loadOracle(task);
    const logits = await oracle.tensor('judgeLogits');
    const [, rows, columns] = ensemble.description.sampleShape;
    const x = await oracle.tensor('x');
    const count = oracle.t.length;
    const frames = new Float32Array(count * rows * columns);
    for (let i = 0; i < count; i += 1) {
      const at = i * (x.length / count);
      frames.set(x.subarray(at, at + rows * columns), i * rows * columns);
    }
    const winners = Array.from({ length: count }, (_, i) => {
      const own = logits.subarray(10 * i, 10 * i + 10);
      return own.indexOf(Math.max(...own));
    });
    const judge = await openJudge(`fixtures/ensemble/${task}/judge/model.onnx`);
    try {
      const judged = await judge.judge(frames, count, winners);
      expect(judged.asked).toBe(1);
      expect(judged.classes.reduce((a, b) => a + b, 0)).toBe(count);
      const shares = winners.map((winner, i) => {
        const own = [...logits.subarray(10 * i, 10 * i + 10)];
        return 1 / own.reduce((sum, logit) => sum + Math.exp(logit - own[winner]!), 0);
      });
      expect(judged.confidence).toBeCloseTo(shares.reduce((a, b) => a + b, 0) / count, 4);
    } finally {
      await judge.close();
    }
  });
});

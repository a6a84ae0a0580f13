import { describe, expect, it } from 'vitest';
import { leastSquares, type Matrix, relativeError, truncateRank } from '../../../bench/leakage/attack.js';
import { recordCalls } from '../../../bench/service/recorded.js';
import { applyExact } from '../../../src/adapter/forward.js';
import { quantizeModule } from '../../../src/adapter/quantize.js';
import type { QuantizedModule } from '../../../src/adapter/types.js';
import { openBaseModel } from '../../../src/inference/baseModel.js';
import { LeakageMeter } from '../../../src/inference/leakage/meter.js';
import { loadFixture } from '../fixtures.js';
import { randomNumbers, randomRows } from '../parties.js';
import { deltaWeights, randomAdapter, rows, unit } from './adapters.js';

/** Exact answers, as the wire carries them. */
function answer(module: QuantizedModule, x: Int16Array): BigInt64Array {
  return applyExact(module, x, x.length / module.inFeatures);
}

function split(values: Int16Array | BigInt64Array, width: number): Float64Array[] {
  return Array.from({ length: values.length / width }, (_, t) =>
    Float64Array.from(values.subarray(t * width, (t + 1) * width), Number),
  );
}

/** What an attacker has after these rows: least squares, then the rank that is public. */
function steal(module: QuantizedModule, x: Int16Array): Matrix {
  const { inFeatures, outFeatures, rank } = module;
  const found = leastSquares(split(x, inFeatures), split(answer(module, x), outFeatures));
  const truncated = truncateRank(found, rank);
  // Every answer is in the column space of B already: the rank takes nothing off and adds nothing.
  expect(relativeError(truncated, found)).toBeLessThan(1e-9);
  return truncated;
}

async function meterOf(module: QuantizedModule, x: Int16Array) {
  const meter = new LeakageMeter([module]);
  await meter.add('attacker', [{ modules: [0], tokens: x.length / module.inFeatures, x }]);
  return meter.revealed(0, 'attacker');
}

describe('least squares with rank truncation', () => {
  it('recovers from random rows what the meter says', async () => {
    for (const [seed, shape] of [
      [1, { inFeatures: 24, outFeatures: 30, rank: 4 }],
      [2, { inFeatures: 40, outFeatures: 16, rank: 8 }],
    ] as const) {
      const module = randomAdapter(seed, shape);
      const whole = deltaWeights(module);
      const { inFeatures } = shape;
      for (const tokens of [1, 2, 4, 8, 16, inFeatures - 1, inFeatures, inFeatures + 5]) {
        const x = randomRows(tokens, inFeatures, seed).x;
        const { measured } = await meterOf(module, x);
        expect(1 - relativeError(steal(module, x), whole)).toBeCloseTo(measured, 8);
        if (tokens >= inFeatures) expect(measured).toBe(1);
      }
    }
  });

  it('recovers from a real model what the meter says, module by module', async () => {
    const { modelPath, adapter, ids, sequence } = await loadFixture('gpt2-tiny');
    const modules = adapter.modules.map(quantizeModule);
    const model = await openBaseModel(modelPath, adapter.modules);
    try {
      const [call] = await recordCalls(model, modules, [ids.slice(0, sequence)]);
      const asked = call!.stages.flat();
      for (const tokens of [8, 48]) {
        const meter = new LeakageMeter(modules);
        const parts = asked.map(({ input, rows: { x } }) => {
          const width = x.length / sequence;
          return { modules: model.inputs[input]!, tokens, x: x.slice(0, tokens * width) };
        });
        await meter.add('attacker', parts);
        for (const {
          modules: [index],
          x,
        } of parts.slice(0, 4)) {
          const module = modules[index!]!;
          const { outFeatures, inFeatures } = module;
          const found = leastSquares(split(x, inFeatures), split(answer(module, x), outFeatures));
          const recovered = 1 - relativeError(found, deltaWeights(module));
          expect(recovered).toBeCloseTo(meter.revealed(index!, 'attacker').measured, 6);
        }
      }
    } finally {
      await model.close();
    }
  });

  it('gains nothing by scale or repetition, and all there is by the row space of A', async () => {
    const module = randomAdapter(6, { inFeatures: 30, outFeatures: 20, rank: 3 });
    const whole = deltaWeights(module);
    const row = randomRows(1, 30, 4).x.map((value) => value >> 2);
    const repeated = Int16Array.from([1, 1, 2, -3].flatMap((factor) => [...row].map((v) => v * factor)));
    const known = 1 - relativeError(steal(module, repeated), whole);
    expect((await meterOf(module, repeated)).measured).toBeCloseTo(known, 9);
    expect((await meterOf(module, row)).measured).toBeCloseTo(known, 9);
    const fromRowSpace = steal(module, module.a);
    expect(relativeError(fromRowSpace, whole)).toBeLessThan(1e-12);
    expect((await meterOf(module, module.a)).measured).toBeCloseTo(1, 9);
  });
});

describe('exact integers', () => {
  it('show a column in the difference of two nearly equal rows, and the meter counts it', async () => {
    const module = randomAdapter(7, { inFeatures: 64, outFeatures: 20, rank: 4 });
    const x = randomRows(1, 64, 5).x.map((value) => Math.min(value, 32766));
    const asked = Int16Array.from([...x, ...x.map((value, i) => (i === 9 ? value + 1 : value))]);
    const y = answer(module, asked);
    const column = Array.from({ length: 20 }, (_, out) => Number(y[20 + out]! - y[out]!));
    expect(column).toEqual(deltaWeights(module).map((row) => row[9]!));
    expect((await meterOf(module, asked)).directions).toBe(2);
  });

  it('hold two weights in one row, packed: the count of directions allows for it, the measure does not', async () => {
    const width = 96;
    const module = bellShaped(width);
    // Three rows show the only column of B up to its sign: the greatest common divisor of an answer is A x.
    const first = answer(module, rows(unit(width, 0), unit(width, 1), unit(width, 2)));
    const b = primitive(first.slice(0, module.outFeatures));
    const a = new Float64Array(width);
    const packed = Array.from({ length: width / 2 }, (_, pair) => {
      const row = unit(width, 2 * pair);
      row[2 * pair + 1] = 32767;
      return row;
    });
    const x = rows(...packed);
    const y = answer(module, x);
    for (let pair = 0; pair < width / 2; pair++) {
      const sum = y[pair * module.outFeatures]! / b[0]!;
      const high = Math.round(Number(sum) / 32767);
      a[2 * pair + 1] = high;
      a[2 * pair] = Number(sum) - 32767 * high;
    }
    const stolen = Array.from(b, (factor) => a.map((value) => value * Number(factor)));
    const { measured, directions, packed: bound, counted } = await meterOf(module, x);
    expect(relativeError(stolen, deltaWeights(module))).toBeLessThan(0.05);
    expect(directions).toBe(width / 2);
    expect(measured).toBeLessThan(0.65);
    expect(bound).toBe(1);
    expect(counted).toBe(1);
  });
});

/** Rank 1, with weights that are mostly far below the largest, as trained ones are. */
function bellShaped(width: number): QuantizedModule {
  const next = randomNumbers(11);
  const bell = () => [1, 2, 3, 4, 5, 6].reduce((sum) => sum + next() - 0.5, 0);
  return quantizeModule({
    name: 'm',
    rank: 1,
    inFeatures: width,
    outFeatures: 6,
    a: Float32Array.from({ length: width }, (_, i) => (i === 5 ? 3 : bell())),
    b: Float32Array.from({ length: 6 }, bell),
    scaling: 1,
  });
}

function primitive(values: BigInt64Array): BigInt64Array {
  const gcd = values.reduce((a, b) => {
    let [x, y] = [a < 0n ? -a : a, b < 0n ? -b : b];
    while (y !== 0n) [x, y] = [y, x % y];
    return x;
  }, 0n);
  return values.map((value) => value / gcd);
}

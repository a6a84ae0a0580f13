import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PACKED_WEIGHTS } from '../../../src/inference/leakage/inputSpace.js';
import { type AddChecks, LeakageMeter } from '../../../src/inference/leakage/meter.js';
import { randomRows } from '../parties.js';
import { deltaWeights, plainFraction, randomAdapter, rowOf, rows, unit } from './adapters.js';

const WIDTH = 12;
const MODULE = randomAdapter(1);

async function measuredAt(x: Int16Array, module = MODULE) {
  const meter = new LeakageMeter([module]);
  await meter.add('user', [{ modules: [0], tokens: x.length / module.inFeatures, x }]);
  return meter.revealed(0, 'user');
}

describe('revealed fraction', () => {
  it('is the plain definition on random rows of random adapters', async () => {
    for (const seed of [1, 2, 3, 4]) {
      const module = randomAdapter(seed, { inFeatures: 20, outFeatures: 15, rank: 4 });
      const x = randomRows(19, 20, seed).x;
      const meter = new LeakageMeter([module]);
      const asked: Float64Array[] = [];
      for (let t = 0; t < 19; t++) {
        const row = rowOf(x, 20, t);
        asked.push(Float64Array.from(row));
        await meter.add('user', [{ modules: [0], tokens: 1, x: row }]);
        const { measured, directions } = meter.revealed(0, 'user');
        expect(directions).toBe(t + 1);
        expect(measured).toBeCloseTo(plainFraction(deltaWeights(module), asked), 9);
        expect(meter.revealed(0).measured).toBeCloseTo(measured, 9);
      }
    }
  });

  it('grows to all of it with the last direction, never beyond, and never falls', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 5, maxLength: 5 }), { maxLength: 9 }),
        async (matrix) => {
          const meter = new LeakageMeter([randomAdapter(5, { inFeatures: 5, rank: 2 })]);
          let before = 0;
          for (const row of matrix) {
            await meter.add('user', [{ modules: [0], tokens: 1, x: rows(row) }]);
            const { measured, directions } = meter.revealed(0, 'user');
            expect(measured).toBeGreaterThanOrEqual(before);
            expect(measured).toBeLessThanOrEqual(1);
            if (directions === 5) expect(measured).toBe(1);
            before = measured;
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('is nothing before the first question', () => {
    const meter = new LeakageMeter([MODULE]);
    const none = { tokens: 0, directions: 0, measured: 0, packed: 0, counted: 0 };
    expect(meter.revealed(0)).toEqual(none);
    expect(meter.revealed(0, 'user')).toEqual(none);
  });

  it('is 1 after as many questions as the rank, when they lie in the row space of A', async () => {
    const { measured, directions, packed } = await measuredAt(MODULE.a);
    expect(directions).toBe(3);
    expect(measured).toBeCloseTo(1, 9);
    expect(packed).toBe((PACKED_WEIGHTS * 3) / WIDTH);
  });
});

describe('chosen inputs', () => {
  it('count once, whatever their scale', async () => {
    const row = randomRows(1, WIDTH, 7).x.map((value) => Math.floor(value / 4));
    const scaled = (factor: number) => row.map((value) => value * factor);
    const x = Int16Array.from([row, row, scaled(2), scaled(-3), scaled(3)].flatMap((r) => [...r]));
    expect((await measuredAt(x)).directions).toBe(1);
    expect(
      (await measuredAt(rows(unit(WIDTH, 0), unit(WIDTH, 0, 32767), unit(WIDTH, 0, -5)))).directions,
    ).toBe(1);
  });

  it('count apart where only the sign of -32768 differs', async () => {
    const [r, s] = [
      [-1, -32768, 5],
      [1, -32768, -5],
    ].map((start) => [...start, ...new Array<number>(WIDTH - 3).fill(0)]);
    expect((await measuredAt(rows(r!, s!))).directions).toBe(2);
    expect((await measuredAt(rows(unit(WIDTH, 0, -32768), unit(WIDTH, 0, 1)))).directions).toBe(1);
  });

  it('count as columns when they are unit vectors', async () => {
    const delta = deltaWeights(MODULE);
    const column = (i: number) => delta.reduce((sum, row) => sum + row[i]! ** 2, 0);
    const all = Array.from({ length: WIDTH }, (_, i) => column(i)).reduce((a, b) => a + b);
    const { measured: fraction } = await measuredAt(rows(unit(WIDTH, 3), unit(WIDTH, 8, 700)));
    expect(fraction).toBeCloseTo((column(3) + column(8)) / all, 12);
  });

  it('count with the smallest change: subtraction of exact answers shows it', async () => {
    const large = randomRows(1, WIDTH, 3).x;
    const changed = large.map((value, i) => (i === 5 ? value + 1 : value));
    const both = Int16Array.from([...large, ...changed]);
    const { directions, measured: fraction } = await measuredAt(both);
    expect(directions).toBe(2);
    const asked = [large, changed].map((row) => Float64Array.from(row));
    const apart = [asked[0]!, Float64Array.from(unit(WIDTH, 5))];
    expect(fraction).toBeCloseTo(plainFraction(deltaWeights(MODULE), apart), 6);
  });

  it('count as everything where float64 cannot see the direction and exact arithmetic can', async () => {
    const width = 32;
    const module = randomAdapter(9, { inFeatures: width, rank: 2 });
    // A chain in which each row nearly repeats the one before: the last direction is tiny against all of them.
    const chain = Array.from({ length: 7 }, (_, i) => {
      const row = new Array<number>(width).fill(0);
      row[i] = 32767;
      row[i + 1] = 1;
      return row;
    });
    // (32767, 1), (0, 32767, 1), ...: combined, they come within 32767^-7 of the first axis.
    const x = rows(...chain, unit(width, 0, 32767));
    const { directions, measured: fraction } = await measuredAt(x, module);
    expect(directions).toBe(8);
    expect(fraction).toBe(1);
  });

  it('count as everything where small steps made the directions so far uncertain', async () => {
    const width = 64;
    const module = randomAdapter(1, { inFeatures: width, outFeatures: 40, rank: 1 });
    const dense = randomRows(1, width, 3).x;
    // Each step is 2^-15 of a row along the step before, and makes the error of that step so much larger.
    const step = (i: number) => unit(width, i, 32767).map((value, j) => (j === i + 1 ? 1 : value));
    const steps = [dense, dense.map((value, i) => (i === 0 ? value + 1 : value)), step(0), step(1), step(2)];
    // The row of A, small beside the last step: with the steps it gives all of the module.
    const largest = Math.max(...module.a.map(Math.abs));
    const hidden = Array.from(module.a, (value) => Math.round((value / largest) * 200));
    hidden[3]! += 32000;
    const asked = [...steps.map((row) => [...row]), hidden];
    const { measured: fraction, directions } = await measuredAt(rows(...asked), module);
    expect(directions).toBe(6);
    expect(fraction).toBeGreaterThan(0.9999);
  });

  it('count nothing when they are dependent over the rationals, also nearly', async () => {
    const [p, q] = [randomRows(1, WIDTH, 1).x, randomRows(1, WIDTH, 2).x].map((r) => r.map((v) => v >> 3));
    const sum = p!.map((value, i) => value + q![i]!);
    const mixed = p!.map((value, i) => 2 * value - q![i]!);
    const x = Int16Array.from([...p!, ...q!, ...sum, ...mixed]);
    expect((await measuredAt(x)).directions).toBe(2);
    const { directions, measured: fraction } = await measuredAt(Int16Array.from([...p!, ...q!]));
    expect(directions).toBe(2);
    expect((await measuredAt(x)).measured).toBe(fraction);
    expect((await measuredAt(new Int16Array(3 * WIDTH))).directions).toBe(0);
  });
});

describe('users', () => {
  it('are counted apart and together', async () => {
    const meter = new LeakageMeter([MODULE]);
    const ask = (user: string, ...x: number[][]) =>
      meter.add(user, [{ modules: [0], tokens: x.length, x: rows(...x) }]);
    await ask('a', unit(WIDTH, 0), unit(WIDTH, 1));
    await ask('b', unit(WIDTH, 1), unit(WIDTH, 2));
    const [a, b, all] = [meter.revealed(0, 'a'), meter.revealed(0, 'b'), meter.revealed(0)];
    expect([a.directions, b.directions, all.directions]).toEqual([2, 2, 3]);
    const alone = await measuredAt(rows(unit(WIDTH, 1), unit(WIDTH, 2)));
    expect(b.measured).toBeCloseTo(alone.measured, 12);
    expect(all.measured).toBeCloseTo(
      (await measuredAt(rows(unit(WIDTH, 0), unit(WIDTH, 1), unit(WIDTH, 2)))).measured,
      12,
    );
    expect(all.tokens).toBe(4);
    expect(meter.users).toEqual(['a', 'b']);
  });

  it('are measured by the definition in the coordinates of all', async () => {
    const module = randomAdapter(4, { inFeatures: 20, rank: 4 });
    const meter = new LeakageMeter([module]);
    const asked: Record<string, Float64Array[]> = { a: [], b: [], c: [] };
    const x = randomRows(15, 20, 5).x;
    for (let t = 0; t < 15; t++) {
      const user = 'abc'[t % 3]!;
      const mix = rowOf(x, 20, t);
      asked[user]!.push(Float64Array.from(mix));
      await meter.add(user, [{ modules: [0], tokens: 1, x: mix }]);
    }
    for (const [user, list] of Object.entries(asked)) {
      expect(meter.revealed(0, user).measured).toBeCloseTo(plainFraction(deltaWeights(module), list), 9);
    }
  });
});

describe('modules', () => {
  const three = [1, 2, 3].map((seed) => randomAdapter(seed, { name: `m.${seed}` }));
  const x = randomRows(6, WIDTH, 8).x;

  it('that share an input and those that do not are counted alike', async () => {
    const shared = new LeakageMeter(three);
    await shared.add('u', [{ modules: [0, 1, 2], tokens: 6, x }]);
    const apart = new LeakageMeter(three);
    await apart.add(
      'u',
      [0, 1, 2].map((module) => ({ modules: [module], tokens: 6, x })),
    );
    for (const module of [0, 1, 2]) expect(shared.revealed(module)).toEqual(apart.revealed(module));
    expect(shared.bytes).toBeLessThan(apart.bytes / 2);
  });

  it('that parted are counted when they are asked together again', async () => {
    const meter = new LeakageMeter(three);
    await meter.add('u', [{ modules: [1], tokens: 1, x: x.slice(0, WIDTH) }]);
    await meter.add('v', [{ modules: [0, 1, 2], tokens: 2, x: x.slice(WIDTH, 3 * WIDTH) }]);
    expect([0, 1, 2].map((module) => meter.revealed(module).directions)).toEqual([2, 3, 2]);
  });

  it('part when they are asked apart', async () => {
    const meter = new LeakageMeter(three);
    await meter.add('u', [{ modules: [0, 1, 2], tokens: 2, x: x.slice(0, 2 * WIDTH) }]);
    await meter.add('v', [{ modules: [1], tokens: 1, x: x.slice(2 * WIDTH, 3 * WIDTH) }]);
    await meter.add('u', [{ modules: [0, 2], tokens: 1, x: x.slice(3 * WIDTH, 4 * WIDTH) }]);
    expect([0, 1, 2].map((module) => meter.revealed(module).directions)).toEqual([3, 3, 3]);
    expect([0, 1, 2].map((module) => meter.revealed(module, 'u').directions)).toEqual([3, 2, 3]);
    const delta = deltaWeights(three[1]!);
    const asked = [0, 1, 2].map((t) => Float64Array.from(rowOf(x, WIDTH, t)));
    expect(meter.revealed(1).measured).toBeCloseTo(plainFraction(delta, asked), 9);
    expect(meter.revealed(1, 'v').measured).toBeCloseTo(plainFraction(delta, asked.slice(2)), 9);
  });
});

describe('rows that are refused', () => {
  it('leave the exact comparison as it was', async () => {
    const meter = new LeakageMeter([MODULE]);
    const [p, q, r] = [1, 2, 3].map((seed) => [...randomRows(1, WIDTH, seed).x].map((value) => value >> 3));
    const sum = (a: number[], b: number[]) => a.map((value, i) => value + b[i]!);
    const add = (checks: AddChecks, ...x: number[][]) =>
      meter.add('u', [{ modules: [0], tokens: x.length, x: rows(...x) }], checks);
    await add({}, p!, q!, sum(p!, q!));
    const before = meter.bytes;
    const end = () => {
      throw new Error('enough');
    };
    await expect(add({ end }, r!, sum(p!, r!))).rejects.toThrow('enough');
    expect(meter.bytes).toBe(before);
    await add({}, sum(sum(p!, p!), q!));
    expect(meter.revealed(0, 'u').directions).toBe(2);
    await add({}, r!, sum(q!, r!));
    expect(meter.revealed(0, 'u').directions).toBe(3);
  });

  it('may be refused in their middle, for the memory that they take', async () => {
    const width = 512;
    const meter = new LeakageMeter([randomAdapter(3, { inFeatures: width, rank: 1 })]);
    const { x } = randomRows(150, width, 4);
    const turn = () => {
      if (meter.bytes > 2 ** 19) throw new Error('full');
    };
    await expect(meter.add('u', [{ modules: [0], tokens: 150, x }], { turn })).rejects.toThrow('full');
    expect([meter.bytes, meter.revealed(0).directions]).toEqual([1024, 0]);
  });

  it('take memory for each key, also when they are zeros', async () => {
    const meter = new LeakageMeter([MODULE]);
    const zeros = [{ modules: [0], tokens: 1, x: new Int16Array(WIDTH) }];
    for (let key = 0; key < 9; key++) await meter.add(`key ${key}`, zeros);
    expect(meter.bytes).toBe(10 * 1024);
  });

  it('leave no trace, in any module, user or total', async () => {
    const meter = new LeakageMeter([MODULE, randomAdapter(2)]);
    const x = randomRows(5, WIDTH, 8).x;
    await meter.add('u', [{ modules: [0, 1], tokens: 2, x: x.slice(0, 2 * WIDTH) }]);
    const state = () => [0, 1].flatMap((module) => [meter.revealed(module), meter.revealed(module, 'u')]);
    const before = state();
    const late = (module: number) => {
      if (meter.revealed(module).directions > 4) throw new Error('enough');
    };
    const asked = [
      { modules: [0], tokens: 3, x: x.slice(2 * WIDTH) },
      { modules: [1], tokens: 3, x: x.slice(2 * WIDTH) },
    ];
    await expect(meter.add('u', asked, { row: late })).rejects.toThrow('enough');
    const end = (modules: readonly number[]) => modules.forEach(late);
    await expect(meter.add('new', asked, { end })).rejects.toThrow('enough');
    expect(state()).toEqual(before);
    expect(meter.users).toEqual(['u']);
    // What was taken back is new when it comes again.
    const added = await meter.add('u', asked);
    expect(added.map((part) => part.x.length)).toEqual([3 * WIDTH, 3 * WIDTH]);
    expect(meter.revealed(1).directions).toBe(5);
  });
});

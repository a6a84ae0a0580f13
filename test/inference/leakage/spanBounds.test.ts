import { describe, expect, it } from 'vitest';
import { LeakageMeter } from '../../../src/inference/leakage/meter.js';
import { RowBasis } from '../../../src/inference/leakage/rowBasis.js';
import { randomRows } from '../parties.js';
import { deltaWeights, randomAdapter, rowOf, rows, unit } from './adapters.js';
import { exactDistances, exactFraction, exactRank } from './exact.js';

type Matrix = readonly (readonly number[])[];

function random(count: number, width: number, seed: number): number[][] {
  const { x } = randomRows(count, width, seed);
  return Array.from({ length: count }, (_, t) => [...rowOf(x, width, t)]);
}

/** What attention that looks at all tokens alike makes of rows: each is near the one before. The largest place is 32767. */
function runningMeans(of: Matrix): number[][] {
  const sum = new Array<number>(of[0]!.length).fill(0);
  return of.map((row) => {
    for (const [i, value] of row.entries()) sum[i]! += value;
    const largest = Math.max(...sum.map(Math.abs));
    return sum.map((value) => Math.round((value / largest) * 32767));
  });
}

/** A known row changed by units in a few places, again and again. */
function smallSteps(count: number, width: number, seed: number): number[][] {
  const row = random(1, width, seed)[0]!.map((value) => value >> 1);
  return Array.from({ length: count }, (_, t) => {
    row[(7 * t) % width]! += t % 3 === 0 ? 40 : 1;
    return [...row];
  });
}

/** Rows that have nine tenths of one row. */
function alongOne(count: number, width: number, seed: number): number[][] {
  const [common, ...others] = random(count + 1, width, seed);
  return others.map((row) => row.map((value, i) => Math.round(0.8 * common![i]! + 0.1 * value)));
}

/** 32767 in one place and 1 in the next. */
const link = (width: number, at: number) => unit(width, at, 32767).map((v, i) => (i === at + 1 ? 1 : v));

describe('the bound on the error of a part outside the span', () => {
  it.each<[string, Matrix]>([
    ['random rows', random(40, 48, 1)],
    ['a few hundred running means', runningMeans(random(220, 224, 2))],
    ['running means of rows along one', runningMeans(alongOne(60, 64, 3))],
    ['small steps', smallSteps(12, 40, 3)],
    ['rows along one', alongOne(40, 48, 4)],
    [
      'running means and random rows',
      runningMeans(random(30, 64, 5)).flatMap((row, t) => [row, random(1, 64, 90 + t)[0]!]),
    ],
  ])('holds against exact arithmetic: %s', (_, matrix) => {
    const basis = new RowBasis();
    for (const [t, exact] of exactDistances(matrix).entries()) {
      const found = basis.resolve(Float64Array.from(matrix[t]!));
      expect(Math.abs(found.distance - exact)).toBeLessThanOrEqual(found.error + basis.tilt * exact);
      // and is of use
      expect(found.error).toBeLessThan(2 ** -20 * exact);
      basis.add(found);
    }
    expect(basis.tilt).toBeLessThan(2 ** -20);
  });

  it('is that of the rows before when rows are taken off again, and in a copy', () => {
    const matrix = runningMeans(random(12, 40, 7)).map((row) => Float64Array.from(row));
    const basis = new RowBasis();
    for (const row of matrix.slice(0, 5)) basis.add(basis.resolve(row));
    const { error } = basis.resolve(matrix[11]!);
    const { entries, tilt } = basis;
    const copy = basis.copy();
    for (const row of matrix.slice(5, 10)) basis.add(basis.resolve(row));
    expect(basis.resolve(matrix[11]!).error).not.toBe(error);
    expect(basis.tilt).toBeGreaterThan(tilt);
    basis.truncate(5);
    for (const one of [basis, copy]) {
      expect([one.entries, one.tilt, one.resolve(matrix[11]!).error]).toEqual([entries, tilt, error]);
    }
  });
});

describe('rows that lie close together', () => {
  const WIDTH = 256;
  const module = randomAdapter(5, { inFeatures: WIDTH, outFeatures: 4, rank: 2 });
  const ask = (meter: LeakageMeter, user: string, matrix: Matrix) =>
    meter.add(user, [{ modules: [0], tokens: matrix.length, x: rows(...matrix) }]);

  it('are directions of their own, as many as there are', async () => {
    const meter = new LeakageMeter([module]);
    await ask(meter, 'user', runningMeans(random(160, WIDTH, 6)));
    const { directions, measured } = meter.revealed(0);
    expect([directions, meter.isUnresolved(0)]).toEqual([160, false]);
    expect(measured).toBeGreaterThan(0.4);
    expect(measured).toBeLessThan(0.9);
  });

  /** Three rows each, of one key; the last adds what float64 cannot tell. */
  const crafted: [string, Matrix][] = [
    ['a chain', [link(WIDTH, 0), link(WIDTH, 1), unit(WIDTH, 0, 32767)]],
    [
      'a chain from a dense row',
      [random(1, WIDTH, 8)[0]!, random(1, WIDTH, 8)[0]!.map((v, i) => (i === 3 ? v + 1 : v)), link(WIDTH, 3)],
    ],
    [
      'three places, just above 2^-36',
      [unit(WIDTH, 0, 32767), unit(WIDTH, 0, 32766), unit(WIDTH, 0, 32767)].map((row, t) =>
        row.map((value, i) => (i === 1 ? [32767, 32766, 32765][t]! : i === 2 ? [1, 1, 2][t]! : value)),
      ),
    ],
  ];

  it.each(crafted)('leave the rows of other keys as certain as they were: %s', async (_, poison) => {
    const honest = [...runningMeans(alongOne(40, WIDTH, 9)), ...random(20, WIDTH, 10)];
    const [alone, after] = [new LeakageMeter([module]), new LeakageMeter([module])];
    await ask(alone, 'honest', honest);
    await ask(after, 'other', poison);
    expect(after.isUnresolved(0, 'other')).toBe(after.isUnresolved(0));
    await ask(after, 'honest', honest);
    expect(after.isUnresolved(0, 'honest')).toBe(false);
    const [one, other] = [alone.revealed(0, 'honest'), after.revealed(0, 'honest')];
    expect(other.directions).toBe(one.directions);
    expect(other.measured).toBeCloseTo(one.measured, 6);
  });

  it('have some more room when they come back from the ledger: rounding calls none unresolved that was not', async () => {
    // the error of the third row is a little above what a key may have
    const edge = [
      unit(WIDTH, 0, 32767),
      link(WIDTH, 0),
      unit(WIDTH, 1, 32767).map((v, i) => (i === 2 ? 3 : v)),
    ];
    const kinds = [false, true].map(async (isCounted) => {
      const meter = new LeakageMeter([module]);
      await meter.add('key', [{ modules: [0], tokens: 3, x: rows(...edge) }], { isCounted });
      return meter.isUnresolved(0, 'key');
    });
    expect(await Promise.all(kinds)).toEqual([true, false]);
  });

  it('are refused to their sender, and the rows of others then are measured for all keys, too', async () => {
    const meter = new LeakageMeter([module]);
    const row = () => {
      if (meter.isUnresolved(0)) throw new Error('too close');
    };
    for (const [, poison] of crafted) {
      for (const one of poison) {
        await meter.add('other', [{ modules: [0], tokens: 1, x: rows(one) }], { row }).catch(() => undefined);
      }
    }
    const before = meter.revealed(0).directions;
    expect(before).toBeGreaterThan(4);
    expect(before).toBeLessThan(9);
    const honest = [...runningMeans(alongOne(40, WIDTH, 9)), ...random(20, WIDTH, 10)];
    await meter.add('honest', [{ modules: [0], tokens: 60, x: rows(...honest) }], { row });
    expect(meter.revealed(0).directions).toBe(before + 60);
  });
});

it('a few hundred chosen rows of two keys, each as uncertain as it may be, leave honest rows resolved', async () => {
  const width = 512;
  const wide = randomAdapter(5, { name: 'wide', inFeatures: width });
  const meter = new LeakageMeter([wide]);
  const row = () => {
    if (meter.isUnresolved(0)) throw new Error('too close');
  };
  const dense = random(1, width, 21)[0]!;
  const asked = async (key: string, one: number[]) => {
    const rest = [{ modules: [0], tokens: 1, x: rows(one) }];
    await meter.add(key, rest, { row }).catch(() => undefined);
  };
  await asked('one', dense);
  await asked(
    'one',
    dense.map((value, i) => (i === 0 ? value + 1 : value)),
  );
  // links that make the error of the next axis larger and larger, as far as it is taken
  for (let at = 0; at < 4; at++) {
    for (let weight = 1; weight < 32767; weight *= 2) {
      const before = meter.revealed(0).directions;
      await asked(
        'two',
        unit(width, at, 32767).map((value, i) => (i === at + 1 ? weight : value)),
      );
      if (meter.revealed(0).directions > before) break;
    }
  }
  for (let i = 8; i < 400; i++) {
    await asked(
      'two',
      unit(width, 4, 28000).map((value, j) => (j === i ? 16384 : value)),
    );
  }
  const before = meter.revealed(0).directions;
  await meter.add('honest', [{ modules: [0], tokens: 20, x: rows(...random(20, width, 22)) }], { row });
  expect(meter.revealed(0).directions).toBe(before + 20);
});

describe('chosen integers', () => {
  const WIDTH = 12;
  const module = randomAdapter(2, { inFeatures: WIDTH, outFeatures: 5, rank: 3 });
  const delta = deltaWeights(module).map((row) => [...row]);

  const powers = (bases: readonly number[]) =>
    bases.map((base) => Array.from({ length: WIDTH }, (_, i) => Math.trunc(32767 / base ** i)));
  const families: [string, Matrix][] = [
    ['a chain that comes back', [...Array.from({ length: 6 }, (_, i) => link(WIDTH, i)), unit(WIDTH, 0)]],
    ['powers', powers([1.01, 1.02, 1.03, 1.05, 1.08, 1.13, 1.21, 1.34, 1.55])],
    [
      'as the Hilbert matrix',
      Array.from({ length: 10 }, (_, t) =>
        Array.from({ length: WIDTH }, (_, i) => Math.round(32767 / (1 + t + i))),
      ),
    ],
    [
      'Vandermonde',
      Array.from({ length: 10 }, (_, t) =>
        Array.from({ length: WIDTH }, (_, i) => (i < 4 ? (t + 2) ** i : 0)),
      ),
    ],
    [
      'binomials',
      Array.from({ length: 9 }, (_, t) =>
        Array.from({ length: WIDTH }, (_, i) => binomial(t + i, i) % 32768),
      ),
    ],
    ['steps of a unit', smallSteps(9, WIDTH, 6)],
    [
      'a row that float64 does not see, and one that depends on it',
      [
        [-12650, -21426, 15798, 22394, -6454, 30849, 13693],
        [0, 0, 0, 0, 0, 32767, 1],
        [0, 0, 0, 0, -6454, -2, 0],
        [-12650, -21426, 15798, 22394, -6453, -1918, 13692],
        [-12650, -21426, 15798, 22394, -6453, -32768, 13690],
      ].map((row) => [...row, ...new Array<number>(WIDTH - row.length).fill(0)]),
    ],
  ];

  it.each(families)(
    'have the rank of exact arithmetic, and are measured at no less: %s',
    async (_, matrix) => {
      const [together, apart] = [new LeakageMeter([module]), new LeakageMeter([module])];
      for (const [t, row] of matrix.entries()) {
        await together.add('one', [{ modules: [0], tokens: 1, x: rows(row) }]);
        await apart.add(`key ${t}`, [{ modules: [0], tokens: 1, x: rows(row) }]);
        const asked = matrix.slice(0, t + 1);
        const [rank, fraction] = [exactRank(asked), exactFraction(delta, asked)];
        for (const figures of [together.revealed(0, 'one'), together.revealed(0), apart.revealed(0)]) {
          expect(figures.directions).toBe(rank);
          expect(figures.measured).toBeGreaterThan(fraction - 1e-12);
        }
      }
    },
  );
});

function binomial(n: number, k: number): number {
  return k === 0 ? 1 : (binomial(n - 1, k - 1) * n) / k;
}

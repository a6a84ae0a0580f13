import { describe, expect, it } from 'vitest';
import { LeakageMeter } from '../../../src/inference/leakage/meter.js';
import { RowBasis } from '../../../src/inference/leakage/rowBasis.js';
import { randomRows } from '../parties.js';
import { randomAdapter, rowOf } from './adapters.js';

const WIDTH = 40;

function random(count: number, seed: number, width = WIDTH): number[][] {
  const { x } = randomRows(count, width, seed);
  return Array.from({ length: count }, (_, t) => [...rowOf(x, width, t)]);
}

/** What attention that looks at all tokens alike makes of rows: each is near the one before. */
function runningMeans(rows: readonly number[][]): number[][] {
  const sum = new Array<number>(rows[0]!.length).fill(0);
  return rows.map((row, t) => {
    for (const [i, value] of row.entries()) sum[i]! += value;
    return sum.map((value) => Math.round(value / (t + 1)));
  });
}

/** A known row changed by units in a few places, again and again. */
function smallSteps(count: number, seed: number): number[][] {
  const row = random(1, seed)[0]!;
  return Array.from({ length: count }, (_, t) => {
    row[(7 * t) % WIDTH]! += t % 3 === 0 ? 40 : 1;
    return [...row];
  });
}

/** Determinants of the leading parts of a symmetric matrix, by elimination without fractions (Bareiss). */
function leadingMinors(gram: bigint[][]): bigint[] {
  const m = gram.map((row) => [...row]);
  let before = 1n;
  return m.map((_, k) => {
    const pivot = m[k]![k]!;
    for (let i = k + 1; i < m.length; i++) {
      for (let j = k + 1; j < m.length; j++) {
        m[i]![j] = (m[i]![j]! * pivot - m[i]![k]! * m[k]![j]!) / before;
      }
    }
    before = pivot;
    return pivot;
  });
}

/** Exact distances of rows, scaled to length 1, from the span of those before; independent rows. */
function exactDistances(rows: readonly number[][]): number[] {
  const gram = rows.map((a) => rows.map((b) => BigInt(a.reduce((sum, value, i) => sum + value * b[i]!, 0))));
  const minors = leadingMinors(gram);
  return minors.map((minor, t) => {
    const below = (minors[t - 1] ?? 1n) * gram[t]![t]!;
    // a quotient with 100 bits, as a number
    return Math.sqrt(Number((minor << 200n) / below) / 2 ** 200);
  });
}

describe('the bound on the error of a part outside the span', () => {
  it.each<[string, readonly number[][]]>([
    ['random rows', random(24, 1)],
    ['running means', runningMeans(random(24, 2))],
    ['small steps', smallSteps(12, 3)],
    [
      'one row and a hundredth of others',
      random(20, 4).map((row) => row.map((value, i) => (i % 2 ? 20_000 : 30_000) + Math.round(value / 100))),
    ],
  ])('holds against exact arithmetic: %s', (_, rows) => {
    const basis = new RowBasis();
    for (const [t, exact] of exactDistances(rows).entries()) {
      const found = basis.resolve(Float64Array.from(rows[t]!));
      expect(Math.abs(found.distance - exact)).toBeLessThanOrEqual(found.error);
      // and is of use
      expect(found.error).toBeLessThan(exact);
      basis.add(found);
    }
  });

  it('does not grow with the number of rows that lie near the ones before', async () => {
    const width = 256;
    const module = randomAdapter(5, { inFeatures: width, rank: 2 });
    const meter = new LeakageMeter([module]);
    const rows = runningMeans(random(160, 6, width));
    const x = Int16Array.from(rows.flat());
    await meter.add('user', [{ modules: [0], tokens: rows.length, x }]);
    const { directions, measured } = meter.revealed(0);
    expect(directions).toBe(160);
    expect(measured).toBeGreaterThan(0.4);
    expect(measured).toBeLessThan(0.9);
  });

  it('is that of the rows before when rows are taken off again, and in a copy', () => {
    const rows = runningMeans(random(12, 7)).map((row) => Float64Array.from(row));
    const basis = new RowBasis();
    for (const row of rows.slice(0, 5)) basis.add(basis.resolve(row));
    const { error } = basis.resolve(rows[11]!);
    const { entries } = basis;
    const copy = basis.copy();
    for (const row of rows.slice(5, 10)) basis.add(basis.resolve(row));
    expect(basis.resolve(rows[11]!).error).not.toBe(error);
    basis.truncate(5);
    expect(basis.entries).toBe(entries);
    expect(basis.resolve(rows[11]!).error).toBe(error);
    expect(copy.resolve(rows[11]!).error).toBe(error);
    expect(copy.entries).toBe(entries);
  });
});

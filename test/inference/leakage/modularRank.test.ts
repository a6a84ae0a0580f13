import { describe, expect, it } from 'vitest';
import { ModularRank, secretPrime } from '../../../src/inference/leakage/modularRank.js';
import { randomNumbers } from '../parties.js';

const WIDTH = 24;

/** Rank over the rationals, by elimination without fractions (Bareiss: each division is exact). */
function exactRank(rows: readonly Int16Array[]): number {
  const left = rows.map((row) => Array.from(row, BigInt));
  let rank = 0;
  let last = 1n;
  for (let column = 0; column < WIDTH; column++) {
    const at = left.findIndex((row, i) => i >= rank && row[column] !== 0n);
    if (at < 0) continue;
    [left[rank], left[at]] = [left[at]!, left[rank]!];
    const pivot = left[rank]!;
    const by = pivot[column]!;
    for (let i = rank + 1; i < left.length; i++) {
      const factor = left[i]![column]!;
      left[i] = left[i]!.map((value, j) => (value * by - pivot[j]! * factor) / last);
    }
    last = by;
    rank += 1;
  }
  return rank;
}

/** Extreme values, zeros before the first place, and rows that depend on those before. */
function hostileRows(seed: number): Int16Array[] {
  const next = randomNumbers(seed);
  const rows: Int16Array[] = [];
  while (rows.length < WIDTH + 4) {
    const start = Math.floor(next() * next() * WIDTH);
    if (rows.length > 2 && next() < 0.3) {
      const [a, b] = [rows[Math.floor(next() * rows.length)]!, rows.at(-1)!];
      rows.push(a.map((value, i) => (Math.abs(value - b[i]!) < 2 ** 15 ? value - b[i]! : value)));
    } else {
      const extreme = () => (next() < 0.5 ? (next() < 0.5 ? -32768 : 32767) : Math.round(next() * 9) - 4);
      rows.push(Int16Array.from({ length: WIDTH }, (_, i) => (i < start ? 0 : extreme())));
    }
  }
  return rows;
}

describe('the rank modulo a secret prime', () => {
  it('is that over the rationals, also for the extremes of int16 and after rows were taken off', () => {
    for (let seed = 1; seed <= 8; seed++) {
      const rows = hostileRows(seed);
      const modular = new ModularRank();
      for (const [i, row] of rows.entries()) {
        const isNew = exactRank(rows.slice(0, i + 1)) > exactRank(rows.slice(0, i));
        expect(modular.isIndependent(row)).toBe(isNew);
        // asked about, added, taken off and added again, with another question between
        if (i % 3 !== 0) modular.isIndependent(rows[0]!);
        modular.add(row);
        expect(modular.isIndependent(row)).toBe(false);
        if (i % 4 === 0) {
          modular.truncate(i);
          expect(modular.isIndependent(row)).toBe(isNew);
          modular.add(row);
        }
      }
      expect(modular.entries).toBe(exactRank(rows) * WIDTH);
    }
  });

  it('is exact for sums at the limit of float64', () => {
    // The largest prime of the range, and rows whose residues are as far from zero as they can be.
    const prime = 67_108_859;
    const modular = new ModularRank(prime);
    const next = randomNumbers(5);
    const rows = Array.from({ length: 12 }, () =>
      Int16Array.from({ length: WIDTH }, () => (next() < 0.5 ? -32768 : 32767)),
    );
    for (const row of rows) modular.add(row);
    const echelon = Reflect.get(modular, 'rows') as { values: Float64Array; pivot: number }[];
    for (const [i, { values, pivot }] of echelon.entries()) {
      expect(values[pivot]).toBe(1);
      for (const value of values) expect(Math.abs(value)).toBeLessThanOrEqual(prime / 2);
      for (const before of echelon.slice(0, i)) expect(Math.abs(values[before.pivot]!)).toBe(0);
    }
    // Each row is a combination of the echelon form, by bigint.
    for (const row of rows) {
      const rest = Array.from(row, BigInt);
      for (const { values, pivot } of echelon) {
        const factor = rest[pivot]!;
        for (let j = 0; j < WIDTH; j++) rest[j] = (rest[j]! - factor * BigInt(values[j]!)) % BigInt(prime);
      }
      expect(rest.every((value) => value === 0n)).toBe(true);
    }
    expect(secretPrime()).toBeLessThanOrEqual(prime);
  });
});

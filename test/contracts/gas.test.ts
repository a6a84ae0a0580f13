import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { type GasTable, measureGas } from '../../bench/gasTable.js';

/** Largest happy path, and largest dispute by domain size. */
const SALE = 250_000;
const DISPUTE = { 4096: 3_000_000, 8192: 6_000_000 };

describe('gas', () => {
  let committed: GasTable;
  let measured: GasTable;
  beforeAll(async () => {
    committed = JSON.parse(await readFile('bench/results/gas.json', 'utf8')) as GasTable;
    measured = await measureGas([4096, 8192]);
  });

  it('is what bench/results/gas.json says', () => {
    expect(measured.calls).toEqual(committed.calls);
    expect(committed.dispute).toMatchObject(measured.dispute);
  });

  it('stays under what docs/settlement.md promises', () => {
    for (const calls of Object.values(measured.calls)) {
      expect(calls['fund + reveal + withdraw']).toBeLessThan(SALE);
    }
    for (const [size, most] of Object.entries(DISPUTE)) expect(measured.dispute[size]).toBeLessThan(most);
  });
});

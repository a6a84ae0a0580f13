import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as al from '../../src/algebra/index.js';

const { R } = al;
let engine: al.Engine;
beforeAll(async () => {
  engine = await al.loadEngine();
});
afterAll(() => engine.terminate());

const SHORTS = [-32768, 32767, -1, 0, 1];

describe('sums of rows', () => {
  // held back and not, more at once than are held back, several matrices in a block, one in several
  it.each<[string, number[], number[]]>([
    ['in single rows', [7, 4100], new Array<number>(130).fill(1)],
    ['in short and long pieces', [4100, 7, 33], [3, 1, 30, 31, 32, 33, 40, 1, 5]],
    ['of one long piece', [4100], [1000]],
    ['wider than a block', [3000, 150_000], [1, 2, 9]],
  ])('are those of combineRows: %s', async (_, cols, pieces) => {
    const total = pieces.reduce((a, b) => a + b);
    const weights = al.powersVector(engine, R - 5n, total, R - 1n);
    const matrices = cols.map((width) =>
      Int16Array.from({ length: total * width }, (_, i) => SHORTS[(i * 3) % SHORTS.length]!),
    );
    const want = cols.map((width, m) => al.combineRows(engine, weights, matrices[m]!, width));
    for (const shared of [false, true]) {
      const queue = new al.BlockQueue(engine);
      if (shared) queue.share();
      const sums = new al.RowSums(engine, queue, cols);
      let row = 0;
      for (const count of pieces) {
        const rows = cols.map((width, m) => matrices[m]!.slice(row * width, (row + count) * width));
        const own = al.subVector(weights, row, count).slice();
        for (const [m, part] of rows.entries()) sums.add(m, part, own);
        sums.flush();
        await queue.help();
        // nobody looks at them any more
        for (const part of rows) part.fill(77);
        own.fill(7);
        row += count;
      }
      sums.end();
      await queue.finish();
      expect(sums.sums).toEqual(want);
    }
  });
});

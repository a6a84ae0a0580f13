import { describe, expect, it } from 'vitest';
import { LeakageMeter } from '../../../src/inference/leakage/meter.js';
import { RowBasis } from '../../../src/inference/leakage/rowBasis.js';
import { blockRows } from '../../../src/inference/leakage/rowBlock.js';
import { Turns } from '../../../src/inference/leakage/turns.js';
import { dot, length } from '../../../src/inference/leakage/vectors.js';
import { randomNumbers, randomRows } from '../parties.js';
import { randomAdapter, rowOf } from './adapters.js';

const WIDTH = 70;
/** Of a part outside the span: the bound on rounding, for the one way and for the other. */
const ROUNDING = 2 ** -49;

type Rows = readonly Int16Array[];
type Family = (count: number, seed: number) => Rows;

const random: Family = (count, seed) => {
  const { x } = randomRows(count, WIDTH, seed);
  return Array.from({ length: count }, (_, t) => rowOf(x, WIDTH, t).map((value) => value >> 1));
};

/** Rows as users and attackers may send them. */
const FAMILIES: Readonly<Record<string, Family>> = {
  random,
  'each a few units from one of four others': (count, seed) => {
    const next = randomNumbers(seed);
    const four = random(4, seed);
    return Array.from({ length: count }, (_, t) =>
      four[t % 4]!.map((value) => value + (next() < 0.1 ? Math.round(4 * next()) - 2 : 0)),
    );
  },
  'along one row, with a hundredth of others': (count, seed) => {
    const [common] = random(1, seed);
    return random(count, seed + 1).map((row) => row.map((value, i) => Math.round(common![i]! + value / 100)));
  },
  'a chain of small steps': (count) =>
    Array.from({ length: count }, (_, t) =>
      Int16Array.from({ length: WIDTH }, (_, i) => (i === t % WIDTH ? 32767 : i === (t + 1) % WIDTH ? 1 : 0)),
    ),
  'equal up to factors, with zeros between': (count, seed) => {
    const base = random(9, seed).map((row) => row.map((value) => value >> 4));
    const factors = [1, -3, 7, 2, 0];
    return Array.from({ length: count }, (_, t) => base[t % 9]!.map((value) => value * factors[t % 5]!));
  },
  'sums and differences of the rows before': (count, seed) => {
    const base = random(12, seed).map((row) => row.map((value) => value >> 3));
    return Array.from({ length: count }, (_, t) =>
      t < 12 ? base[t]! : base[t % 12]!.map((value, i) => value - 2 * base[(t * 5 + 1) % 12]![i]!),
    );
  },
  'of very different lengths': (count, seed) =>
    random(count, seed).map((row, t) => row.map((value) => Math.trunc(value / 2 ** (t % 14)))),
};

function joined(rows: Rows): Int16Array {
  const x = new Int16Array(rows.length * WIDTH);
  for (const [i, row] of rows.entries()) x.set(row, i * WIDTH);
  return x;
}

/** Messages of these sizes, of two users in turn; what each of them added. */
async function asked(meter: LeakageMeter, rows: Rows, sizes: readonly number[]) {
  const added: Int16Array[] = [];
  let at = 0;
  for (let message = 0; at < rows.length; message++) {
    const some = rows.slice(at, at + sizes[message % sizes.length]!);
    const user = Math.floor(at / 20) % 2 === 0 ? 'a' : 'b';
    for (const part of await meter.add(user, [{ modules: [0], tokens: some.length, x: joined(some) }])) {
      added.push(...Array.from({ length: part.x.length / WIDTH }, (_, t) => rowOf(part.x, WIDTH, t)));
    }
    at += some.length;
  }
  return added;
}

describe('rows of a message', () => {
  const module = randomAdapter(3, { inFeatures: WIDTH, outFeatures: 20, rank: 4 });

  it.each(Object.keys(FAMILIES))('count together as one by one: %s', async (name) => {
    for (const seed of [1, 2, 3]) {
      const rows = [...random(18, seed + 50), ...FAMILIES[name]!(62, seed)];
      const [together, apart] = [new LeakageMeter([module]), new LeakageMeter([module])];
      // 20 rows and more are worked on as blocks, single ones are not
      const added = await asked(together, rows, [20]);
      expect(await asked(apart, rows, [1])).toEqual(added);
      for (const user of [undefined, 'a', 'b']) {
        const [one, other] = [together, apart].map((meter) => meter.revealed(0, user));
        expect({ ...one, measured: 0, counted: 0 }).toEqual({ ...other, measured: 0, counted: 0 });
        expect(Math.abs(one!.measured - other!.measured)).toBeLessThan(1e-9);
      }
      expect(together.bytes).toBe(apart.bytes);
    }
  });

  it('lie where they would alone, within the bound on rounding', async () => {
    const turns = new Turns();
    for (const family of Object.values(FAMILIES)) {
      const basis = new RowBasis();
      for (const row of random(24, 9)) basis.add(basis.resolve(Float64Array.from(row)));
      const rows = family(40, 4)
        .map((row) => Float64Array.from(row))
        .filter((row) => length(row) > 0);
      const prepared = await basis.prepare(
        rows,
        rows.map(() => 0),
        turns,
      );
      expect(prepared).toHaveLength(rows.length);
      for (const [i, row] of rows.entries()) {
        const [one, other] = [basis.resolve(row, 0, prepared[i]), basis.resolve(row)];
        expect(Math.abs(one.distance - other.distance)).toBeLessThan(ROUNDING);
        expect(length(one.coordinates.map((value, k) => value - other.coordinates[k]!))).toBeLessThan(
          ROUNDING,
        );
        expect(Math.abs(one.error / other.error - 1)).toBeLessThan(1e-9);
        const apart = length(one.direction.map((value, k) => value - other.direction[k]!));
        expect(apart * other.distance).toBeLessThan(2 * ROUNDING);
        if (one.distance > 2 ** -18 && one.error < 2 ** -14 * one.distance) basis.add(one);
      }
      expect(basis.size).toBeGreaterThan(24);
      expect(overlap(basis)).toBeLessThan(2 ** -48);
    }
  });

  it('are not taken for others that were prepared', async () => {
    const basis = new RowBasis();
    for (const row of random(24, 9)) basis.add(basis.resolve(Float64Array.from(row)));
    const rows = random(6, 1).map((row) => Float64Array.from(row));
    const prepared = await basis.prepare(
      rows,
      rows.map(() => 0),
      new Turns(),
    );
    expect(basis.resolve(rows[0]!, 0, prepared[1])).toEqual(basis.resolve(rows[0]!));
    expect(basis.resolve(rows[0]!.subarray(0, WIDTH - 1).slice(), 0, prepared[0]).coordinates).toHaveLength(
      24,
    );
  });

  it('are taken back as a whole when a later one of the block is refused', async () => {
    const meter = new LeakageMeter([module]);
    await asked(meter, random(24, 1), [12]);
    const [before, bytes] = [meter.revealed(0), meter.bytes];
    const row = () => {
      if (meter.revealed(0).directions === 50) throw new Error('enough');
    };
    const x = joined(random(40, 2));
    await expect(meter.add('a', [{ modules: [0], tokens: 40, x }], { row })).rejects.toThrow('enough');
    expect(meter.revealed(0)).toEqual(before);
    expect(meter.bytes).toBe(bytes);
    await meter.add('a', [{ modules: [0], tokens: 40, x }]);
    expect(meter.revealed(0).directions).toBe(64);
  });

  it('are counted by meters that work at the same time', async () => {
    const wide = randomAdapter(4, { inFeatures: 1500, outFeatures: 4, rank: 1 });
    const { x } = randomRows(90, 1500, 3);
    const meters = [1, 2, 3].map(() => new LeakageMeter([wide]));
    const add = (meter: LeakageMeter) => meter.add('u', [{ modules: [0], tokens: 90, x }]);
    await Promise.all(meters.map(add));
    const figures = meters.map((meter) => meter.revealed(0));
    expect(figures[0]!.directions).toBe(90);
    expect(figures.slice(1)).toEqual([figures[0], figures[0]]);
  });

  it('come in few at a time when they are very wide', () => {
    expect(blockRows(768)).toBe(32);
    expect(blockRows(2 ** 15)).toBe(15);
    expect(blockRows(2 ** 20)).toBe(0);
  });
});

/** Largest product of two vectors of a basis. */
function overlap(basis: RowBasis): number {
  const vectors = Reflect.get(basis, 'vectors') as Float64Array[];
  return Math.max(...vectors.flatMap((a, i) => vectors.slice(0, i).map((b) => Math.abs(dot(a, b)))));
}

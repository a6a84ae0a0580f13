import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { combinePoints } from '../../src/algebra/combinePoints.js';
import { shortForm, EIGENVALUE as W } from '../../src/algebra/endomorphism.js';
import * as al from '../../src/algebra/index.js';
import { affine } from '../support/affine.js';
import '../support/deterministic.js';

const { Fr, R } = al;
let engine: al.Engine;
beforeAll(async () => {
  engine = await al.loadEngine();
});
afterAll(() => engine.terminate());

const known = new Map<bigint, Uint8Array>();
/** Multiples of G; most tests take the same ones. */
function points(logarithms: readonly bigint[]): Uint8Array {
  const multiples = logarithms.map((k) => known.get(k) ?? affine(k));
  multiples.forEach((point, i) => {
    known.set(logarithms[i]!, point);
  });
  return al.joinPoints(multiples);
}

/** What the sums are multiples of G by. */
function sums(logarithms: readonly bigint[], factors: readonly bigint[]): bigint[] {
  const count = logarithms.length / factors.length;
  return Array.from({ length: count }, (_, i) =>
    factors.reduce((sum, factor, j) => Fr.add(sum, Fr.mul(factor, logarithms[j * count + i]!)), 0n),
  );
}

const fast = (logarithms: readonly bigint[], factors: readonly bigint[]) =>
  combinePoints(engine, points(logarithms), factors.map(shortForm));

/** Expects that the kernels have no answer for sum number `index`, and that the fold is right all the same. */
async function expectFallback(
  logarithms: readonly bigint[],
  factors: readonly bigint[],
  index = 0,
): Promise<void> {
  const out = await fast(logarithms, factors);
  expect(out.subarray(index * al.G1_BYTES, (index + 1) * al.G1_BYTES)).toEqual(new Uint8Array(al.G1_BYTES));
  await expectFold(logarithms, factors);
}

async function expectFold(logarithms: readonly bigint[], factors: readonly bigint[]): Promise<void> {
  const folded = await al.foldPoints(engine, points(logarithms), factors);
  expect(folded).toEqual(points(sums(logarithms, factors)));
}

const distinct = (count: number) => Array.from({ length: count }, (_, i) => Fr.pow(R - 3n, BigInt(i + 1)));
const extremes = [
  0n,
  1n,
  R - 1n,
  2n,
  8n,
  W,
  Fr.neg(W),
  Fr.mul(W, W),
  2n ** 127n,
  R >> 1n,
  Fr.inv(2n),
  R - 9n,
];
const scalar = fc.oneof(fc.bigInt({ min: 0n, max: R - 1n }), fc.constantFrom(...extremes));

describe('sums of points with common factors', () => {
  it('equal noble-curves, for any number of factors and of sums', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(scalar, { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 9 }),
        fc.bigInt({ min: 1n, max: R - 1n }),
        async (factors, count, seed) => {
          const logarithms = distinct(factors.length * count).map((k) => Fr.mul(k, seed));
          await expectFold(logarithms, factors);
        },
      ),
      { numRuns: 20 },
    );
  });

  it('are made by the kernels, over several tasks and shares of an inversion', async () => {
    const factors = [...distinct(3).map((k) => Fr.pow(k, 77n)), 1n];
    for (const count of [1, 33, 150]) {
      const logarithms = distinct(4 * count);
      expect(await fast(logarithms, factors)).toEqual(points(sums(logarithms, factors)));
    }
  });

  it('take every digit, and every unit of it', async () => {
    const [a, b] = [7n, R - 12n];
    for (let low = -4n; low < 4n; low++) {
      for (let high = -4n; high < 4n; high++) {
        const factors = [Fr.create(low + high * W), 1n];
        expect(await fast([a, b], factors)).toEqual(points(sums([a, b], factors)));
      }
    }
  });

  it('are right where points are equal or opposite, wherever the kernels meet it', async () => {
    const [big, other] = [Fr.pow(5n, 99n), Fr.pow(7n, 88n)];
    // at one place, of one sum in the last of several tasks
    const logarithms = distinct(2 * 70);
    for (const same of [logarithms[69]!, Fr.neg(logarithms[69]!)]) {
      await expectFallback(logarithms.with(139, same), [big, big], 69);
    }
    // the others, in other tasks, have theirs
    const out = await fast(logarithms.with(139, logarithms[69]!), [big, big]);
    const want = points(sums(logarithms, [big, big]));
    expect(out.subarray(0, 32 * al.G1_BYTES)).toEqual(want.subarray(0, 32 * al.G1_BYTES));
    // a multiple that another point is, and a sum that one is
    await expectFallback([3n, Fr.mul(3n, Fr.sub(1n, W))], [Fr.sub(1n, W), 1n]);
    await expectFallback([3n, 5n, 8n], [1n, 1n, 1n]);
    // not at the same place: additions of double-and-add start from a random point
    expect(await fast([3n, 3n], [8n, 1n])).toEqual(affine(27n));
    expect(await fast([3n, R - 24n], [big, other])).toEqual(points(sums([3n, R - 24n], [big, other])));
  });

  it('are made by the kernels for all quads but those that share an inversion with equal points', async () => {
    // five shares of eight quads in tasks of two
    const logarithms = distinct(2 * 160);
    const factors = [Fr.pow(5n, 99n), Fr.pow(5n, 99n)];
    const oneThread = { ...engine, threads: 1 };
    const out = await combinePoints(
      oneThread,
      points(logarithms.with(160, logarithms[0]!)),
      factors.map(shortForm),
    );
    const share = 32 * al.G1_BYTES;
    expect(out.subarray(0, share)).toEqual(new Uint8Array(share));
    expect(out.subarray(share)).toEqual(points(sums(logarithms, factors)).subarray(share));
  });

  it('are right where they are the identity, or points are', async () => {
    await expectFallback([3n, 5n], [0n, 0n]);
    await expectFallback([1n, 5n, R - 8n, 6n], [8n, 1n]);
    await expectFold([0n, 3n, 5n, 0n], [7n, 9n]);
    // the last sum is, the others are not
    await expectFallback([2n, 3n, 8n, 4n, 5n, R - 1n], [1n, 8n], 2);
  });
});

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  decodeG1,
  decodeG2,
  type Engine,
  encodeG1,
  encodeG2,
  type G1Point,
  type G2Point,
  loadEngine,
  vectorFromScalars,
} from '../../src/algebra/index.js';
import { areInSubgroup, firstInvalidPoint, sumPoints } from '../../src/algebra/pointBatch.js';
import { SeededStream } from '../../src/algebra/seeded.js';
import { concatBytes } from '../../src/bytes.js';
import { multiplyGenerator } from '../../src/kzg/fixedBase.js';
import { nonCanonical, outsideSubgroup, overwritten } from '../ceremony/support.js';
import { scalars } from '../circuit/helpers.js';

const COUNT = 20;
let engine: Engine;
let g1: Uint8Array;
let g2: Uint8Array;

beforeAll(async () => {
  engine = await loadEngine();
  const vector = vectorFromScalars(engine, scalars('batch', COUNT));
  g1 = await multiplyGenerator(engine, 'G1', vector);
  g2 = await multiplyGenerator(engine, 'G2', vector);
});
afterAll(() => engine.terminate());

describe('firstInvalidPoint', () => {
  const find = (group: 'G1' | 'G2', points: Uint8Array) =>
    firstInvalidPoint(engine, group, points, 'refused');

  test('finds nothing in valid points, from any place in memory', () => {
    for (const [group, points] of [
      ['G1', g1],
      ['G2', g2],
    ] as const) {
      expect(find(group, points)).toBeNull();
      const framed = concatBytes(new Uint8Array(3), points).subarray(3);
      expect(find(group, framed)).toBeNull();
      expect(find(group, new Uint8Array())).toBeNull();
    }
  });

  test('finds the first of several, beyond a chunk', () => {
    const many = concatBytes(...new Array<Uint8Array>(500).fill(g1));
    const wrong = overwritten(overwritten(many, 9_000 * 64, Uint8Array.of(1)), 9_999 * 64, Uint8Array.of(1));
    expect(find('G1', wrong)).toBe(9_000);
  });

  test('every coordinate must be below Q and fit the curve', () => {
    for (const [group, points, size] of [
      ['G1', g1, 64],
      ['G2', g2, 128],
    ] as const) {
      for (let at = 0; at < size; at += 32) {
        const index = 7 * size + at;
        const raised = overwritten(points, index, nonCanonical(points.slice(index, index + 32)));
        expect(find(group, raised)).toBe(7);
        expect(find(group, overwritten(points, index, new Uint8Array(32).fill(0xff)))).toBe(7);
        expect(find(group, overwritten(points, index, new Uint8Array(32)))).toBe(7);
        expect(find(group, overwritten(points, index, Uint8Array.of(points[index]! ^ 1)))).toBe(7);
      }
    }
  });

  test('the identity is for the caller to decide', () => {
    const some = overwritten(g1, 3 * 64, new Uint8Array(64));
    expect(find('G1', some)).toBe(3);
    expect(firstInvalidPoint(engine, 'G1', some, 'allowed')).toBeNull();
  });

  test('says nothing about the subgroup', () => {
    expect(find('G2', outsideSubgroup(engine))).toBeNull();
  });
});

describe('areInSubgroup', () => {
  test('accepts points of G2 and the identity', async () => {
    expect(await areInSubgroup(engine, g2)).toBe(true);
    expect(await areInSubgroup(engine, new Uint8Array())).toBe(true);
    expect(await areInSubgroup(engine, concatBytes(g2, new Uint8Array(128)))).toBe(true);
  });

  test.each([0, 1, 19])('finds one outside at %i, and two that cancel', async (index) => {
    const outside = outsideSubgroup(engine);
    expect(await areInSubgroup(engine, overwritten(g2, index * 128, outside))).toBe(false);
    const { G2 } = engine.curve;
    const negative = G2.toAffine(G2.neg(G2.toJacobian(outside)));
    expect(await areInSubgroup(engine, concatBytes(outside, g2, negative))).toBe(false);
  });

  test('finds a point of the smallest order that there is, 10069', async () => {
    const { G2 } = engine.curve;
    const order = 2n * engine.curve.q - engine.curve.r;
    expect(order % 10069n).toBe(0n);
    const outside = G2.toJacobian(outsideSubgroup(engine));
    const small = G2.timesScalar(G2.timesScalar(outside, order / 10069n), engine.curve.r);
    expect(G2.isZero(small)).toBe(false);
    expect(G2.isZero(G2.timesScalar(small, 10069n))).toBe(true);
    const hidden = G2.toAffine(G2.add(small, G2.toJacobian(g2.slice(0, 128))));
    for (let i = 0; i < 5; i++) {
      expect(await areInSubgroup(engine, overwritten(g2, 0, hidden))).toBe(false);
    }
  });
});

describe('sumPoints', () => {
  test('is the sum of the multiples, in both groups', async () => {
    const weights = scalars('weights', COUNT);
    const vector = vectorFromScalars(engine, weights);
    const total =
      scalars('batch', COUNT).reduce((sum, value, i) => sum + value * weights[i]!, 0n) % engine.curve.r;
    const single = vectorFromScalars(engine, [total]);
    expect(await sumPoints(engine, 'G1', g1, vector)).toEqual(await multiplyGenerator(engine, 'G1', single));
    expect(await sumPoints(engine, 'G2', g2, vector)).toEqual(await multiplyGenerator(engine, 'G2', single));
    expect(await sumPoints(engine, 'G1', g1, new Uint8Array())).toEqual(new Uint8Array(64));
  });

  test('over more points than one multiplication takes', async () => {
    const count = 2 ** 16 + 3;
    const points = concatBytes(...new Array<Uint8Array>(count).fill(g1.slice(0, 64)));
    const ones = vectorFromScalars(engine, new Array<bigint>(count).fill(1n));
    const { G1 } = engine.curve;
    const expected = G1.toAffine(G1.timesScalar(G1.toJacobian(g1.slice(0, 64)), BigInt(count)));
    expect(await sumPoints(engine, 'G1', points, ones)).toEqual(expected);
  });
});

describe('SeededStream', () => {
  test('gives valid points that depend on the seed', () => {
    const seeds = [1, 2].map((byte) => new Uint8Array(64).fill(byte));
    const streams = seeds.map((seed) => new SeededStream(engine, seed));
    const values = streams.map((stream) => [stream.scalar(), stream.g1().join(), stream.g2().join()]);
    expect(new Set(values.flat()).size).toBe(6);
    expect(values[0]![0]).toBeLessThan(engine.curve.r);
    const again = new SeededStream(engine, seeds[0]!);
    again.scalar();
    expect(decodeG1(encodeG1(again.g1() as G1Point)).join()).toBe(values[0]![1]);
    expect(decodeG2(encodeG2(again.g2() as G2Point)).join()).toBe(values[0]![2]);
  });
});

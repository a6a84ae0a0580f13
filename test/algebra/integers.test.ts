import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Engine,
  Fr,
  gatherVector,
  loadEngine,
  R,
  vectorFromIntegers,
  vectorFromScalars,
  vectorToScalars,
} from '../../src/algebra/index.js';

let engine: Engine;
beforeAll(async () => {
  engine = await loadEngine();
});
afterAll(() => engine.terminate());

describe('vectors of integers', () => {
  it('are the integers mod R', () => {
    const integer = fc.integer({ min: -(2 ** 52), max: 2 ** 52 });
    fc.assert(
      fc.property(fc.array(integer, { minLength: 1, maxLength: 20 }), (values) => {
        const vector = vectorFromIntegers(engine, Float64Array.from(values));
        expect(vectorToScalars(engine, vector)).toEqual(values.map((value) => Fr.create(BigInt(value))));
      }),
    );
  });

  it('at the ends of the range and around 2^32', () => {
    const values = [0, 1, -1, 2 ** 32, 2 ** 32 - 1, -(2 ** 32), 2 ** 52, -(2 ** 52), -(2 ** 52) + 1];
    const scalars = vectorToScalars(engine, vectorFromIntegers(engine, Float64Array.from(values)));
    expect(scalars.map((scalar) => Number(scalar > R / 2n ? scalar - R : scalar))).toEqual(values);
  });
});

describe('gatherVector', () => {
  it('picks elements', () => {
    const table = [5n, R - 1n, 0n];
    const indices = [2, 1, 1, 0, 2];
    const picked = gatherVector(vectorFromScalars(engine, table), Uint8Array.from(indices));
    expect(vectorToScalars(engine, picked)).toEqual(indices.map((index) => table[index]));
  });

  it('reads tables at any byte offset', () => {
    const shifted = new Uint8Array(65);
    shifted.set(vectorFromScalars(engine, [7n, 9n]), 1);
    const picked = gatherVector(shifted.subarray(1), Uint8Array.of(1));
    expect(vectorToScalars(engine, picked)).toEqual([9n]);
  });
});

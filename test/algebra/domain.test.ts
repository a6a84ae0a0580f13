import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  constantVector,
  type Engine,
  Fr,
  lagrangeAt,
  loadEngine,
  randomScalar,
  rootOfUnity,
  vectorToScalars,
} from '../../src/algebra/index.js';

let engine: Engine;
beforeAll(async () => {
  engine = await loadEngine();
});
afterAll(() => engine.terminate());

describe('the Lagrange basis', () => {
  it.each([0n, 2n, -1n])(
    'is what interpolation says, at a random point and at %s times the coset shift',
    (k) => {
      const size = 8;
      const z = k === -1n ? randomScalar() : Fr.create(5n * k);
      const w = rootOfUnity(engine, size);
      const points = Array.from({ length: size }, (_, i) => Fr.pow(w, BigInt(i)));
      const expected = points.map((own) =>
        points
          .filter((other) => other !== own)
          .reduce((product, other) => Fr.mul(product, Fr.div(Fr.sub(z, other), Fr.sub(own, other))), 1n),
      );
      expect(vectorToScalars(engine, lagrangeAt(engine, size, z))).toEqual(expected);
    },
  );

  it.each([1n, 8n])('is zero at the points of H of order %s', (order) => {
    const z = rootOfUnity(engine, Number(order));
    expect(vectorToScalars(engine, lagrangeAt(engine, 8, z))).toEqual(new Array(8).fill(0n));
  });
});

describe('constant vectors', () => {
  it.each([0, 1, 2, 3, 7, 64])('of length %i', (length) => {
    const scalar = randomScalar();
    expect(vectorToScalars(engine, constantVector(engine, scalar, length))).toEqual(
      new Array(length).fill(scalar),
    );
  });
});

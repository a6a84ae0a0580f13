import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Engine,
  encodeG1,
  Fr,
  interpolate,
  loadEngine,
  padVector,
  randomScalar,
  vectorFromIntegers,
  vectorFromScalars,
  vectorToScalars,
} from '../../src/algebra/index.js';
import { commitPolynomial, commitRows, commitValues } from '../../src/kzg/index.js';
import { type ProverSrs, srsFromSecret } from '../../src/kzg/srs.js';

const SIZE = 16;
let engine: Engine;
let srs: ProverSrs;
beforeAll(async () => {
  engine = await loadEngine();
  srs = await srsFromSecret(engine, randomScalar(), SIZE);
});
afterAll(() => engine.terminate());

describe('commitValues', () => {
  it('commits to the polynomial with these values on H plus a blinding multiple of Z_H', async () => {
    for (const [length, degree] of [
      [1, 0],
      [7, 0],
      [9, 1],
      [SIZE, 0],
      [SIZE, 2],
    ] as const) {
      const values = vectorFromScalars(engine, Array.from({ length }, randomScalar));
      const blinders = Array.from({ length: degree + 1 }, randomScalar);
      const coefficients = vectorToScalars(engine, interpolate(engine, padVector(values, 0, SIZE)));
      const polynomial = [...coefficients.map((c, i) => Fr.sub(c, blinders[i] ?? 0n)), ...blinders];
      const expected = await commitPolynomial(engine, srs, vectorFromScalars(engine, polynomial));
      expect(await commitValues(engine, srs, values, blinders)).toEqual(expected);
    }
  });

  it('agrees with commitRows on int16 rows', async () => {
    const values = Int16Array.of(-32768, 32767, 0, 5);
    const blinder = randomScalar();
    const [row] = await commitRows(engine, srs, [{ values, offset: 0, blinder }]);
    const vector = vectorFromIntegers(engine, Float64Array.from(values));
    expect(encodeG1(await commitValues(engine, srs, vector, [blinder]))).toEqual(row);
  });

  it('commits to zeros', async () => {
    const zeros = vectorFromScalars(engine, [0n, 0n]);
    const polynomial = vectorFromScalars(engine, [Fr.neg(3n), ...new Array<bigint>(SIZE - 1).fill(0n), 3n]);
    expect(await commitValues(engine, srs, zeros, [3n])).toEqual(
      await commitPolynomial(engine, srs, polynomial),
    );
  });
});

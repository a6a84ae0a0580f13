import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Engine,
  encodeG1,
  Fr,
  type G1Point,
  loadEngine,
  vectorFromScalars,
  vectorToScalars,
} from '../../src/algebra/index.js';
import { multiplyGenerator } from '../../src/kzg/fixedBase.js';
import { commitFormMask } from '../../src/protocol/linearFormProve.js';

/** mu, b, and p and q of 3 pairs. */
const LENGTH = 2 + 2 * 3;

let engine: Engine;
let bases: Uint8Array;
beforeAll(async () => {
  engine = await loadEngine();
  const exponents = Array.from({ length: LENGTH }, (_, i) => BigInt(i + 2));
  bases = await multiplyGenerator(engine, 'G1', vectorFromScalars(engine, exponents));
});
afterAll(() => engine.terminate());

describe('the masks of a linear form', () => {
  it('hide every value, with fresh numbers each time', async () => {
    const drawn = [await commitFormMask(engine, bases), await commitFormMask(engine, bases)];
    const all = drawn.flatMap(({ blinding }) => vectorToScalars(engine, blinding));
    expect(all).toHaveLength(2 * LENGTH);
    expect(new Set(all).size).toBe(2 * LENGTH);
    expect(all).not.toContain(0n);
  });

  it('are committed to over the bases', async () => {
    const { blinding, point } = await commitFormMask(engine, bases);
    const exponent = vectorToScalars(engine, blinding).reduce(
      (sum, value, i) => Fr.add(sum, Fr.mul(value, BigInt(i + 2))),
      0n,
    );
    const expected = await multiplyGenerator(engine, 'G1', vectorFromScalars(engine, [exponent]));
    expect(encodeG1(point)).toEqual(encodeG1(expected as G1Point));
  });
});

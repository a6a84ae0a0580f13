import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Engine,
  encodeG1,
  Fr,
  type G1Point,
  loadEngine,
  multiScalarMultiply,
  vectorFromScalars,
  vectorToScalars,
} from '../../src/algebra/index.js';
import { multiplyGenerator } from '../../src/kzg/fixedBase.js';
import { commitFormMask } from '../../src/protocol/linearFormProve.js';

/** mu, b, p and q of 7 places each, of which 3 are pairs. */
const SIZE = 7;
const PAIRS = 3;
const LENGTH = 2 + 2 * SIZE;

let engine: Engine;
let bases: Uint8Array;
beforeAll(async () => {
  engine = await loadEngine();
  const exponents = Array.from({ length: LENGTH }, (_, i) => BigInt(i + 2));
  bases = await multiplyGenerator(engine, 'G1', vectorFromScalars(engine, exponents));
});
afterAll(() => engine.terminate());

describe('the masks of a linear form', () => {
  it('hide every secret place and the last of the padding, with fresh numbers each time', async () => {
    const drawn = [await commitFormMask(engine, bases, PAIRS), await commitFormMask(engine, bases, PAIRS)];
    const [first, second] = drawn.map(({ blinding }) => vectorToScalars(engine, blinding));
    const masked = first!.flatMap((value, i) => (value === 0n ? [] : [i]));
    expect(masked).toEqual([0, 1, 2, 3, 4, 9, 10, 11, LENGTH - 1]);
    for (const i of masked) expect(second![i]).not.toBe(first![i]);
    expect(new Set(masked.map((i) => first![i])).size).toBe(masked.length);
  });

  it('has no padding to leave out where the pairs fill the circuit', async () => {
    const { blinding } = await commitFormMask(engine, bases, SIZE);
    expect(vectorToScalars(engine, blinding).every((value) => value !== 0n)).toBe(true);
  });

  it('are committed to over the bases', async () => {
    const { blinding, point } = await commitFormMask(engine, bases, PAIRS);
    const exponent = vectorToScalars(engine, blinding).reduce(
      (sum, value, i) => Fr.add(sum, Fr.mul(value, BigInt(i + 2))),
      0n,
    );
    const expected = await multiplyGenerator(engine, 'G1', vectorFromScalars(engine, [exponent]));
    expect(encodeG1(point)).toEqual(encodeG1(expected as G1Point));
    expect(encodeG1((await multiScalarMultiply(engine, bases, blinding)) as G1Point)).toEqual(
      encodeG1(point),
    );
  });
});

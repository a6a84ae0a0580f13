import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, Fr, loadEngine, vectorToScalars } from '../../src/algebra/index.js';
import { blocksOf, blockWeights } from '../../src/protocol/pairBlocks.js';

let engine: Engine;
beforeAll(async () => {
  engine = await loadEngine();
});
afterAll(() => engine.terminate());

describe('blocks', () => {
  it.each([
    [1, [1]],
    [509, [509]],
    [510, [509, 1]],
    [1018, [509, 509]],
    [1019, [509, 509, 1]],
  ])('of %i pairs in a domain of 512 leave three places free', (pairs, sizes) => {
    const blocks = blocksOf(pairs, 512);
    expect(blocks.map(({ size }) => size)).toEqual(sizes);
    expect(blocks.map(({ first }) => first)).toEqual(sizes.map((_, g) => 509 * g));
  });
});

describe('weights', () => {
  const RHO = 3n;
  const power = (exponent: number) => Fr.pow(RHO, BigInt(exponent));

  it.each([1, 12, 13, 14, 26, 30])('of %i pairs in a domain of 16 are those of docs/protocol.md', (pairs) => {
    const N = 16;
    const C = N - 3;
    const exponents: number[] = [];
    const weight = (exponent: number) => {
      exponents.push(exponent);
      return power(exponent);
    };
    const blocks = blockWeights(engine, N, pairs, RHO);
    expect(blocks).toHaveLength(Math.ceil(pairs / C));
    blocks.forEach(({ r, s }, g) => {
      const taken = Math.min(C, pairs - g * C);
      const places = Array.from({ length: N }, (_, i) => i);
      const zero = (i: number) => 2 * pairs + g * N + i + 1;
      const expectedR = places.map((i) => (i === N - 3 ? 0n : weight(i < taken ? g * C + i + 1 : zero(i))));
      const expectedS = places.map((i) => {
        if (i < taken) return weight(pairs + g * C + i + 1);
        return i === N - 3 ? weight(zero(i)) : 0n;
      });
      expect(vectorToScalars(engine, r)).toEqual(expectedR);
      expect(vectorToScalars(engine, s)).toEqual(expectedS);
    });
    // each claim has a power of its own, and none the constant, which the sum of the products has
    expect(new Set(exponents).size).toBe(exponents.length);
    expect(Math.min(...exponents)).toBe(1);
  });
});

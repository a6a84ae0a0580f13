import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  dotVectors,
  type Engine,
  Fr,
  interpolate,
  lagrangeAt,
  loadEngine,
  randomScalar,
  vectorFromScalars,
  vectorToScalars,
} from '../../src/algebra/index.js';
import { commitPolynomial, type ProverSrs } from '../../src/kzg/index.js';
import { srsFromSecret } from '../../src/kzg/srs.js';
import { blockWeights } from '../../src/protocol/pairBlocks.js';
import { innerProduct, type RankSpace } from '../../src/protocol/proveGroup.js';
import { commitPairs, withPairs } from '../../src/protocol/provePairs.js';
import type { LaneSource } from '../../src/protocol/sumProve.js';

const N = 16;
const C = N - 3;

let engine: Engine;
let srs: ProverSrs;
beforeAll(async () => {
  engine = await loadEngine();
  srs = await srsFromSecret(engine, randomScalar(), N);
});
afterAll(() => engine.terminate());

/** Pairs of modules of these ranks. */
const spaceOf = (ranks: readonly number[]): RankSpace[] => {
  const scalars = (length: number) => Array.from({ length }, randomScalar);
  return ranks.map((rank) => ({ p: scalars(rank), q: scalars(rank) }));
};
const sum = (terms: readonly bigint[]) => terms.reduce((total, term) => Fr.add(total, term), 0n);
const pairsOf = (space: readonly RankSpace[]) => ({
  p: space.flatMap(({ p }) => p),
  q: space.flatMap(({ q }) => q),
});

const claimOf = (space: readonly RankSpace[]) =>
  space.reduce((sum, pairs) => Fr.add(sum, innerProduct(pairs)), 0n);

describe('pairs on H', () => {
  // a module may lie over the end of a block
  it.each([[[1]], [[12]], [[4, 9]], [[4, 10]], [[20, 7]]])('of ranks %j', async (ranks) => {
    const space = spaceOf(ranks);
    const { p, q } = pairsOf(space);
    const blocks = await commitPairs(engine, srs, space);
    expect(blocks).toHaveLength(Math.ceil(p.length / C));
    for (const [g, block] of blocks.entries()) {
      const at = (values: readonly bigint[]) => values.slice(g * C, (g + 1) * C);
      const zeros = Array<bigint>(C - at(p).length).fill(0n);
      const [onP, onQ] = [block.p, block.q].map((values) => vectorToScalars(engine, values));
      // pairs, zeros, then beta for p alone, gamma and delta for q alone
      expect(onP!.slice(0, C)).toEqual([...at(p), ...zeros]);
      expect(onQ!.slice(0, C)).toEqual([...at(q), ...zeros]);
      expect(onP!.slice(C)).toEqual([expect.any(BigInt), 0n, 0n]);
      expect(onQ!.slice(C)).toEqual([0n, expect.any(BigInt), expect.any(BigInt)]);
      const blinders = [onP![C]!, onQ![C + 1]!, onQ![C + 2]!];
      expect(new Set([...blinders, 0n]).size).toBe(4);
      expect(block.points.p).toEqual(await commitPolynomial(engine, srs, interpolate(engine, block.p)));
      expect(block.points.q).toEqual(await commitPolynomial(engine, srs, interpolate(engine, block.q)));
    }
  });

  it('have new blinders each time', async () => {
    const space = spaceOf([14]);
    const twice = [await commitPairs(engine, srs, space), await commitPairs(engine, srs, space)].flat();
    const ends = twice.flatMap(({ p, q }) =>
      [p, q].flatMap((values) => vectorToScalars(engine, values).slice(C)),
    );
    const blinders = ends.filter((value) => value !== 0n);
    expect([blinders.length, new Set(blinders).size]).toEqual([12, 12]);
  });
});

describe('their products', () => {
  const rows: LaneSource = {
    *lanes() {},
    combineAt: () => ({ values: vectorFromScalars(engine, Array<bigint>(N).fill(2n)), blinder: 7n }),
  };

  it('sum to the claim less what ties each p and each q to its row', async () => {
    const space = spaceOf([5, 6, 17]);
    const { p, q } = pairsOf(space);
    expect(claimOf(space)).toBe(sum(p.map((value, l) => Fr.mul(value, q[l]!))));
    const rho = randomScalar();
    const power = (exponent: number) => Fr.pow(rho, BigInt(exponent));
    const blocks = await commitPairs(engine, srs, space);
    const source = withPairs(engine, rows, blocks, blockWeights(engine, N, p.length, rho));
    const products = [...source.lanes()];
    expect(products.map(({ blinder }) => blinder)).toEqual(Array(6).fill(0n));
    const ties = [...p, ...q].map((value, l) => Fr.mul(value, power(l + 1)));
    // no blinder is among the products
    expect(sum(products.map(({ known, rows: row }) => dotVectors(engine, known, row)))).toBe(
      Fr.sub(claimOf(space), sum(ties)),
    );
  });

  it('join the rows that are opened at z, and every q is opened beside them', async () => {
    const blocks = await commitPairs(engine, srs, spaceOf([14]));
    const weights = blockWeights(engine, N, 14, 3n);
    const source = withPairs(engine, rows, blocks, weights);
    expect(source.opened).toEqual(blocks.map(({ q }) => q));
    const basis = lagrangeAt(engine, N, 5n);
    const { values, blinder } = await source.combineAt(basis);
    expect(blinder).toBe(7n);
    const at = (vector: Uint8Array) => dotVectors(engine, vector, basis);
    const expected = Array<bigint>(N).fill(2n);
    blocks.forEach(({ p, q }, g) => {
      const { r, s } = weights[g]!;
      const [onP, onQ] = [vectorToScalars(engine, p), vectorToScalars(engine, q)];
      const onLambda = Fr.sub(at(q), at(r));
      for (let i = 0; i < N; i++) {
        const term = Fr.sub(Fr.mul(onLambda, onP[i]!), Fr.mul(at(s), onQ[i]!));
        expected[i] = Fr.add(expected[i]!, term);
      }
    });
    expect(vectorToScalars(engine, values)).toEqual(expected);
  });
});

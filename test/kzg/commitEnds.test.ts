import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Engine,
  interpolate,
  loadEngine,
  randomScalar,
  vectorFromScalars,
} from '../../src/algebra/index.js';
import { commitEnds } from '../../src/kzg/commit.js';
import { commitPolynomial } from '../../src/kzg/index.js';
import { type ProverSrs, srsFromSecret } from '../../src/kzg/srs.js';
import { refusalOf } from '../adapter/refusal.js';

const SIZE = 16;
let engine: Engine;
let srs: ProverSrs;
beforeAll(async () => {
  engine = await loadEngine();
  srs = await srsFromSecret(engine, randomScalar(), SIZE);
});
afterAll(() => engine.terminate());

const scalars = (count: number) => Array.from({ length: count }, randomScalar);
const commit = (first: bigint[], last: bigint[]) =>
  commitEnds(engine, srs, vectorFromScalars(engine, first), vectorFromScalars(engine, last));

describe('commitEnds', () => {
  it.each([
    [0, 1],
    [1, 1],
    [5, 3],
    [13, 3],
    [16, 0],
    [0, 16],
  ])('commits to %d values at the start of H and %d at its end, zero between', async (before, after) => {
    const [first, last] = [scalars(before), scalars(after)];
    const zeros = Array<bigint>(SIZE - before - after).fill(0n);
    const polynomial = interpolate(engine, vectorFromScalars(engine, [...first, ...zeros, ...last]));
    expect(await commit(first, last)).toEqual(await commitPolynomial(engine, srs, polynomial));
  });

  it('shows no pair where all are zero: what is left is the blinder', async () => {
    const zeros = Array<bigint>(13).fill(0n);
    const blinder = randomScalar();
    expect(await commit(zeros, [blinder, 0n, 0n])).toEqual(await commit([], [blinder, 0n, 0n]));
  });

  it('fails rather than give the identity', async () => {
    expect((await refusalOf(commit([0n, 0n], [0n]))).code).toBe('INTERNAL');
  });
});

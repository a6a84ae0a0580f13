import {
  addScaled,
  dotVectors,
  type Engine,
  type FieldVector,
  Fr,
  type G1Point,
  placeVector,
  R,
  randomScalar,
  scaleVector,
  subVectors,
  vectorFromScalars,
  zeroVector,
} from '../algebra/index.js';
import { commitEnds } from '../kzg/commit.js';
import type { ProverSrs } from '../kzg/srs.js';
import { drawPairs } from './challenges.js';
import { BLINDER_PLACES, type BlockWeights, blocksOf, blockWeights } from './pairBlocks.js';
import type { Proof } from './proof.js';
import { innerProduct, type ProverContext, type RankSpace } from './proveGroup.js';
import type { ReducedStatement, ReportStage } from './proveStatement.js';
import { type LaneSource, proveSum } from './sumProve.js';

/** p and q of one block with their commitments; secret but for the points, fresh for every attempt. */
export interface CommittedBlock {
  readonly points: { readonly p: G1Point; readonly q: G1Point };
  /** Values on H, blinders included, `[N]` each. */
  readonly p: FieldVector;
  readonly q: FieldVector;
}

/** Step 2 without circuits: commits to all pairs, a block at a time. docs/protocol.md, "The KZG rank check". */
export async function commitPairs(
  engine: Engine,
  srs: ProverSrs,
  space: readonly RankSpace[],
): Promise<CommittedBlock[]> {
  const { domainSize } = srs;
  const [allP, allQ] = [space.flatMap(({ p }) => p), space.flatMap(({ q }) => q)];
  const commit = async (values: readonly bigint[], blinders: readonly bigint[]) => {
    const [first, last] = [vectorFromScalars(engine, values), vectorFromScalars(engine, blinders)];
    const onDomain = zeroVector(domainSize);
    placeVector(onDomain, first, 0);
    placeVector(onDomain, last, domainSize - BLINDER_PLACES);
    return { onDomain, point: await commitEnds(engine, srs, first, last) };
  };
  return Promise.all(
    blocksOf(allP.length, domainSize).map(async ({ first, size }) => {
      const part = (values: readonly bigint[]) => values.slice(first, first + size);
      const [p, q] = await Promise.all([
        commit(part(allP), [randomScalar(), 0n, 0n]),
        commit(part(allQ), [0n, randomScalar(), randomScalar()]),
      ]);
      return { points: { p: p.point, q: q.point }, p: p.onDomain, q: q.onDomain };
    }),
  );
}

/** The products (q - r) p - s q of all blocks, after those of `rows`; every q is opened at z beside Lambda. */
export function withPairs(
  engine: Engine,
  rows: LaneSource,
  blocks: readonly CommittedBlock[],
  weights: readonly BlockWeights[],
): LaneSource {
  const products = blocks.flatMap(({ p, q }, g) => {
    const { r, s } = weights[g]!;
    return [
      { known: subVectors(engine, q, r), rows: p, blinder: 0n },
      { known: scaleVector(engine, s, R - 1n), rows: q, blinder: 0n },
    ];
  });
  return {
    *lanes() {
      yield* rows.lanes();
      yield* products;
    },
    combineAt: async (basis) => {
      const { values, blinder } = await rows.combineAt(basis);
      const combined = products.reduce(
        (sum, { known, rows: row }) => addScaled(engine, sum, row, dotVectors(engine, known, basis)),
        values,
      );
      return { values: combined, blinder };
    },
    opened: blocks.map(({ q }) => q),
  };
}

/** Shows the pairs' products inside the sum argument; docs/protocol.md, "The KZG rank check". */
export async function provePairs(
  { engine, srs, statement }: ProverContext,
  { transcript, space, checked, prepareLanes }: ReducedStatement,
  report: ReportStage,
): Promise<Omit<Proof, 'modules'>> {
  report('pairs');
  const [blocks, lanesFor] = await Promise.all([commitPairs(engine, srs, space), prepareLanes(), checked]);
  const rho = drawPairs(
    transcript,
    blocks.map(({ points }) => points),
  );
  report('polynomials');
  const weights = blockWeights(engine, statement.domainSize, statement.groups[0]!.pairs, rho);
  const lanes = withPairs(engine, lanesFor(rho, 1n), blocks, weights);
  const { sum, opened } = await proveSum(engine, srs, transcript, lanes, [0n, 0n], claimOf(space));
  return { groups: [], blocks: blocks.map(({ points }, g) => ({ ...points, qAtPoint: opened[g]! })), sum };
}

/** What the products of all pairs come to. */
function claimOf(space: readonly RankSpace[]): bigint {
  return space.reduce((sum, pairs) => Fr.add(sum, innerProduct(pairs)), 0n);
}

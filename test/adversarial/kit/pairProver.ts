import type { G1Point } from '../../../src/algebra/index.js';
import type { Proof } from '../../../src/protocol/index.js';
import { mod, power } from '../../reference/field.js';
import { type BlockWeights, blockSizes } from '../../reference/pairBlocks.js';
import { randomVector } from './linearForm.js';
import { PairSchedule } from './pairSchedule.js';
import { commit } from './points.js';
import { evaluate, interpolate, type Polynomial, plus, valuesOn } from './polynomial.js';
import type { Setting } from './setting.js';
import { openSum, prepareSum, type SumRun, shiftedValue, startSum } from './sum.js';
import { foldPairs, rowLanes } from './witness.js';

/** Work on one block. What a deviation changes before its step is kept. */
export interface BlockRun {
  /** P_g */
  readonly pairs: number;
  /** Coefficients, of any degree that the string allows; blinders included. */
  p: Polynomial;
  q: Polynomial;
  points?: { readonly p: G1Point; readonly q: G1Point };
  weights?: BlockWeights;
  /** q(z), as sent. */
  qAtPoint: bigint;
}

/** Everything the prover knows, as it goes. */
export interface PairRun extends SumRun {
  readonly setting: Setting;
  readonly schedule: PairSchedule;
  readonly blocks: BlockRun[];
  rho: bigint;
  /** What the verifier derives from the session. */
  readonly claim: bigint;
}

type Hook = (run: PairRun) => void | Promise<void>;

/** What a prover does besides the protocol: each hook runs when its step is done and before anything is sent. */
export interface PairDeviation {
  /** p and q of every block are chosen. */
  readonly chosen?: Hook;
  /** rho is known, and with it lanes and total; phi comes next. */
  readonly summing?: Hook;
  /** phi and Q are computed. */
  readonly summed?: Hook;
  /** z is known, e and q(z) are computed. */
  readonly valued?: Hook;
  /** The openings are computed. */
  readonly opened?: Hook;
}

/** The protocol of docs/protocol.md, "The KZG rank check", with deviations; checks nothing of what it claims. */
export async function dishonestPairs(
  setting: Setting,
  deviation: PairDeviation = {},
  schedule: PairSchedule = new PairSchedule(setting.statement),
): Promise<Proof> {
  const { engine, statement, srs } = setting;
  const size = statement.domainSize;
  const [all] = statement.groups;
  const { p, q, claim } = foldPairs(setting, all!, schedule);
  const run: PairRun = { setting, schedule, blocks: blocksOf(p, q, size), rho: 0n, claim, ...startSum() };
  await deviation.chosen?.(run);
  for (const block of run.blocks) {
    block.points ??= { p: await commit(engine, srs, block.p), q: await commit(engine, srs, block.q) };
  }
  run.rho = schedule.pairs(run.blocks.map(({ points }) => points!));
  const weights = schedule.weights(all!.pairs, run.rho);
  const { u, v, t } = schedule;
  run.lanes = rowLanes(setting, { u, v, t, rho: run.rho, kappa: 1n });
  run.blocks.forEach((block, g) => {
    block.weights = weights[g]!;
    const [r, s] = [interpolate(weights[g]!.r), interpolate(weights[g]!.s)];
    run.lanes.push(
      { known: plus(block.q, r, -1n), rows: block.p },
      { known: plus([], s, -1n), rows: block.q },
    );
  });
  run.total = claim;
  await deviation.summing?.(run);
  prepareSum(run, size, []);
  await deviation.summed?.(run);
  const sent = {
    runningSum: await commit(engine, srs, run.phi),
    quotient: await commit(engine, srs, run.quotient),
  };
  run.z = schedule.point(sent);
  for (const block of run.blocks) block.qAtPoint = evaluate(block.q, run.z);
  run.e = shiftedValue(run, size);
  await deviation.valued?.(run);
  const nu = schedule.values(
    run.e,
    run.blocks.map(({ qAtPoint }) => qAtPoint),
  );
  openPairs(run, size, nu);
  await deviation.opened?.(run);
  const sum = {
    ...sent,
    shifted: run.e,
    opening: await commit(engine, srs, run.opening),
    shiftedOpening: await commit(engine, srs, run.shiftedOpening),
  };
  schedule.batch(sum);
  const blocks = run.blocks.map(({ points, qAtPoint }) => ({ ...points!, qAtPoint }));
  return { modules: statement.modules.map(({ index }) => index), groups: [], blocks, sum };
}

/** W of Lambda + sum nu^(g+1) q_g, Lambda as the verifier builds it from the q(z) that are sent. */
function openPairs(run: PairRun, size: number, nu: bigint): void {
  const { z } = run;
  const beside = run.blocks.reduce<Polynomial>((sum, { p, q, qAtPoint }, g) => {
    const off = mod(qAtPoint - evaluate(q, z));
    return plus(plus(sum, p, off), q, power(nu, BigInt(g + 1)));
  }, []);
  openSum(run, size, [], beside);
}

/** Values of one block on H: pairs in front, blinders at the end. */
function blocksOf(p: readonly bigint[], q: readonly bigint[], size: number): BlockRun[] {
  let before = 0;
  return blockSizes(p.length, size).map((pairs): BlockRun => {
    const free = new Array<bigint>(size - 3 - pairs).fill(0n);
    const part = (values: readonly bigint[]) => values.slice(before, before + pairs);
    const [beta, gamma, delta] = randomVector(3) as [bigint, bigint, bigint];
    const block = {
      pairs,
      p: interpolate([...part(p), ...free, beta, 0n, 0n]),
      q: interpolate([...part(q), ...free, 0n, gamma, delta]),
      qAtPoint: 0n,
    };
    before += pairs;
    return block;
  });
}

/** A polynomial of a block on H. */
export function onDomain(run: PairRun, polynomial: Polynomial): bigint[] {
  return valuesOn(run.setting.statement.domainSize, polynomial);
}

/** sum over all blocks and all of H of p q, less the claim */
export function excessOf(run: PairRun): bigint {
  const products = run.blocks.flatMap(({ p, q }) => {
    const [left, right] = [onDomain(run, p), onDomain(run, q)];
    return left.map((value, i) => value * right[i]!);
  });
  return mod(products.reduce((sum, value) => sum + value, -run.claim));
}

/** Adds to the values of p or q at one place of H. */
export function addAt(run: PairRun, block: BlockRun, side: 'p' | 'q', place: number, amount: bigint): void {
  const unit = Array.from({ length: run.setting.statement.domainSize }, (_, i) =>
    i === place ? mod(amount) : 0n,
  );
  block[side] = plus(block[side], interpolate(unit));
}

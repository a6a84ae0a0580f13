import { type G1Point, randomScalar } from '../../../src/algebra/index.js';
import { concatBytes } from '../../../src/bytes.js';
import { proveRankCheck } from '../../../src/circuit/rankCheck.js';
import type { VerificationKey } from '../../../src/circuit/verificationKey.js';
import type { GroupProof, LinearFormProof, Proof } from '../../../src/protocol/index.js';
import { formBases } from '../../../src/protocol/linearForm.js';
import { inner, mod, powers } from '../../reference/field.js';
import { formCoefficients } from '../../support/formCoefficients.js';
import { proveForm } from './linearForm.js';
import { combine, commit, pointsOf, type Term } from './points.js';
import { type Polynomial, plus } from './polynomial.js';
import { Schedule } from './schedule.js';
import type { Setting } from './setting.js';
import { openSum, prepareSum, type SumRun, shiftedValue, startSum } from './sum.js';
import { foldPairs, rowLanes } from './witness.js';

/** Work on one group. What a deviation sets before its step is kept. */
export interface GroupRun {
  /** P */
  readonly pairs: number;
  readonly key: VerificationKey;
  /** IC of mu, b, and p and q of the pairs. */
  readonly bases: Uint8Array;
  /** `[P]` each: what D and the Groth16 proof hold. */
  p: bigint[];
  q: bigint[];
  /** y as the verifier derives it from the session. */
  readonly claim: bigint;
  /** R = m[0] + m[1] X, as committed. */
  m: [bigint, bigint];
  mu: bigint;
  b: bigint;
  /** (mu, b, p, q) */
  witness?: bigint[];
  d?: G1Point;
  r?: G1Point;
  groth16?: GroupProof['groth16'];
  s?: bigint;
  linearForm?: LinearFormProof;
}

/** Everything the prover knows, as it goes. */
export interface Run extends SumRun {
  readonly setting: Setting;
  readonly schedule: Schedule;
  readonly groups: GroupRun[];
  rho: bigint;
  kappa: bigint;
}

type Hook = (run: Run) => void | Promise<void>;

/** What a prover does besides the protocol: each hook runs when its step is done and before anything is sent. */
export interface Deviation {
  /** p, q, masks and claims of every group are chosen; D, [R] and the Groth16 proofs come next. */
  readonly ranked?: Hook;
  /** rho is known and S computed. */
  readonly valued?: Hook;
  /** kappa is known; the linear forms come next. */
  readonly weighted?: Hook;
  /** lanes and total of the sum argument are known; phi comes next. */
  readonly summing?: Hook;
  /** phi and Q are computed. */
  readonly summed?: Hook;
  /** z is known; e and the openings are computed. */
  readonly opened?: Hook;
}

/** The protocol of docs/protocol.md section 6, with deviations; checks nothing of what it claims. */
export async function dishonestProof(
  setting: Setting,
  deviation: Deviation = {},
  schedule: Schedule = new Schedule(setting.statement),
): Promise<Proof> {
  const { engine, statement, srs } = setting;
  const run: Run = {
    setting,
    schedule,
    groups: await rankedGroups(setting, schedule),
    rho: 0n,
    kappa: 0n,
    ...startSum(),
  };
  await deviation.ranked?.(run);
  for (const group of run.groups) {
    const { mu, b, p, q } = group;
    group.witness ??= [mu, b, ...p, ...q];
    const points = pointsOf(group.bases);
    group.d ??= await combine(
      engine,
      group.witness.map((value, i): Term => [value, points[i]!]),
    );
    group.r ??= await commit(engine, srs, group.m);
    group.groth16 ??= await proveProducts(setting, group);
  }

  run.rho = schedule.form(run.groups.map(committedPart));
  for (const group of run.groups) group.s ??= inner(group.witness!, formCoefficients(run.rho, group.pairs));
  await deviation.valued?.(run);
  run.kappa = schedule.groupWeight(run.groups.map(({ s }) => s!));
  await deviation.weighted?.(run);
  for (const group of run.groups) {
    const ell = formCoefficients(run.rho, group.pairs);
    group.linearForm ??= await proveForm(engine, schedule, group.bases, ell, group.witness!);
  }

  const size = statement.domainSize;
  const kappas = powers(run.kappa, run.groups.length);
  const { u, v, t } = schedule;
  run.lanes = rowLanes(setting, { u, v, t, rho: run.rho, kappa: run.kappa });
  run.total = inner(
    kappas,
    run.groups.map(({ s }) => s!),
  );
  await deviation.summing?.(run);
  const mask = maskOf(run);
  prepareSum(run, size, mask);
  await deviation.summed?.(run);
  const sent = {
    runningSum: await commit(engine, srs, run.phi),
    quotient: await commit(engine, srs, run.quotient),
  };
  run.z = schedule.point(sent);

  run.e = shiftedValue(run, size);
  openSum(run, size, mask);
  await deviation.opened?.(run);
  const sum = {
    ...sent,
    shifted: run.e,
    opening: await commit(engine, srs, run.opening),
    shiftedOpening: await commit(engine, srs, run.shiftedOpening),
  };
  schedule.batch(sum);
  const groups = run.groups.map(
    (group): GroupProof => ({ ...committedPart(group), formValue: group.s!, linearForm: group.linearForm! }),
  );
  return { modules: statement.modules.map(({ index }) => index), groups, blocks: [], sum };
}

/** The circuit's proof of a group's values, zeros at its places without a pair; what is given replaces the group's own. */
export async function proveProducts(
  { engine, parameters }: Setting,
  group: GroupRun,
  { y = group.claim, p = group.p, q = group.q } = {},
): Promise<GroupProof['groth16']> {
  const { mu, b, key } = group;
  const places = (values: readonly bigint[]) => Array.from({ length: key.pairs }, (_, l) => values[l] ?? 0n);
  const zkey = await parameters.zkey(key.pairs);
  return proveRankCheck(engine, zkey, { y, mu, b, p: places(p), q: places(q) });
}

/** Combined mask polynomial sum_g kappa^g R_g. */
export function maskOf(run: Run): Polynomial {
  const kappas = powers(run.kappa, run.groups.length);
  return run.groups.reduce<Polynomial>((sum, { m }, g) => plus(sum, m, kappas[g]!), [0n, 0n]);
}

function committedPart({ d, r, groth16 }: GroupRun): Pick<GroupProof, 'committed' | 'mask' | 'groth16'> {
  return { committed: d!, mask: r!, groth16: groth16! };
}

async function rankedGroups(setting: Setting, schedule: Schedule): Promise<GroupRun[]> {
  const { statement, parameters } = setting;
  const groups: GroupRun[] = [];
  for (const group of statement.groups) {
    const { pairs } = group;
    const m: [bigint, bigint] = [randomScalar(), randomScalar()];
    const key = await parameters.vkey(group.circuit);
    const mu = mod(BigInt(statement.domainSize) * m[0]);
    const bases = concatBytes(...formBases(key, pairs));
    groups.push({ pairs, key, bases, ...foldPairs(setting, group, schedule), m, mu, b: randomScalar() });
  }
  return groups;
}

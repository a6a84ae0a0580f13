import { type G1Point, randomScalar } from '../../../src/algebra/index.js';
import { concatBytes } from '../../../src/bytes.js';
import { proveRankCheck } from '../../../src/circuit/rankCheck.js';
import type { VerificationKey } from '../../../src/circuit/verificationKey.js';
import type { GroupProof, LinearFormProof, Proof } from '../../../src/protocol/index.js';
import { lanesOf } from '../../../src/protocol/lanes.js';
import { formBases } from '../../../src/protocol/linearForm.js';
import { groupPairs } from '../../../src/protocol/statement.js';
import { inner, inverse, mod, power, powers, rootOfUnity } from '../../reference/field.js';
import { foldInput, foldOutput } from '../../reference/fold.js';
import { formCoefficients } from '../../support/formCoefficients.js';
import { proveForm, randomVector } from './linearForm.js';
import { combine, commit, pointsOf, type Term } from './points.js';
import {
  evaluate,
  interpolate,
  openedAt,
  overVanishing,
  type Polynomial,
  plus,
  stretched,
  times,
  timesVanishing,
  valuesOn,
  vanishingAt,
} from './polynomial.js';
import { Schedule } from './schedule.js';
import type { Setting } from './setting.js';

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

/** A lane of the sum: a public polynomial and the combination of committed rows, as coefficients. */
export interface RunLane {
  readonly known: Polynomial;
  rows: Polynomial;
}

/** Everything the prover knows, as it goes. */
export interface Run {
  readonly setting: Setting;
  readonly schedule: Schedule;
  readonly groups: GroupRun[];
  rho: bigint;
  kappa: bigint;
  /** Of the sum argument. */
  lanes: RunLane[];
  /** sum_g kappa^g S_g */
  total: bigint;
  phi: Polynomial;
  quotient: Polynomial;
  z: bigint;
  e: bigint;
  opening: Polynomial;
  shiftedOpening: Polynomial;
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
    lanes: [],
    total: 0n,
    phi: [],
    quotient: [],
    z: 0n,
    e: 0n,
    opening: [],
    shiftedOpening: [],
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
  run.lanes = rowLanes(run);
  run.total = inner(
    kappas,
    run.groups.map(({ s }) => s!),
  );
  await deviation.summing?.(run);
  const mask = maskOf(run);
  const share = mod(run.total * inverse(BigInt(size)));
  const product = run.lanes.reduce(
    (sum, { known, rows }) => plus(sum, times(known, rows)),
    plus(mask, [-share]),
  );
  run.phi = runningSum(product, size);
  const root = rootOfUnity(size);
  run.quotient = overVanishing(plus(plus(product, run.phi), stretched(run.phi, root), -1n), size);
  await deviation.summed?.(run);
  const sent = {
    runningSum: await commit(engine, srs, run.phi),
    quotient: await commit(engine, srs, run.quotient),
  };
  run.z = schedule.point(sent);

  const shifted = mod(root * run.z);
  const lambda = lambdaOf(run, mask);
  run.e = evaluate(run.phi, shifted);
  run.opening = openedAt(lambda, run.z);
  run.shiftedOpening = openedAt(run.phi, shifted);
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

/** Lambda(X) = sum known(z) rows(X) + R(X) + phi(X) - Z_H(z) Q(X) */
export function lambdaOf(run: Run, mask: Polynomial): Polynomial {
  const size = run.setting.statement.domainSize;
  const rows = run.lanes.reduce<Polynomial>(
    (sum, lane) => plus(sum, lane.rows, evaluate(lane.known, run.z)),
    mask,
  );
  return plus(plus(rows, run.phi), run.quotient, -vanishingAt(run.z, size));
}

/** Combined mask polynomial sum_g kappa^g R_g. */
export function maskOf(run: Run): Polynomial {
  const kappas = powers(run.kappa, run.groups.length);
  return run.groups.reduce<Polynomial>((sum, { m }, g) => plus(sum, m, kappas[g]!), [0n, 0n]);
}

function committedPart({ d, r, groth16 }: GroupRun): Pick<GroupProof, 'committed' | 'mask' | 'groth16'> {
  return { committed: d!, mask: r!, groth16: groth16! };
}

/** Row j of an int16 matrix. */
function rowOf(matrix: Int16Array, row: number, width: number): bigint[] {
  return Array.from(matrix.subarray(row * width, (row + 1) * width), BigInt);
}

async function rankedGroups(setting: Setting, { u, v, t }: Schedule): Promise<GroupRun[]> {
  const { statement, session, parameters, modules } = setting;
  const members = session.header.inputs.flat().sort((a, b) => a - b);
  const groups: GroupRun[] = [];
  for (const group of statement.groups) {
    const { pairs } = group;
    const p = new Array<bigint>(pairs).fill(0n);
    const q = new Array<bigint>(pairs).fill(0n);
    groupPairs(statement, group).forEach(({ position, row }, l) => {
      const { index, input, inFeatures, outFeatures } = statement.modules[position]!;
      const folded = foldInput(session.calls, input, inFeatures, u);
      const weight = power(t, BigInt(position));
      p[l] = mod(weight * inner(folded, rowOf(modules[index]!.a, row, inFeatures)));
      q[l] = inner(powers(v, outFeatures), rowOf(modules[index]!.bT, row, outFeatures));
    });
    const claim = group.members.reduce((sum, position) => {
      const module = statement.modules[position]!;
      const y = foldOutput(session.calls, members.indexOf(module.index), module, { u, v, t });
      return mod(sum + power(t, BigInt(position)) * y);
    }, 0n);
    const m: [bigint, bigint] = [randomScalar(), randomScalar()];
    const key = await parameters.vkey(group.circuit);
    const mu = mod(BigInt(statement.domainSize) * m[0]);
    const bases = concatBytes(...formBases(key, pairs));
    groups.push({ pairs, key, bases, p, q, claim, m, mu, b: randomScalar() });
  }
  return groups;
}

/** The lanes of the inputs, and one for v. */
function rowLanes({ setting, schedule, groups, rho, kappa }: Run): RunLane[] {
  const { statement, session, modules, blinders } = setting;
  const { u, v, t } = schedule;
  const size = statement.domainSize;
  const zeros = () => new Array<bigint>(size).fill(0n);
  const add = (target: bigint[], values: readonly bigint[], offset: number, weight = 1n) => {
    values.forEach((value, i) => {
      target[offset + i] = mod(target[offset + i]! + weight * value);
    });
  };
  const inputLanes = lanesOf(statement.modules).map((places) => {
    const known = zeros();
    for (const { input, offset, positions } of places) {
      const { inFeatures } = statement.modules[positions[0]!]!;
      add(known, foldInput(session.calls, input, inFeatures, u), offset);
    }
    return { positions: places.flatMap(({ positions }) => positions), known, values: zeros(), blinder: 0n };
  });
  const widest = Math.max(...statement.modules.map(({ outFeatures }) => outFeatures));
  const outputLane = { known: zeros(), values: zeros(), blinder: 0n };
  add(outputLane.known, powers(v, widest), 0);
  statement.groups.forEach((group, g) => {
    const groupWeight = power(kappa, BigInt(g));
    groupPairs(statement, group).forEach(({ position, row }, l) => {
      const { index, inFeatures, outFeatures, columnOffset } = statement.modules[position]!;
      const { a, bT } = modules[index]!;
      const aWeight = mod(power(t, BigInt(position)) * mod(groupWeight * power(rho, BigInt(l + 1))));
      const bWeight = mod(groupWeight * power(rho, BigInt(groups[g]!.pairs + l + 1)));
      const lane = inputLanes.find(({ positions }) => positions.includes(position))!;
      add(lane.values, rowOf(a, row, inFeatures), columnOffset, aWeight);
      lane.blinder = mod(lane.blinder + aWeight * blinders[index]!.a[row]!);
      add(outputLane.values, rowOf(bT, row, outFeatures), 0, bWeight);
      outputLane.blinder = mod(outputLane.blinder + bWeight * blinders[index]!.b[row]!);
    });
  });
  return [...inputLanes, outputLane].map(({ known, values, blinder }) => ({
    known: interpolate(known),
    rows: plus(interpolate(values), timesVanishing([blinder], size)),
  }));
}

/** phi: prefix sums of a polynomial's values on H, blinded. Where the values do not sum to 0, it jumps at the end. */
function runningSum(product: Polynomial, size: number): Polynomial {
  let sum = 0n;
  const prefix = valuesOn(size, product).map((value) => {
    const before = sum;
    sum = mod(sum + value);
    return before;
  });
  return plus(interpolate(prefix), timesVanishing(randomVector(3), size));
}

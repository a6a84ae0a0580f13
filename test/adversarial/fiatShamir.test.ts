import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Engine, loadEngine, randomScalar } from '../../src/algebra/index.js';
import type { ParameterStore } from '../../src/circuit/index.js';
import type { Proof } from '../../src/protocol/index.js';
import { formPoint } from '../../src/protocol/linearForm.js';
import { Transcript } from '../../src/protocol/transcript.js';
import { inner, inverse, mod, powers, R, rootOfUnity } from '../reference/field.js';
import { expectAccepted, expectRefused } from '../support/bothVerifiers.js';
import { formCoefficients } from '../support/formCoefficients.js';
import { developmentParameters, type MemorySession, makeScenario } from '../support/scenario.js';
import { each, excess, fitProducts, forgeCommitment, proveTrueProducts } from './kit/forgery.js';
import { shortRelation } from './kit/lattice.js';
import { commitFolded, foldOnce, foldResponse, randomVector, unfolded } from './kit/linearForm.js';
import { combine, pointsOf, type Term } from './kit/points.js';
import { evaluate, openedAt, plus, vanishingAt } from './kit/polynomial.js';
import { type Deviation, dishonestProof, type GroupRun, maskOf } from './kit/prover.js';
import { Schedule } from './kit/schedule.js';
import { filesOf, makeSetting, type Setting, settingOf, smallestCircuitOnly } from './kit/setting.js';
import { lambdaAtZ, lambdaOf } from './kit/sum.js';
import {
  EarlyBatch,
  EarlyFold,
  EarlyForm,
  EarlyGroupWeight,
  EarlyPoint,
  EarlyResponse,
  Unweighted,
} from './kit/weakSchedules.js';
import { batchedOpeningHolds, falseUnder } from './kit/weakVerifier.js';

let engine: Engine;
let parameters: ParameterStore;
let truth: Setting;
/** One delta is not what the committed weights give. */
let lie: Setting;

const SCENARIO = {
  shapes: [
    { rank: 2, inFeatures: 6, outFeatures: 4 },
    { rank: 2, inFeatures: 5, outFeatures: 4 },
  ],
  calls: [2],
};

beforeAll(async () => {
  engine = await loadEngine();
  parameters = await developmentParameters();
  truth = await makeSetting(engine, parameters, SCENARIO);
  lie = await makeSetting(engine, parameters, SCENARIO, { falsify: addTo(0, 0, 1n) });
});
afterAll(() => engine.terminate());
afterEach(() => {
  vi.restoreAllMocks();
});

function addTo(module: number, index: number, amount: bigint) {
  return ({ calls }: MemorySession) => {
    calls[0]!.outputs[module]![index]! += amount;
  };
}

/** A false delta, proven to a verifier with other moves; the real one refuses proof and prover. */
async function expectBreaksOnly<S extends Schedule>(
  setting: Setting,
  weak: () => S,
  deviate: (schedule: S) => Deviation,
  reason: string,
) {
  const schedule = weak();
  const proof = await dishonestProof(setting, deviate(schedule), schedule);
  const files = filesOf(setting, [proof]);
  expect(falseUnder(files, proof, weak())).toEqual([]);
  // challenges of the real verifier differ, so that the first equation already fails
  await expectRefused(engine, files, 'OPENING_INVALID');
  // the same attack on the real moves, with the weak challenges as guesses
  const guessed = await dishonestProof(setting, deviate(schedule));
  await expectRefused(engine, filesOf(setting, [guessed]), reason);
}

describe('a challenge drawn before what it must depend on lets a false delta through', () => {
  it('rho before D and [R]', async () => {
    await expectBreaksOnly(
      lie,
      () => new EarlyForm(lie.statement),
      ({ rho }) => ({
        // Delta p_0 = d, Delta p_1 = -d / rho: the form does not see it
        ranked: each((_, group) => {
          const { p, q } = group;
          const ratio = inverse(rho);
          const d = mod(-excess(group) * inverse(mod(q[0]! - ratio * q[1]!)));
          p[0] = mod(p[0]! + d);
          p[1] = mod(p[1]! - ratio * d);
        }),
      }),
      'OPENING_INVALID',
    );
  });

  it('kappa before D, [R] and S', async () => {
    const several = smallestCircuitOnly(parameters);
    const shapes = [9, 9].map((rank) => ({ rank, inFeatures: 5, outFeatures: 4 }));
    const setting = await makeSetting(engine, several, { shapes, calls: [2] }, { falsify: addTo(0, 0, 1n) });
    expect(setting.statement.groups).toHaveLength(2);
    await expectBreaksOnly(
      setting,
      () => new EarlyGroupWeight(setting.statement),
      ({ kappa }) => ({
        // what group 0 adds to p, group 1 takes off, divided by kappa; group 1's products stay what they are
        ranked: ({ groups }) => {
          const [first, second] = groups as [GroupRun, GroupRun];
          const ratio = mod(-second.q[0]! * inverse(second.q[1]!));
          const d = mod(-excess(first) * inverse(mod(first.q[0]! + ratio * first.q[1]!)));
          [d, mod(d * ratio)].forEach((change, l) => {
            first.p[l] = mod(first.p[l]! + change);
            second.p[l] = mod(second.p[l]! - change * inverse(kappa));
          });
          expect(groups.map(excess)).toEqual([0n, 0n]);
        },
      }),
      'OPENING_INVALID',
    );
  });

  /** Groth16 and D forged; S as the committed rows have it. */
  const forgeAll = each(forgeCommitment);

  it('x before D_r and s_r', async () => {
    await expectBreaksOnly(
      lie,
      () => new EarlyResponse(lie.statement),
      (schedule) => ({
        ranked: forgeAll,
        weighted: each(async (run, group) => {
          const { x, c } = schedule;
          const ell = formCoefficients(run.rho, group.pairs);
          const response = randomVector(ell.length);
          const points = pointsOf(group.bases);
          const mask = await combine(engine, [
            ...response.map((value, i): Term => [value, points[i]!]),
            [-x, group.d!],
          ]);
          const maskValue = mod(inner(response, ell) - x * group.s!);
          run.schedule.response({ mask, maskValue });
          const start = unfolded(group.bases, ell, c, response);
          group.linearForm = { mask, maskValue, ...(await foldResponse(engine, run.schedule, start)) };
        }),
      }),
      'LINEAR_FORM_INVALID',
    );
  });

  it('a fold before its left and right', async () => {
    await expectBreaksOnly(
      lie,
      () => new EarlyFold(lie.statement),
      ({ folds: [guess] }) => ({
        ranked: forgeAll,
        weighted: each(async (run, group) => {
          const ell = formCoefficients(run.rho, group.pairs);
          const mask = group.r!;
          const maskValue = randomScalar();
          const { x, c } = run.schedule.response({ mask, maskValue });
          // whatever P_0 is, left_1 makes P_1 the commitment of a chosen response
          const start = unfolded(group.bases, ell, c, randomVector(ell.length));
          const next = foldOnce(start, guess!);
          const value = mod(c * mod(maskValue + x * group.s!));
          const right = group.d!;
          const left = await combine(engine, [
            [1n, await commitFolded(engine, next.response, next.bases, next.form)],
            ...[[1n, mask] as const, [x, group.d!] as const, [value, formPoint()] as const].map(
              ([s, point]): Term => [mod(-guess! * s), point],
            ),
            [mod(-guess! * guess!), right],
          ]);
          run.schedule.fold(left, right);
          const { rounds, final } = await foldResponse(engine, run.schedule, next);
          group.linearForm = { mask, maskValue, rounds: [{ left, right }, ...rounds], final };
        }),
      }),
      'LINEAR_FORM_INVALID',
    );
  });

  it('z before phi and Q', async () => {
    await expectBreaksOnly(
      lie,
      () => new EarlyPoint(lie.statement),
      (schedule) => ({
        ranked: each((_, group) => fitProducts(group)),
        // a constant in Q makes the identity hold at z, and only there
        summed: (run) => {
          const { z } = schedule;
          const size = run.setting.statement.domainSize;
          run.z = z;
          const off = mod(evaluate(lambdaOf(run, size, maskOf(run)), z) - lambdaAtZ(run, size));
          run.quotient = plus(run.quotient, [mod(off * inverse(vanishingAt(z, size)))]);
        },
      }),
      'OPENING_INVALID',
    );
  });

  it("the batching challenge before e, W and W'", async () => {
    const attack = (weight: () => bigint): Deviation => ({
      ranked: each((_, group) => fitProducts(group)),
      // V5 + batch V6 = (X - z) W + batch (X - w z) W' has a solution with a constant W', whatever e and S are
      opened: (run) => {
        const batch = weight();
        const size = run.setting.statement.domainSize;
        const shifted = mod(run.z * rootOfUnity(size));
        run.e = 123n;
        const value = mod(run.total * inverse(BigInt(size)) + run.e);
        const both = plus(plus(lambdaOf(run, size, maskOf(run)), [-value]), plus(run.phi, [-run.e]), batch);
        const constant = mod(evaluate(both, run.z) * inverse(mod(batch * (run.z - shifted))));
        run.shiftedOpening = [constant];
        run.opening = openedAt(plus(both, [-shifted, 1n], -batch * constant), run.z);
      },
    });
    const schedule = new EarlyBatch(lie.statement);
    const proof = await dishonestProof(
      lie,
      attack(() => schedule.weight),
      schedule,
    );
    const files = filesOf(lie, [proof]);
    expect(batchedOpeningHolds(files, proof, new EarlyBatch(lie.statement))).toBe(true);
    expect(batchedOpeningHolds(files, proof, new Schedule(lie.statement))).toBe(false);
    // one by one the equations are false for anybody; the others hold
    expect(falseUnder(files, proof, new Schedule(lie.statement))).toEqual(['equation (5) or (6)']);
    await expectRefused(engine, files, 'OPENING_INVALID');
  });
});

describe('challenges that do not depend on the session', () => {
  it('let through deltas that are far off, although deltas are 64-bit integers', async () => {
    const scenario = await makeScenario(engine, parameters, SCENARIO);
    const weak = ({ statement }: Setting) =>
      new Schedule({ ...statement, sessionDigest: new Uint8Array(32) });
    const { u, v } = weak(await settingOf(scenario));
    // module 0 has 4 outputs and 2 tokens; a short vector in the lattice of changes that u and v do not see
    const weights = [1n, u].flatMap((row) => powers(v, 4).map((weight) => mod(weight * row)));
    const change = shortRelation(weights, R, inverse);
    expect(inner(change.map(mod), weights)).toBe(0n);
    expect(change.every((amount) => amount ** 2n < 2n ** 80n)).toBe(true);
    const setting = await settingOf(scenario, {
      falsify: (session) => {
        for (const [index, amount] of change.entries()) addTo(0, index, amount)(session);
      },
    });
    expect(setting.session.calls).not.toEqual(scenario.session.calls);
    const proof = await dishonestProof(setting, {}, weak(setting));
    expect(falseUnder(filesOf(setting, [proof]), proof, weak(setting))).toEqual([]);
    await expectRefused(engine, filesOf(setting, [proof]), 'OPENING_INVALID');
    const attempt = await dishonestProof(setting, { ranked: each(proveTrueProducts) });
    await expectRefused(engine, filesOf(setting, [attempt]), 'GROTH16_INVALID');
  });
});

describe('deltas moved where a challenge does not tell places apart', () => {
  it.each([
    ['t', 'one module to another', 0, 1, 0],
    ['u', 'one token to another', 0, 0, 4],
    ['v', 'one output to another', 0, 0, 1],
  ] as const)('without %s, from %s', async (name, _places, from, to, index) => {
    const falsify = (session: MemorySession) => {
      addTo(from, 0, -9n)(session);
      addTo(to, index, 9n)(session);
    };
    const setting = await makeSetting(engine, parameters, SCENARIO, { falsify });
    const weak = () => new Unweighted(setting.statement, name);
    const proof = await dishonestProof(setting, {}, weak());
    expect(falseUnder(filesOf(setting, [proof]), proof, weak())).toEqual([]);
    const attempt = await dishonestProof(setting, { ranked: each(proveTrueProducts) });
    expect(falseUnder(filesOf(setting, [attempt]), attempt, new Schedule(setting.statement))).toEqual([
      'equation (2)',
    ]);
    await expectRefused(engine, filesOf(setting, [attempt]), 'GROTH16_INVALID');
  });
});

/** A proof of the kit whose transcript leaves out every item of one label. */
async function withoutItem(label: string): Promise<Proof> {
  const absorb = Transcript.prototype.absorb;
  let dropped = 0;
  vi.spyOn(Transcript.prototype, 'absorb').mockImplementation(function (this: Transcript, name, data) {
    if (name === label) dropped++;
    else absorb.call(this, name, data);
  });
  const proof = await dishonestProof(truth);
  vi.restoreAllMocks();
  expect(dropped).toBeGreaterThan(0);
  return proof;
}

describe('an honest witness with a transcript that leaves out an item', () => {
  const items = 'parameters adapter session sizes modules groups D R A B C S Dr sr left right final phi Q';
  it.each(items.split(' '))('%s', async (label) => {
    await expectRefused(engine, filesOf(truth, [await withoutItem(label)]), 'OPENING_INVALID');
  });

  it.each(['e', 'W', 'Wshifted'])('%s: the prover makes nothing of the last challenge', async (label) => {
    await expectAccepted(engine, filesOf(truth, [await withoutItem(label)]));
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, g1Generator, loadEngine } from '../../src/algebra/index.js';
import type { ParameterStore } from '../../src/circuit/index.js';
import { formPoint } from '../../src/protocol/linearForm.js';
import { inner, inverse, mod } from '../reference/field.js';
import { expectRefused } from '../support/bothVerifiers.js';
import { formCoefficients } from '../support/formCoefficients.js';
import { developmentParameters, type MemorySession } from '../support/scenario.js';
import { deltaInG1, each, excess, fitProducts, forgeCommitment, proveTrueProducts } from './kit/forgery.js';
import { combine, pointsOf, type Term } from './kit/points.js';
import { type Deviation, dishonestProof, type GroupRun, proveProducts } from './kit/prover.js';
import { Schedule } from './kit/schedule.js';
import { filesOf, makeSetting, type Setting } from './kit/setting.js';
import { NoSecondChallenge } from './kit/weakSchedules.js';
import { falseUnder } from './kit/weakVerifier.js';

let engine: Engine;
let parameters: ParameterStore;
/** One delta is not what the committed weights give. */
let lie: Setting;
let truth: Setting;

const SCENARIO = {
  shapes: [
    { rank: 2, inFeatures: 6, outFeatures: 4 },
    { rank: 1, inFeatures: 5, outFeatures: 4 },
  ],
  calls: [2],
};

beforeAll(async () => {
  engine = await loadEngine();
  parameters = await developmentParameters();
  truth = await makeSetting(engine, parameters, SCENARIO);
  const falsify = ({ calls }: MemorySession) => {
    calls[0]!.outputs[1]![2]! += 1n;
  };
  lie = await makeSetting(engine, parameters, SCENARIO, { falsify });
});
afterAll(() => engine.terminate());

/** Only the named equations are false, and both verifiers refuse for the first of them. */
async function expectOnly(
  setting: Setting,
  deviation: Deviation,
  reason: string,
  equations: readonly string[],
  schedule = (from: Setting) => new Schedule(from.statement),
) {
  const proof = await dishonestProof(setting, deviation);
  const files = filesOf(setting, [proof]);
  expect(falseUnder(files, proof, schedule(setting))).toEqual(equations);
  await expectRefused(engine, files, reason);
}

/** D as an honest prover makes it. */
function honestCommitment(group: GroupRun): Term[] {
  const points = pointsOf(group.bases);
  group.witness = [group.mu, group.b, ...group.p, ...group.q];
  return group.witness.map((value, i): Term => [value, points[i]!]);
}

describe('a false delta, with values in D that are not those of the committed rows', () => {
  it.each(['p', 'q'] as const)('%s differs between Groth16 and KZG', async (side) => {
    const change = (group: GroupRun) => {
      if (side === 'p') fitProducts(group);
      else group.q[1] = mod(group.q[1]! - excess(group) * inverse(group.p[1]!));
    };
    await expectOnly(lie, { ranked: each((_, group) => change(group)) }, 'OPENING_INVALID', [
      'equation (5) or (6)',
    ]);
  });

  it('a pair beyond the ranks', async () => {
    // the circuit has a place for it, and the key a point: the linear form has neither
    const change = each(async ({ setting }, group) => {
      const [l, K] = [14, group.key.pairs];
      const ic = pointsOf(group.key.ic);
      const [p, q] = [[...group.p], [...group.q]];
      [p[l], q[l]] = [mod(-excess(group)), 1n];
      const beyond: Term[] = [p, q].map((values, side) => [values[l]!, ic[4 + side * K + l]!]);
      group.d = await combine(engine, [...honestCommitment(group), ...beyond]);
      group.groth16 = await proveProducts(setting, group, { p, q });
    });
    await expectOnly(lie, { ranked: change }, 'LINEAR_FORM_INVALID', ['equation (4)']);
  });

  it('S is that of the committed rows, D opens to another', async () => {
    const committed = new Map<GroupRun, bigint[]>();
    const deviation: Deviation = {
      ranked: each((_, group) => {
        committed.set(group, [group.mu, group.b, ...group.p, ...group.q]);
        fitProducts(group);
      }),
      valued: each(({ rho }, group) => {
        group.s = inner(committed.get(group)!, formCoefficients(rho, group.pairs));
      }),
    };
    await expectOnly(lie, deviation, 'LINEAR_FORM_INVALID', ['equation (4)']);
  });

  it('a Groth16 proof of the true products', async () => {
    await expectOnly(lie, { ranked: each(proveTrueProducts) }, 'GROTH16_INVALID', ['equation (2)']);
  });
});

describe('D in other bases than IC_mu, IC_b, IC_p, IC_q: (2) alone would accept a false delta', () => {
  it('along IC_y', async () => {
    const deviation = each(async (run, group) => {
      await proveTrueProducts(run, group);
      const y = pointsOf(group.key.ic)[1]!;
      group.d = await combine(engine, [...honestCommitment(group), [excess(group), y]]);
    });
    await expectOnly(lie, { ranked: deviation }, 'LINEAR_FORM_INVALID', ['equation (4)']);
  });

  it('along IC_0, IC_y and delta, without any witness', async () => {
    const deviation = each(forgeCommitment);
    await expectOnly(lie, { ranked: deviation }, 'LINEAR_FORM_INVALID', ['equation (4)']);
  });

  it('along delta, with C to match', async () => {
    const deviation = each(async (run, group) => {
      const delta = await deltaInG1(run, group);
      await proveTrueProducts(run, group);
      const { a, b, c } = group.groth16!;
      group.d = await combine(engine, [...honestCommitment(group), [3n, delta]]);
      const shift: Term = [-3n, g1Generator(engine)];
      group.groth16 = { a, b, c: await combine(engine, [[1n, c], shift]) };
    });
    await expectOnly(truth, { ranked: deviation }, 'LINEAR_FORM_INVALID', ['equation (4)']);
  });
});

describe('D with a component along U', () => {
  const shift = 5n;
  /** S - 5 is shown where D opens to S; the mask makes the rows' side agree. */
  const deviation: Deviation = {
    ranked: each(async ({ setting }, group) => {
      group.d = await combine(engine, [...honestCommitment(group), [shift, formPoint()]]);
      group.m[0] = mod((group.mu - shift) * inverse(BigInt(setting.statement.domainSize)));
    }),
    valued: each((_, group) => {
      group.s = mod(group.s! - shift);
    }),
  };

  it('passes as a linear form without the second challenge', async () => {
    const schedule = () => new NoSecondChallenge(truth.statement);
    const proof = await dishonestProof(truth, deviation, schedule());
    // (4) holds for a value that is not the form's; that U spoils Groth16's equation too is no defence of (4)
    expect(falseUnder(filesOf(truth, [proof]), proof, schedule())).toEqual(['equation (2)']);
  });

  it('does not pass with it', async () => {
    await expectOnly(truth, deviation, 'LINEAR_FORM_INVALID', ['equation (4)', 'equation (2)']);
  });
});

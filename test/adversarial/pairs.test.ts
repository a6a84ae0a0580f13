import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import type { ParameterStore } from '../../src/circuit/index.js';
import type { Proof } from '../../src/protocol/index.js';
import { Transcript } from '../../src/protocol/transcript.js';
import { drawChallenges } from '../reference/challenges.js';
import { inverse, mod, rootOfUnity } from '../reference/field.js';
import { type OpenedProof, openProofs } from '../reference/verify.js';
import {
  expectAccepted,
  expectRefused,
  referenceInput,
  type VerifierFiles,
} from '../support/bothVerifiers.js';
import { developmentParameters, type MemorySession, makeScenario } from '../support/scenario.js';
import {
  addAt,
  type BlockRun,
  dishonestPairs,
  excessOf,
  onDomain,
  type PairDeviation,
  type PairRun,
} from './kit/pairProver.js';
import { PairSchedule } from './kit/pairSchedule.js';
import { evaluate, openedAt, plus, timesVanishing, vanishingAt } from './kit/polynomial.js';
import { dishonestProof } from './kit/prover.js';
import { Schedule } from './kit/schedule.js';
import { filesOf, type Setting, settingOf } from './kit/setting.js';
import { lambdaAtZ, lambdaOf } from './kit/sum.js';
import {
  EarlyPairBatch,
  EarlyPairPoint,
  EarlyPairs,
  EarlyValues,
  FreePlace,
  UnopenedValues,
  UnweightedPairs,
  UnweightedValues,
} from './kit/weakPairSchedules.js';
import { pairsHold } from './kit/weakVerifier.js';

let engine: Engine;
let parameters: ParameterStore;
let truth: Setting;
/** One delta is not what the committed weights give. */
let lie: Setting;
/** Deltas of one module are moved to another. */
let moved: Setting;
/** The true session as a statement of version 1. */
let circuits: Setting;
const N = 512;

beforeAll(async () => {
  engine = await loadEngine();
  parameters = await developmentParameters();
  const scenario = await makeScenario(engine, parameters, {
    shapes: [
      { rank: 2, inFeatures: 6, outFeatures: 4 },
      { rank: 2, inFeatures: 5, outFeatures: 4 },
    ],
    calls: [2],
  });
  const rankCheck = 'kzg';
  truth = await settingOf(scenario, { rankCheck });
  circuits = await settingOf(scenario);
  lie = await settingOf(scenario, { rankCheck, falsify: addTo(0, 0, 1n) });
  const falsify = (session: MemorySession) => {
    addTo(0, 0, -9n)(session);
    addTo(1, 0, 9n)(session);
  };
  moved = await settingOf(scenario, { rankCheck, falsify });
});
afterAll(() => engine.terminate());

function addTo(module: number, index: number, amount: bigint) {
  return ({ calls }: MemorySession) => {
    calls[0]!.outputs[module]![index]! += amount;
  };
}

const only = (run: PairRun): BlockRun => run.blocks[0]!;

/** Changes p at one place so that all products add up to the claim. */
function fitAt(run: PairRun, place: number): void {
  const block = only(run);
  addAt(run, block, 'p', place, -excessOf(run) * inverse(onDomain(run, block.q)[place]!));
}

/** A false statement, proven to a verifier with other moves. */
async function weakProof<S extends PairSchedule>(
  setting: Setting,
  weak: () => S,
  deviate: (schedule: S) => PairDeviation,
): Promise<{ files: VerifierFiles; deviation: PairDeviation }> {
  const schedule = weak();
  const deviation = deviate(schedule);
  const proof = await dishonestPairs(setting, deviation, schedule);
  const files = filesOf(setting, [proof]);
  expect(pairsHold(files, proof, weak())).toBe(true);
  return { files, deviation };
}

/** The real verifier differs in one thing, and refuses for it. */
async function expectBreaksOnly(weak: () => PairSchedule, deviation: PairDeviation): Promise<void> {
  const { files } = await weakProof(lie, weak, () => deviation);
  await expectRefused(engine, files, 'OPENING_INVALID');
}

/** The real verifier draws other challenges: the attack is repeated with them, the weak ones as guesses. */
async function expectGuessRefused<S extends PairSchedule>(
  weak: () => S,
  deviate: (schedule: S) => PairDeviation,
): Promise<void> {
  const { deviation } = await weakProof(lie, weak, deviate);
  const guessed = await dishonestPairs(lie, deviation);
  await expectRefused(engine, filesOf(lie, [guessed]), 'OPENING_INVALID');
}

describe('the kit', () => {
  it('is accepted where nothing deviates, and another degree of p, q, phi and Q is as good', async () => {
    await expectAccepted(engine, filesOf(truth, [await dishonestPairs(truth)]));
    const wider = { ...truth, srs: { ...truth.srs, powers: (await parameters.srs(1024)).powers } };
    const chosen = (run: PairRun) => {
      const block = only(run);
      block.p = plus(block.p, timesVanishing([7n, 1n, 5n], N));
      block.q = plus(block.q, timesVanishing([...new Array<bigint>(100).fill(0n), 3n], N));
    };
    await expectAccepted(engine, filesOf(wider, [await dishonestPairs(wider, { chosen })]));
  });
});

describe('a place of H that nothing forces lets a false delta through', () => {
  it('p and q at a place beyond the pairs', async () => {
    const chosen = (run: PairRun) => {
      addAt(run, only(run), 'q', 4, 1n);
      fitAt(run, 4);
    };
    await expectBreaksOnly(() => new FreePlace(lie.statement, 'r', 4), { chosen });
  });

  it('p at a blinder of q', async () => {
    await expectBreaksOnly(() => new FreePlace(lie.statement, 'r', N - 1), {
      chosen: (run) => fitAt(run, N - 1),
    });
  });

  it('q at the blinder of p', async () => {
    const chosen = (run: PairRun) => {
      const block = only(run);
      addAt(run, block, 'q', N - 3, -excessOf(run) * inverse(onDomain(run, block.p)[N - 3]!));
    };
    await expectBreaksOnly(() => new FreePlace(lie.statement, 's', N - 3), { chosen });
  });
});

describe('a false delta, with p and q that are not those of the committed rows', () => {
  it.each(['p', 'q'] as const)('%s of one pair', async (side) => {
    const chosen = (run: PairRun) => {
      const block = only(run);
      const other = onDomain(run, side === 'p' ? block.q : block.p)[1]!;
      addAt(run, block, side, 1, -excessOf(run) * inverse(other));
      expect(excessOf(run)).toBe(0n);
    };
    await expectRefused(engine, filesOf(lie, [await dishonestPairs(lie, { chosen })]), 'OPENING_INVALID');
  });

  it('true p and q, and a sum that is not the claim: phi jumps at the end', async () => {
    const summing = (run: PairRun) => {
      run.total = mod(run.claim + excessOf(run));
    };
    await expectRefused(engine, filesOf(lie, [await dishonestPairs(lie, { summing })]), 'OPENING_INVALID');
  });
});

describe('q(z) that is not opened as it should be lets a false delta through', () => {
  /** Lambda opens to what it should for a q(z) that is off by this. */
  const valued = (nu: () => bigint) => (run: PairRun) => {
    const block = only(run);
    const missing = lambdaAtZ(run, N) - evaluate(lambdaOf(run, N, []), run.z);
    const slope = mod(evaluate(block.p, run.z) - nu());
    block.qAtPoint = mod(block.qAtPoint + missing * inverse(slope));
  };

  it('not opened at all', async () => {
    await expectBreaksOnly(() => new UnopenedValues(lie.statement), { valued: valued(() => 0n) });
  });

  it('opened in one sum with Lambda without a weight', async () => {
    await expectBreaksOnly(() => new UnweightedValues(lie.statement), { valued: valued(() => 1n) });
  });

  it('opened with a weight drawn before q(z)', async () => {
    await expectGuessRefused(
      () => new EarlyValues(lie.statement),
      (schedule) => ({ valued: valued(() => schedule.nu) }),
    );
  });
});

describe('a challenge drawn before what it must depend on lets a false delta through', () => {
  it('rho before [p] and [q]', async () => {
    await expectGuessRefused(
      () => new EarlyPairs(lie.statement),
      ({ rho }) => ({
        // Delta p_0 = d, Delta p_1 = -d / rho: rho does not see it
        chosen: (run) => {
          const block = only(run);
          const [q0, q1] = onDomain(run, block.q);
          const ratio = inverse(rho);
          const d = mod(-excessOf(run) * inverse(mod(q0! - ratio * q1!)));
          addAt(run, block, 'p', 0, d);
          addAt(run, block, 'p', 1, -ratio * d);
        },
      }),
    );
  });

  it('z before phi and Q', async () => {
    await expectGuessRefused(
      () => new EarlyPairPoint(lie.statement),
      (schedule) => ({
        // a constant in Q makes the identity hold at z, and only there
        summed: (run) => {
          run.z = schedule.z;
          const off = mod(evaluate(lambdaOf(run, N, []), run.z) - lambdaAtZ(run, N));
          run.quotient = plus(run.quotient, [mod(off * inverse(vanishingAt(run.z, N)))]);
        },
      }),
    );
  });

  it("the batching challenge before W and W'", async () => {
    const schedule = new EarlyPairBatch(lie.statement);
    let nu = 0n;
    const draw = schedule.values.bind(schedule);
    schedule.values = (shifted, opened) => {
      nu = draw(shifted, opened);
      return nu;
    };
    const opened = (run: PairRun) => {
      // V5' + batch V6 = (X - z) W + batch (X - w z) W' has a solution with a constant W'
      const shifted = mod(run.z * rootOfUnity(N));
      const { q, qAtPoint } = only(run);
      const at = mod(lambdaAtZ(run, N) + nu * qAtPoint);
      const atZ = plus(plus(lambdaOf(run, N, []), q, nu), [-at]);
      const both = plus(atZ, plus(run.phi, [-run.e]), schedule.weight);
      const constant = mod(evaluate(both, run.z) * inverse(mod(schedule.weight * (run.z - shifted))));
      run.shiftedOpening = [constant];
      run.opening = openedAt(plus(both, [-shifted, 1n], -schedule.weight * constant), run.z);
    };
    const proof = await dishonestPairs(lie, { opened }, schedule);
    const files = filesOf(lie, [proof]);
    expect(pairsHold(files, proof, new EarlyPairBatch(lie.statement))).toBe(true);
    expect(pairsHold(files, proof, new PairSchedule(lie.statement))).toBe(false);
    await expectRefused(engine, files, 'OPENING_INVALID');
  });
});

describe('deltas moved where a challenge does not tell modules apart', () => {
  it('without t, from one module to another', async () => {
    await weakProof(
      moved,
      () => new UnweightedPairs(moved.statement, 't'),
      () => ({}),
    );
    const chosen = (run: PairRun) => fitAt(run, 0);
    const attempt = await dishonestPairs(moved, { chosen });
    await expectRefused(engine, filesOf(moved, [attempt]), 'OPENING_INVALID');
  });
});

describe('an honest witness', () => {
  it.each<[string, PairDeviation]>([
    [
      'a false q(z)',
      {
        valued: (run) => {
          only(run).qAtPoint = mod(only(run).qAtPoint + 1n);
        },
      },
    ],
    [
      '[p] and [q] exchanged',
      {
        chosen: (run) => {
          const block = only(run);
          [block.p, block.q] = [block.q, block.p];
        },
      },
    ],
  ])('%s', async (_name, deviation) => {
    const files = filesOf(truth, [await dishonestPairs(truth, deviation)]);
    await expectRefused(engine, files, 'OPENING_INVALID');
  });
});

describe('the transcript', () => {
  let proof: Proof;
  let names: string[];
  let drawn: bigint[];
  const challenges = () => {
    const { u, v, t, rho, z, nu, batch } = new PairSchedule(truth.statement).replay(proof);
    return { u, v, t, rho, z, nu, batch };
  };
  beforeAll(async () => {
    proof = await dishonestPairs(truth);
    [names, drawn] = [Object.keys(challenges()), Object.values(challenges())];
  });

  it("is the reference's", () => {
    const [{ ids, context, proof: read }] = openProofs(referenceInput(filesOf(truth, [proof]))) as [
      OpenedProof,
    ];
    const { batch: _last, ...all } = challenges();
    expect(drawChallenges(ids, context.modules, context.groups, read)).toMatchObject(all);
  });

  it.each<[string, string]>([
    ...'parameters adapter session sizes modules pairs'
      .split(' ')
      .map((label): [string, string] => [label, 'u']),
    ['p', 'rho'],
    ['q', 'rho'],
    ['phi', 'z'],
    ['Q', 'z'],
    ['e', 'nu'],
    ['qz', 'nu'],
    ['W', 'batch'],
    ['Wshifted', 'batch'],
  ])('without %s draws another %s, and others from there on', (label, first) => {
    const absorb = Transcript.prototype.absorb;
    const spy = vi.spyOn(Transcript.prototype, 'absorb').mockImplementation(function (
      this: Transcript,
      name,
      data,
    ) {
      if (name !== label) absorb.call(this, name, data);
    });
    const without = Object.values(challenges());
    spy.mockRestore();
    const from = names.indexOf(first);
    expect(without.slice(0, from)).toEqual(drawn.slice(0, from));
    for (let i = from; i < drawn.length; i++) expect(without[i], names[i]).not.toBe(drawn[i]);
  });
});

describe('versions', () => {
  /** The byte behind the name in the magic. */
  const VERSION_AT = 13;
  const relabelled = (proof: Uint8Array, version: number) => {
    const copy = proof.slice();
    copy[VERSION_AT] = version;
    return copy;
  };

  it('a proof of one version with the magic of the other, or of none', async () => {
    const pairs = filesOf(truth, [await dishonestPairs(truth)]);
    const groups = filesOf(circuits, [await dishonestProof(circuits)]);
    await expectAccepted(engine, groups);
    for (const [files, version] of [
      [pairs, 1],
      [groups, 2],
      [pairs, 0],
      [pairs, 3],
    ] as const) {
      const proof = relabelled(files.proof, version);
      await expectRefused(engine, { ...files, proof }, 'PROOF_MALFORMED', `as version ${version}`);
    }
  });

  it("a proof of one version on the other's transcript", async () => {
    const { rankCheck, groups } = truth.statement;
    const first = new PairSchedule({ ...truth.statement, rankCheck: 'groth16' });
    const pairs = filesOf(truth, [await dishonestPairs(truth, {}, first)]);
    await expectRefused(engine, pairs, 'OPENING_INVALID');
    const second = new Schedule({ ...circuits.statement, rankCheck, groups });
    const files = filesOf(circuits, [await dishonestProof(circuits, {}, second)]);
    await expectRefused(engine, files, 'OPENING_INVALID');
  });
});

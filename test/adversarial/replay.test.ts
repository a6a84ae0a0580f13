import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterId } from '../../src/adapter/index.js';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import { type ParameterStore, parameterSetId } from '../../src/circuit/index.js';
import {
  decodeProofFile,
  encodeProofFile,
  type Proof,
  proveSession,
  RANK_CHECKS,
  type RankCheck,
} from '../../src/protocol/index.js';
import { codeOf } from '../circuit/helpers.js';
import {
  expectAccepted,
  expectRefused,
  repinned,
  scenarioFiles,
  type VerifierFiles,
} from '../support/bothVerifiers.js';
import {
  developmentParameters,
  holdSession,
  makeScenario,
  type Scenario,
  seeded,
} from '../support/scenario.js';
import { each, proveTrueProducts } from './kit/forgery.js';
import { dishonestProof } from './kit/prover.js';
import { filesOf, makeSetting, type Setting, smallestCircuitOnly } from './kit/setting.js';

let engine: Engine;
let parameters: ParameterStore;
/** Two modules of one shape. */
let twins: Scenario;
/** One proof of both modules, and one of each; by version. */
let whole: VerifierFiles;
let single: VerifierFiles;
const provenBy = new Map<RankCheck, { whole: VerifierFiles; single: VerifierFiles }>();

beforeAll(async () => {
  engine = await loadEngine();
  parameters = await developmentParameters();
  const shape = { rank: 2, inFeatures: 6, outFeatures: 4 };
  twins = await makeScenario(engine, parameters, { shapes: [shape, shape], calls: [2] });
  for (const rankCheck of RANK_CHECKS) {
    const options = { ...twins, rankCheck };
    provenBy.set(rankCheck, {
      whole: scenarioFiles(twins, await proveSession(options)),
      single: scenarioFiles(twins, await proveSession({ ...options, mode: 'per-module' })),
    });
  }
  ({ whole, single } = provenBy.get('kzg')!);
});
afterAll(() => engine.terminate());

/** The same file with other proofs in it. */
function withProofs(files: VerifierFiles, edit: (proofs: Proof[]) => readonly Proof[]): VerifierFiles {
  const file = decodeProofFile(files.proof);
  return { ...files, proof: encodeProofFile({ ...file, proofs: edit([...file.proofs]) }) };
}

/** Refused as it is, and where every id in it is made to match. */
async function expectRefusedAnyhow(files: VerifierFiles, reason: string, repinnedReason: string) {
  await expectRefused(engine, files, reason);
  await expectRefused(engine, await repinned(files), repinnedReason);
}

describe.each(RANK_CHECKS)('a proof by %s replayed', (rankCheck) => {
  beforeAll(() => {
    ({ whole, single } = provenBy.get(rankCheck)!);
  });
  afterAll(() => {
    ({ whole, single } = provenBy.get('kzg')!);
  });

  it('for another session of the same adapter', async () => {
    const session = holdSession(twins.adapter, twins.modules, [[0], [1]], [2], seeded(8));
    const files = scenarioFiles({ ...twins, session }, whole.proof);
    await expectRefusedAnyhow(files, 'WRONG_SESSION', 'OPENING_INVALID');
  });

  it('for the same exchange with another user, nonce or contributor key', async () => {
    for (const change of [{ nonce: '33'.repeat(32) }, { userKey: '44'.repeat(32) }]) {
      const session = twins.session.clone();
      Object.assign(session.header, change);
      const files = scenarioFiles({ ...twins, session }, whole.proof);
      await expectRefusedAnyhow(files, 'WRONG_SESSION', 'OPENING_INVALID');
    }
    const session = twins.session.clone();
    Object.assign(session.header, { contributorKey: '55'.repeat(32) });
    await expectRefused(engine, scenarioFiles({ ...twins, session }, whole.proof), 'WRONG_SESSION');
  });

  it('by a thief who advertises the same points under another key', async () => {
    const adapter = { ...twins.adapter, contributorKey: '66'.repeat(32) };
    const files = scenarioFiles({ ...twins, adapter }, whole.proof);
    await expectRefusedAnyhow(files, 'WRONG_ADAPTER', 'OPENING_INVALID');
  });

  it('out of a relayed session: a thief asks the owner what the user asks the thief', async () => {
    const thiefKey = '66'.repeat(32);
    const advertised = { ...twins.adapter, contributorKey: thiefKey };
    // the owner answered and proved a session in which the thief is the user
    const relayed = twins.session.clone();
    Object.assign(relayed.header, { userKey: thiefKey, nonce: '77'.repeat(32) });
    const proof = await proveSession({ ...twins, session: relayed, rankCheck });
    await expectAccepted(engine, scenarioFiles({ ...twins, session: relayed }, proof));
    // the user's own record of the same activations and deltas
    const session = twins.session.clone();
    Object.assign(session.header, { contributorKey: thiefKey, adapterId: adapterId(advertised) });
    const files = scenarioFiles({ adapter: advertised, session }, proof);
    await expectRefusedAnyhow(files, 'WRONG_ADAPTER', 'OPENING_INVALID');
    // without the other key in the commitment, it is the session that is another
    const owned = scenarioFiles({ ...twins, session: twins.session }, proof);
    await expectRefusedAnyhow(owned, 'WRONG_SESSION', 'OPENING_INVALID');
  });

  it('for another registration of the same weights', async () => {
    const shape = { rank: 2, inFeatures: 6, outFeatures: 4 };
    const again = await makeScenario(engine, parameters, { shapes: [shape, shape], calls: [2] });
    expect(again.modules).toEqual(twins.modules);
    await expectRefusedAnyhow(scenarioFiles(again, whole.proof), 'WRONG_ADAPTER', 'OPENING_INVALID');
  });

  it('for another module of the same shape', async () => {
    await expectAccepted(engine, single);
    const relabelled = withProofs(single, ([first]) => [first!, { ...first!, modules: [1] }]);
    await expectRefused(engine, relabelled, 'OPENING_INVALID');
    const exchanged = withProofs(single, ([first, second]) => [
      { ...second!, modules: [0] },
      { ...first!, modules: [1] },
    ]);
    await expectRefused(engine, exchanged, 'OPENING_INVALID');
  });

  it('for another parameter set with the same points', async () => {
    const set = { ...parameters.set, source: 'the same points under another name' };
    expect(parameterSetId(set)).not.toBe(parameters.id);
    const files = { ...whole, parameters: JSON.stringify(set) };
    await expectRefusedAnyhow(files, 'WRONG_PARAMETERS', 'OPENING_INVALID');
  });
});

describe('lists of modules', () => {
  it('a module left out, twice, or out of order', async () => {
    const lists: ((proofs: Proof[]) => readonly Proof[])[] = [
      ([first]) => [first!],
      ([, second]) => [second!],
      ([first]) => [first!, first!],
      ([first, second]) => [second!, first!],
      ([first, second]) => [first!, second!, second!],
    ];
    for (const list of lists) await expectRefused(engine, withProofs(single, list), 'INCOMPLETE');
  });

  it('a module that the session or the adapter does not have', async () => {
    for (const modules of [[0], [0, 2], [1, 2], [0, 1, 2]]) {
      const files = withProofs(whole, ([proof]) => [{ ...proof!, modules }]);
      await expectRefused(engine, files, 'INCOMPLETE');
    }
  });

  it('a list that repeats or reorders inside one proof', async () => {
    for (const modules of [
      [0, 0],
      [1, 0],
    ]) {
      const files = withProofs(whole, ([proof]) => [{ ...proof!, modules }]);
      await expectRefused(engine, files, 'PROOF_MALFORMED');
    }
  });

  it('no module, no proof', async () => {
    await expectRefused(
      engine,
      withProofs(whole, ([proof]) => [{ ...proof!, modules: [] }]),
      'PROOF_MALFORMED',
    );
    await expectRefused(
      engine,
      withProofs(whole, () => []),
      'PROOF_MALFORMED',
    );
  });

  it('a session that names no module, or one twice', async () => {
    const header = JSON.parse(whole.header) as object;
    for (const inputs of [[], [[]], [[0, 0]], [[0], [0]], [[0], [1], [0]], [[0, 1], [1]]]) {
      const files = { ...whole, header: JSON.stringify({ ...header, inputs }) };
      await expectRefused(engine, files, 'SESSION_MALFORMED');
    }
  });
});

describe('a session without tokens', () => {
  it('has no proof', async () => {
    const session = twins.session.clone();
    session.calls.length = 0;
    expect(await codeOf(() => proveSession({ ...twins, session }))).toBe('STATEMENT_INVALID');
    const files = await repinned(scenarioFiles({ ...twins, session }, whole.proof));
    const { reference } = await expectRefused(engine, files, 'STATEMENT_INVALID');
    expect(reference.why).toMatch(/no token row/);
  });

  it('and no call without tokens', async () => {
    const session = twins.session.clone();
    const empty = { x: new Int16Array(), exponents: new Int16Array() };
    session.calls.push({
      tokens: 0,
      inputs: [empty, empty],
      outputs: [new BigInt64Array(), new BigInt64Array()],
    });
    const files = scenarioFiles({ ...twins, session }, whole.proof);
    await expectRefused(engine, files, 'SESSION_MALFORMED');
  });
});

describe('groups', () => {
  let setting: Setting;
  let files: VerifierFiles;
  beforeAll(async () => {
    const shapes = [9, 9].map((rank) => ({ rank, inFeatures: 5, outFeatures: 4 }));
    setting = await makeSetting(engine, smallestCircuitOnly(parameters), { shapes, calls: [2] });
    files = filesOf(setting, [await dishonestProof(setting)]);
  });

  const withGroups = (edit: (groups: Proof['groups']) => Proof['groups']) =>
    withProofs(files, ([proof]) => [{ ...proof!, groups: edit(proof!.groups) }]);

  it('in order are accepted', () => expectAccepted(engine, files));

  it('swapped', async () => {
    await expectRefused(
      engine,
      withGroups(([a, b]) => [b!, a!]),
      'OPENING_INVALID',
    );
  });

  it('one in the place of both', async () => {
    await expectRefused(
      engine,
      withGroups(([a]) => [a!, a!]),
      'OPENING_INVALID',
    );
  });

  it('dropped', async () => {
    await expectRefused(
      engine,
      withGroups(([a]) => [a!]),
      'GROUP_STRUCTURE',
    );
    await expectRefused(
      engine,
      withGroups(() => []),
      'PROOF_MALFORMED',
    );
  });

  it('more than there are modules', async () => {
    await expectRefused(
      engine,
      withGroups(([a, b]) => [a!, b!, b!]),
      'PROOF_MALFORMED',
    );
  });

  it('of another circuit size', async () => {
    const longer = withGroups((groups) =>
      groups.map((group) => {
        const rounds = [...group.linearForm.rounds, group.linearForm.rounds[0]!];
        return { ...group, linearForm: { ...group.linearForm, rounds } };
      }),
    );
    await expectRefused(engine, longer, 'GROUP_STRUCTURE');
    // one of them is enough, whichever it is
    for (const which of [0, 1]) {
      const shorter = withGroups((groups) =>
        groups.map((group, g) => {
          const rounds = group.linearForm.rounds.slice(g === which ? 1 : 0);
          return { ...group, linearForm: { ...group.linearForm, rounds } };
        }),
      );
      await expectRefused(engine, shorter, 'GROUP_STRUCTURE');
    }
  });

  it('merged into a larger circuit by the prover: the sizes are not its choice', async () => {
    // the same modules in one group of 63 pairs, as another parameter set would have it
    const { adapter, session } = setting;
    const larger = { ...setting, parameters, statement: { ...setting.statement } };
    const pairs = setting.statement.groups.reduce((sum, group) => sum + group.pairs, 0);
    Object.assign(larger.statement, { groups: [{ circuit: 63, pairs, members: [0, 1] }] });
    const proof = await dishonestProof(larger);
    const merged = filesOf({ ...setting, adapter, session }, [proof]);
    await expectRefused(engine, merged, 'GROUP_STRUCTURE');
  });

  it('with deltas of one module booked on another across groups', async () => {
    const moved = await makeSetting(
      engine,
      smallestCircuitOnly(parameters),
      { shapes: [9, 9].map((rank) => ({ rank, inFeatures: 5, outFeatures: 4 })), calls: [2] },
      {
        falsify: ({ calls }) => {
          Object.assign(calls[0]!, { outputs: [...calls[0]!.outputs].reverse() });
        },
      },
    );
    const proof = await dishonestProof(moved, { ranked: each(proveTrueProducts) });
    await expectRefused(engine, filesOf(moved, [proof]), 'GROTH16_INVALID');
  });
});

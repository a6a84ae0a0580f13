import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import {
  proveSession,
  type RankCheck,
  requireOneBase,
  type SetItem,
  verifySet,
} from '../../src/protocol/index.js';
import { developmentParameters, makeScenario, type Scenario } from '../support/scenario.js';
import { expectRefused } from './refused.js';

const SHAPES = [{ rank: 1, inFeatures: 3, outFeatures: 2 }];

let engine: Engine;
let scenario: Scenario;
let members: SetItem[];
beforeAll(async () => {
  engine = await loadEngine();
  const parameters = await developmentParameters();
  const held = [1, 2].map((seed) => makeScenario(engine, parameters, { shapes: SHAPES, calls: [2], seed }));
  const scenarios = await Promise.all(held);
  scenario = scenarios[0]!;
  members = [];
  for (const [i, one] of scenarios.entries()) {
    const { adapter, session } = one;
    members.push({ name: ['alice', 'bob'][i]!, adapter, session, proof: await proveSession({ ...one }) });
  }
});
afterAll(() => engine.terminate());

const verify = (tested: readonly SetItem[], rankCheck?: RankCheck) =>
  verifySet({
    engine,
    parameters: scenario.parameters.set,
    verificationKeys: scenario.parameters.vkey,
    allowDevelopmentParameters: true,
    members: tested,
    ...(rankCheck && { rankCheck }),
  });

describe('a set of contributors', () => {
  it('is valid when every member is, in the order of the members', async () => {
    expect(await verify(members)).toMatchObject({
      valid: true,
      members: [
        { name: 'alice', verdict: { valid: true } },
        { name: 'bob', verdict: { valid: true } },
      ],
    });
  });

  it('has members whose proofs are of either version, unless one is demanded', async () => {
    const [alice, bob] = members as [SetItem, SetItem];
    const byCircuit = { ...alice, proof: await proveSession({ ...scenario, rankCheck: 'groth16' }) };
    const mixed = [byCircuit, bob];
    expect(await verify(mixed)).toMatchObject({
      valid: true,
      members: [{ verdict: { rankCheck: 'groth16' } }, { verdict: { rankCheck: 'kzg' } }],
    });
    expect(await verify(mixed, 'kzg')).toMatchObject({
      valid: false,
      members: [{ verdict: { valid: false, reason: 'RANK_CHECK_REFUSED' } }, { verdict: { valid: true } }],
    });
  });

  it('says which member is not, and what the others are', async () => {
    const [alice, bob] = members as [SetItem, SetItem];
    expect(await verify([bob, { ...alice, proof: bob.proof }])).toMatchObject({
      valid: false,
      members: [
        { name: 'bob', verdict: { valid: true } },
        { name: 'alice', verdict: { valid: false, reason: 'WRONG_ADAPTER' } },
      ],
    });
  });

  it('has members, under names of their own', async () => {
    const [alice, bob] = members as [SetItem, SetItem];
    await expectRefused(() => verify([]), 'USAGE', /1 to 1024 proofs/);
    await expectRefused(() => verify([alice, { ...bob, name: 'alice' }]), 'USAGE', /have one name/);
  });

  it('is about one base model', async () => {
    const [alice, bob] = members as [SetItem, SetItem];
    const elsewhere = { ...bob, adapter: { ...bob.adapter, baseDigest: 'ab'.repeat(32) } };
    await expectRefused(() => verify([alice, elsewhere]), 'BASE_MODEL_MISMATCH', /alice and bob/);
    expect(requireOneBase([])).toBeUndefined();
    const commitments = members.map(({ name, adapter: commitment }) => ({ name, commitment }));
    expect(requireOneBase(commitments)).toBeUndefined();
  });
});

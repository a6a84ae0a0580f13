import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AdapterCommitment } from '../../src/adapter/types.js';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import { type ParameterSet, parameterSetId } from '../../src/circuit/parameters.js';
import {
  decodeProofFile,
  encodeProofFile,
  type InvalidReason,
  type Proof,
  type ProofFile,
  type ProveOptions,
  proveSession,
  type ValidRegistration,
  type VerifyOptions,
  verifyProof,
} from '../../src/protocol/index.js';
import { decodeRows } from '../../src/protocol/rows.js';
import { developmentParameters, MemorySession, makeScenario, type Scenario } from '../support/scenario.js';
import { expectRefused } from './refused.js';

let engine: Engine;
let scenario: Scenario;
let proof: Uint8Array;
let file: ProofFile;
/** Of version 1. */
let byCircuit: ProofFile;
beforeAll(async () => {
  engine = await loadEngine();
  scenario = await makeScenario(engine, await developmentParameters(), {
    shapes: [
      { rank: 1, inFeatures: 3, outFeatures: 2 },
      { rank: 2, inFeatures: 3, outFeatures: 1 },
    ],
    calls: [1],
    inputs: [[0, 1]],
  });
  proof = await proveSession({ ...scenario });
  file = decodeProofFile(proof);
  byCircuit = decodeProofFile(await proveSession({ ...scenario, rankCheck: 'groth16' }));
});
afterAll(() => engine.terminate());

const verify = (change: Partial<VerifyOptions> = {}) =>
  verifyProof({
    engine,
    parameters: scenario.parameters.set,
    verificationKeys: scenario.parameters.vkey,
    adapter: scenario.adapter,
    session: scenario.session,
    proof,
    allowDevelopmentParameters: true,
    ...change,
  });

const edited = (change: Partial<ProofFile>) => encodeProofFile({ ...file, ...change });
const registration = (): ValidRegistration => ({
  valid: true,
  adapterId: file.adapterId,
  parametersId: file.parametersId,
});

async function expectVerdict(
  change: Partial<VerifyOptions>,
  reason: InvalidReason,
  message: string,
): Promise<void> {
  expect(await verify(change)).toEqual({ valid: false, reason, message });
}

describe('a verdict', () => {
  it('on an honest proof names what was proven', async () => {
    expect(await verify()).toEqual({
      valid: true,
      adapterId: file.adapterId,
      parametersId: scenario.parameters.id,
      sessionDigest: file.sessionDigest,
      modules: ['layer.0', 'layer.1'],
      tokens: 1,
      proofs: 1,
      rankCheck: 'kzg',
      integerWeights: false,
    });
    expect(await verify({ registration: registration() })).toMatchObject({
      valid: true,
      integerWeights: true,
    });
  });

  it('without leave, on development parameters', async () => {
    const message =
      'these parameters were made from a known secret, so proofs under them prove nothing: use a ceremony set, or allow development parameters for a trial';
    await expectVerdict({ allowDevelopmentParameters: false }, 'PARAMETERS_DEVELOPMENT', message);
    // a ceremony's need no leave: what is refused here is that the adapter is not of this one
    const ceremony = { ...scenario.parameters.set, kind: 'ceremony' as const };
    await expectVerdict(
      { parameters: ceremony, allowDevelopmentParameters: false },
      'WRONG_PARAMETERS',
      'the adapter was registered under other parameters',
    );
  });

  it('on other parameters, of the adapter or of the proof', async () => {
    const parameters: ParameterSet = { ...scenario.parameters.set, source: 'another' };
    await expectVerdict(
      { parameters },
      'WRONG_PARAMETERS',
      'the adapter was registered under other parameters',
    );
    const other = edited({ parametersId: '00'.repeat(32) });
    await expectVerdict({ proof: other }, 'WRONG_PARAMETERS', 'the proof was made under other parameters');
  });

  it('on another adapter', async () => {
    const adapter: AdapterCommitment = { ...scenario.adapter, baseDigest: '12'.repeat(32) };
    await expectVerdict({ adapter }, 'WRONG_ADAPTER', 'the proof is for another adapter');
  });

  it('on an adapter in a domain that the parameters do not have', async () => {
    const parameters = scenario.parameters.set;
    const domains = parameters.domains.filter(({ size }) => size !== scenario.adapter.domainSize);
    const other = { ...parameters, domains };
    const parametersId = parameterSetId(other);
    await expectVerdict(
      {
        parameters: other,
        adapter: { ...scenario.adapter, parametersId },
        proof: edited({ parametersId }),
      },
      'WRONG_PARAMETERS',
      'the parameter set has no domain of 512 points, which the adapter is committed in',
    );
  });

  it('on the registration of another adapter or under other parameters', async () => {
    const message = 'the verdict on a registration proof is about another adapter';
    for (const change of [{ adapterId: '00'.repeat(32) }, { parametersId: '00'.repeat(32) }]) {
      await expectVerdict({ registration: { ...registration(), ...change } }, 'WRONG_ADAPTER', message);
    }
  });

  it('on a session with others', async () => {
    const message = 'the session was held with another adapter or contributor';
    for (const change of [{ adapterId: '00'.repeat(32) }, { contributorKey: '00'.repeat(32) }]) {
      const session = new MemorySession({ ...scenario.session.header, ...change }, scenario.session.calls);
      await expectVerdict({ session }, 'WRONG_SESSION', message);
    }
  });

  it('on another session', async () => {
    const message = 'the proof is for another session, or the session was changed';
    const session = scenario.session.clone();
    session.calls[0]!.outputs[0]![0]! += 1n;
    await expectVerdict({ session }, 'WRONG_SESSION', message);
    await expectVerdict({ proof: edited({ sessionDigest: '00'.repeat(32) }) }, 'WRONG_SESSION', message);
  });

  it('on modules that are missing, others or twice there', async () => {
    const message = 'the proof does not cover every module of the session exactly once, in order';
    const [whole] = file.proofs as [Proof];
    for (const modules of [[0], [1], [0, 1, 2], [0, 2], [1, 2]]) {
      await expectVerdict({ proof: edited({ proofs: [{ ...whole, modules }] }) }, 'INCOMPLETE', message);
    }
    const twice = edited({ proofs: [whole, whole] });
    await expectVerdict({ proof: twice }, 'INCOMPLETE', message);
  });

  it('on groups or rounds that the modules do not ask for', async () => {
    const message = 'the proof does not have the groups that its modules demand';
    const [whole] = byCircuit.proofs as [Proof];
    const [group] = whole.groups;
    const { linearForm } = group!;
    const { rounds } = linearForm;
    const withRounds = (changed: typeof rounds) => ({
      ...group!,
      linearForm: { ...linearForm, rounds: changed },
    });
    for (const groups of [
      [group!, group!],
      [withRounds(rounds.slice(1))],
      [withRounds([...rounds, rounds[0]!])],
    ]) {
      const changed = encodeProofFile({ ...byCircuit, proofs: [{ ...whole, groups }] });
      await expectVerdict({ proof: changed }, 'GROUP_STRUCTURE', message);
    }
    const [pairs] = file.proofs as [Proof];
    const twice = { ...pairs, blocks: [pairs.blocks[0]!, pairs.blocks[0]!] };
    await expectVerdict(
      { proof: edited({ proofs: [twice] }) },
      'GROUP_STRUCTURE',
      'the proof does not have the blocks that its modules demand',
    );
  });

  it('on a proof of the kind that is not demanded', async () => {
    const says = (by: string, other: string) =>
      `the proof checks its pairs by ${by}, and ${other} is demanded: ask the prover for that`;
    await expectVerdict({ rankCheck: 'groth16' }, 'RANK_CHECK_REFUSED', says('kzg', 'groth16'));
    const circuits = encodeProofFile(byCircuit);
    await expectVerdict({ proof: circuits, rankCheck: 'kzg' }, 'RANK_CHECK_REFUSED', says('groth16', 'kzg'));
    expect(await verify({ rankCheck: 'kzg' })).toMatchObject({ valid: true, rankCheck: 'kzg' });
    expect(await verify({ proof: circuits, rankCheck: 'groth16' })).toMatchObject({ rankCheck: 'groth16' });
  });

  it('on pairs other than the committed ones', async () => {
    const [whole] = file.proofs as [Proof];
    const [block] = whole.blocks;
    const { runningSum } = whole.sum;
    for (const change of [{ p: runningSum }, { q: runningSum }, { qAtPoint: block!.qAtPoint ^ 1n }]) {
      const changed = edited({ proofs: [{ ...whole, blocks: [{ ...block!, ...change }] }] });
      await expectVerdict(
        { proof: changed },
        'OPENING_INVALID',
        'the deltas were not computed with the committed weights',
      );
    }
  });

  it('names the equation that fails', async () => {
    const [whole] = file.proofs as [Proof];
    const [circuits] = byCircuit.proofs as [Proof];
    const [group] = circuits.groups;
    const withGroup = (change: object) =>
      encodeProofFile({ ...byCircuit, proofs: [{ ...circuits, groups: [{ ...group!, ...change }] }] });
    const final = { linearForm: { ...group!.linearForm, final: group!.linearForm.final ^ 1n } };
    // the changed scalar is absorbed, too: challenges after it are others
    expect(await verify({ proof: withGroup(final) })).toMatchObject({ valid: false });
    const shifted = { ...whole, sum: { ...whole.sum, shifted: whole.sum.shifted ^ 1n } };
    await expectVerdict(
      { proof: edited({ proofs: [shifted] }) },
      'OPENING_INVALID',
      'the deltas were not computed with the committed weights',
    );
    const opening = { ...whole, sum: { ...whole.sum, shiftedOpening: whole.sum.opening } };
    await expectVerdict(
      { proof: edited({ proofs: [opening] }) },
      'OPENING_INVALID',
      'the shifted opening of the running sum does not hold',
    );
  });
});

describe('input that is none', () => {
  it('a commitment beyond its limits', async () => {
    const adapter = { ...scenario.adapter, domainSize: 768 };
    await expectRefused(() => verify({ adapter }), 'COMMITMENT_MALFORMED', /power of two/);
  });

  it('a key of another circuit', async () => {
    const verificationKeys = () => scenario.parameters.vkey(63);
    await expectRefused(
      () => verify({ verificationKeys, proof: encodeProofFile(byCircuit) }),
      'PARAMETERS_MISMATCH',
      /^a verification key is for another circuit size$/,
    );
  });

  it('a row that is no point', async () => {
    const [first, ...rest] = scenario.adapter.modules;
    for (const change of [{ aRows: ['00'.repeat(64)] }, { bColumns: ['ff'.repeat(64)] }]) {
      const adapter = { ...scenario.adapter, modules: [{ ...first!, ...change }, ...rest] };
      await expectRefused(
        () => decodeRows(engine, adapter, [1, 0]),
        'COMMITMENT_MALFORMED',
        /^adapter commitment: a row of layer\.0 is not a valid point: get the file again from its contributor$/,
      );
      expect(decodeRows(engine, adapter, [1])).toHaveLength(1);
    }
  });

  it('a failure of the keys is no verdict', async () => {
    const verificationKeys = () => Promise.reject(new Error('disk'));
    await expect(verify({ verificationKeys, proof: encodeProofFile(byCircuit) })).rejects.toThrow('disk');
    // and nobody asks for keys where there is no circuit
    expect(await verify({ verificationKeys })).toMatchObject({ valid: true });
  });
});

describe('what is proven must belong together', () => {
  const prove = (change: Partial<ProveOptions>) => proveSession({ ...scenario, ...change });

  it('parameters', async () => {
    const parameters = { ...scenario.parameters, id: '00'.repeat(32) };
    await expectRefused(
      () => prove({ parameters }),
      'PARAMETERS_MISMATCH',
      /^the adapter was registered under other parameters/,
    );
  });

  it('secret', async () => {
    const secret = { ...scenario.secret, adapterId: '00'.repeat(32) };
    await expectRefused(() => prove({ secret }), 'SECRET_MISMATCH', /./);
  });

  it('session', async () => {
    for (const change of [{ adapterId: '00'.repeat(32) }, { contributorKey: '00'.repeat(32) }]) {
      const session = new MemorySession({ ...scenario.session.header, ...change }, scenario.session.calls);
      await expectRefused(
        () => prove({ session }),
        'SESSION_MISMATCH',
        /^the session was held with another adapter$/,
      );
    }
  });

  it('weights', async () => {
    const [first, second] = scenario.modules;
    const says = /^the weights do not have the shapes of the adapter commitment$/;
    const others = [
      [first!],
      [first!, second!, second!],
      [second!, first!],
      [{ ...first!, name: 'x' }, second!],
      [{ ...first!, rank: 2 }, second!],
      [first!, { ...second!, inFeatures: 4 }],
      [first!, { ...second!, outFeatures: 4 }],
    ];
    for (const modules of others) await expectRefused(() => prove({ modules }), 'SESSION_MISMATCH', says);
  });

  it('deltas', async () => {
    const session = scenario.session.clone();
    session.calls[0]!.outputs[1]![0]! += 1n;
    await expectRefused(
      () => prove({ session }),
      'SESSION_MISMATCH',
      /^the session's deltas were not computed with these weights/,
    );
  });

  it('blinders: such a proof does not leave', async () => {
    const secret = { ...scenario.secret, blindingSecret: '55'.repeat(32) };
    await expectRefused(
      () => prove({ secret }),
      'SECRET_MISMATCH',
      /^the proof does not verify \(the deltas were not computed with the committed weights\): weights or secret are not the registered ones/,
    );
  });

  it('progress names its stages in order', async () => {
    for (const [rankCheck, own] of [
      ['kzg', ['pairs']],
      ['groth16', ['groth16', 'linear form']],
    ] as const) {
      const stages: string[] = [];
      await prove({
        mode: 'per-module',
        rankCheck,
        onProgress: ({ stage, proof: at, proofs }) => stages.push(`${stage} ${at}/${proofs}`),
      });
      const each = (at: number) => ['rank space', ...own, 'polynomials'].map((stage) => `${stage} ${at}/2`);
      expect(stages).toEqual(['read session 0/1', ...each(0), ...each(1), 'check 0/1']);
    }
  });
});

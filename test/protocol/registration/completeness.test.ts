import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterId, parseAdapterCommitment, serializeAdapterCommitment } from '../../../src/adapter/index.js';
import { type Engine, loadEngine } from '../../../src/algebra/index.js';
import type { ParameterStore } from '../../../src/circuit/index.js';
import {
  decodeRegistrationProof,
  encodeRegistrationProof,
  proveRegistration,
  proveSession,
  verifyProof,
  verifyRegistration,
} from '../../../src/protocol/index.js';
import { refusalOf } from '../../adapter/refusal.js';
import { developmentParameters, makeScenario, type Scenario, type Shape } from '../../support/scenario.js';
import { withProof } from './cheat.js';

let engine: Engine;
let parameters: ParameterStore;
beforeAll(async () => {
  engine = await loadEngine();
  parameters = await developmentParameters();
});
afterAll(() => engine.terminate());

const feature = fc.oneof(fc.integer({ min: 1, max: 600 }), fc.constantFrom(1, 255, 256, 257, 511, 512, 1024));
const shape: fc.Arbitrary<Shape> = fc.record({
  rank: fc.integer({ min: 1, max: 9 }),
  inFeatures: feature,
  outFeatures: feature,
});
const scenarioOf = (shapes: readonly Shape[], seed = 1, calls: readonly number[] = []) =>
  makeScenario(engine, parameters, { shapes, calls, seed });
const prove = async (scenario: Scenario) =>
  proveRegistration({ ...scenario, srs: await parameters.srs(scenario.adapter.domainSize) });
const verify = (adapter: Scenario['adapter']) =>
  verifyRegistration({ engine, parameters: parameters.set, adapter, allowDevelopmentParameters: true });

describe('every honest registration proof is accepted', () => {
  it('over random shapes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(shape, { minLength: 1, maxLength: 4 }), fc.nat(), async (shapes, seed) => {
        const scenario = await scenarioOf(shapes, seed);
        const proof = await prove(scenario);
        expect(proof.length).toBe(6322);
        expect(encodeRegistrationProof(decodeRegistrationProof(proof))).toEqual(proof);
        expect(await verify(withProof(scenario.adapter, proof))).toEqual({
          valid: true,
          adapterId: adapterId(scenario.adapter),
          parametersId: parameters.id,
        });
      }),
      { numRuns: 6 },
    );
  });

  it('with the largest and the smallest int16 everywhere, and with zeros', async () => {
    const scenario = await scenarioOf([
      { rank: 3, inFeatures: 512, outFeatures: 512 },
      { rank: 5, inFeatures: 2, outFeatures: 3 },
    ]);
    const { registerAdapter } = await import('../../../src/adapter/index.js');
    for (const [a, b] of [
      [32767, -32768],
      [0, 0],
    ] as const) {
      // 32768 * 3 * 512 * 32767 stays below 2^48
      const modules = scenario.modules.map((module) => ({
        ...module,
        a: module.a.map(() => a),
        bT: module.bT.map(() => b),
      }));
      const srs = await parameters.srs(512);
      const registered = await registerAdapter({
        ...{ engine, srs, parametersId: parameters.id, modules },
        baseDigest: '00'.repeat(32),
      });
      const adapter = registered.commitment;
      const proof = await prove({ ...scenario, adapter, secret: registered.secret, modules });
      expect(await verify(withProof(adapter, proof))).toMatchObject({ valid: true });
    }
  });

  it('inside adapter.zkl.json, whose id does not change', async () => {
    const scenario = await scenarioOf([{ rank: 1, inFeatures: 4, outFeatures: 4 }]);
    const adapter = withProof(scenario.adapter, await prove(scenario));
    const read = parseAdapterCommitment(serializeAdapterCommitment(adapter));
    expect(read).toEqual(adapter);
    expect(adapterId(read)).toBe(adapterId(scenario.adapter));
    expect(await verify(read)).toMatchObject({ valid: true });
  });
});

describe('policy', () => {
  it('a missing proof is a verdict, and development parameters are refused', async () => {
    const scenario = await scenarioOf([{ rank: 1, inFeatures: 4, outFeatures: 4 }]);
    expect(await verify(scenario.adapter)).toMatchObject({ valid: false, reason: 'REGISTRATION_MISSING' });
    const adapter = withProof(scenario.adapter, await prove(scenario));
    const ceremony = { ...parameters.set, kind: 'ceremony' as const };
    expect(await verifyRegistration({ engine, parameters: ceremony, adapter })).toMatchObject({
      valid: false,
      reason: 'WRONG_PARAMETERS',
      message: 'the adapter was registered under other parameters',
    });
    expect(await verifyRegistration({ engine, parameters: parameters.set, adapter })).toMatchObject({
      valid: false,
      reason: 'PARAMETERS_DEVELOPMENT',
    });
  });

  it('a commitment whose points do not fit its ranks is no statement', async () => {
    const scenario = await scenarioOf([{ rank: 2, inFeatures: 4, outFeatures: 4 }]);
    const { adapter } = scenario;
    const proof = await prove(scenario);
    const [module] = adapter.modules;
    const shorter = { ...module!, aRows: module!.aRows.slice(1) };
    const bad = withProof({ ...adapter, modules: [shorter] }, proof);
    expect((await refusalOf(verify(bad))).code).toBe('COMMITMENT_MALFORMED');
    const offCurve = { ...module!, aRows: module!.aRows.with(0, `${'00'.repeat(63)}01`) };
    const moved = { ...adapter, modules: [offCurve] };
    const retargeted = { ...decodeRegistrationProof(proof), adapterId: adapterId(moved) };
    expect((await refusalOf(verify(withProof(moved, encodeRegistrationProof(retargeted))))).code).toBe(
      'COMMITMENT_MALFORMED',
    );
  });

  it('a verdict on an inference proof says whether weights are integers', async () => {
    const scenario = await scenarioOf([{ rank: 1, inFeatures: 4, outFeatures: 4 }], 1, [2]);
    const other = await scenarioOf([{ rank: 1, inFeatures: 4, outFeatures: 4 }], 2);
    const check = async ({ adapter, ...rest }: Scenario) => {
      const registration = await verify(withProof(adapter, await prove({ adapter, ...rest })));
      if (!registration.valid) throw new Error(registration.message);
      return registration;
    };
    const proof = await proveSession({ ...scenario });
    const options = {
      ...{ engine, parameters: parameters.set, verificationKeys: parameters.vkey, proof },
      ...{ adapter: scenario.adapter, session: scenario.session, allowDevelopmentParameters: true },
    };
    expect(await verifyProof(options)).toMatchObject({ valid: true, integerWeights: false });
    expect(await verifyProof({ ...options, registration: await check(scenario) })).toMatchObject({
      valid: true,
      integerWeights: true,
    });
    expect(await verifyProof({ ...options, registration: await check(other) })).toMatchObject({
      valid: false,
      reason: 'WRONG_ADAPTER',
    });
  });

  it('what the prover is given must belong together', async () => {
    const scenario = await scenarioOf([{ rank: 2, inFeatures: 4, outFeatures: 4 }]);
    const other = await scenarioOf([{ rank: 1, inFeatures: 4, outFeatures: 4 }]);
    const codes = await Promise.all(
      [
        { ...scenario, secret: other.secret, srs: await parameters.srs(512) },
        { ...scenario, modules: other.modules, srs: await parameters.srs(512) },
        { ...scenario, srs: await parameters.srs(1024) },
      ].map(async (options) => (await refusalOf(proveRegistration(options))).code),
    );
    expect(codes).toEqual(['SECRET_MISMATCH', 'SHAPE_MISMATCH', 'SHAPE_MISMATCH']);
  });
});

describe('hiding, as far as a test sees it', () => {
  it('two proofs of one adapter share no element, and sketches spread over the range of the masks', async () => {
    const scenario = await scenarioOf([{ rank: 1, inFeatures: 4, outFeatures: 4 }]);
    const proofs = [await prove(scenario), await prove(scenario)].map(decodeRegistrationProof);
    const elements = proofs.flatMap(({ masks, sketches, sum }) =>
      [masks, ...sketches, ...Object.values(sum)].map((element) => element.toString()),
    );
    expect(elements).toHaveLength(2 * (1 + 465 + 5));
    expect(new Set(elements).size).toBe(elements.length);
    const halves = [0, 0];
    for (const sketch of proofs.flatMap(({ sketches }) => sketches)) halves[Number(sketch >> 99n)]!++;
    expect(halves).toHaveLength(2);
    // 465 expected, standard deviation 15
    expect(Math.abs(halves[0]! - 465)).toBeLessThan(150);
  });
});

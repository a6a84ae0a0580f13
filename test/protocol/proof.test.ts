import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import type { ParameterStore } from '../../src/circuit/index.js';
import { proveSession, verifyProof } from '../../src/protocol/index.js';
import { developmentParameters, makeScenario, type Scenario } from '../support/scenario.js';

let engine: Engine;
let parameters: ParameterStore;
beforeAll(async () => {
  engine = await loadEngine();
  parameters = await developmentParameters();
});
afterAll(() => engine.terminate());

const verify = (scenario: Scenario, proof: Uint8Array, session = scenario.session) =>
  verifyProof({
    engine,
    parameters: parameters.set,
    verificationKeys: parameters.vkey,
    adapter: scenario.adapter,
    session,
    proof,
    allowDevelopmentParameters: true,
  });

describe('completeness', () => {
  it('one small module', async () => {
    const scenario = await makeScenario(engine, parameters, {
      shapes: [{ rank: 2, inFeatures: 6, outFeatures: 5 }],
      calls: [3],
    });
    const proof = await proveSession({ ...scenario });
    expect(await verify(scenario, proof)).toMatchObject({ valid: true, tokens: 3, modules: ['layer.0'] });
    console.log(proof.length);
  });
});

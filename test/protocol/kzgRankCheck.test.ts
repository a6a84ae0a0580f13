import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import type { ParameterStore } from '../../src/circuit/index.js';
import { decodeProofFile, encodeProofFile, proveSession, verifyProof } from '../../src/protocol/index.js';
import { developmentParameters, makeScenario, type Scenario, type Shape } from '../support/scenario.js';

let engine: Engine;
let parameters: ParameterStore;
beforeAll(async () => {
  engine = await loadEngine();
  parameters = await developmentParameters();
});
afterAll(() => engine.terminate());

const verify = (scenario: Scenario, proof: Uint8Array) =>
  verifyProof({
    engine,
    parameters: parameters.set,
    verificationKeys: () => {
      throw new Error('no circuit key is needed');
    },
    adapter: scenario.adapter,
    session: scenario.session,
    proof,
    allowDevelopmentParameters: true,
  });

describe('pairs checked inside the sum argument', () => {
  const cases: [string, Shape[]][] = [
    ['one pair', [{ rank: 1, inFeatures: 1, outFeatures: 1 }]],
    [
      'two modules',
      [
        { rank: 3, inFeatures: 16, outFeatures: 8 },
        { rank: 5, inFeatures: 512, outFeatures: 512 },
      ],
    ],
    ['a full block', [256, 253].map((rank) => ({ rank, inFeatures: 2, outFeatures: 1 }))],
    ['a full block and one pair', [256, 254].map((rank) => ({ rank, inFeatures: 1, outFeatures: 2 }))],
  ];
  for (const [name, shapes] of cases) {
    it(`proves ${name}`, async () => {
      const scenario = await makeScenario(engine, parameters, { shapes, calls: [2, 1], seed: 5 });
      const proof = await proveSession({ ...scenario, rankCheck: 'kzg' });
      expect(await verify(scenario, proof)).toMatchObject({ valid: true, tokens: 3, proofs: 1 });
      const { rankCheck, proofs } = decodeProofFile(proof);
      expect(rankCheck).toBe('kzg');
      expect(proofs[0]!.blocks).toHaveLength(name.endsWith('one pair') && shapes.length > 1 ? 2 : 1);
      expect(encodeProofFile(decodeProofFile(proof))).toEqual(proof);
    });
  }
});

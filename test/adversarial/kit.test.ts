import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import type { ParameterStore } from '../../src/circuit/index.js';
import { expectAccepted } from '../support/bothVerifiers.js';
import { developmentParameters, makeScenario } from '../support/scenario.js';
import { dishonestProof } from './kit/prover.js';
import { filesOf, makeSetting, settingOf, smallestCircuitOnly } from './kit/setting.js';

let engine: Engine;
let parameters: ParameterStore;
beforeAll(async () => {
  engine = await loadEngine();
  parameters = await developmentParameters();
});
afterAll(() => engine.terminate());

// a refusal of the other tests means something only if the kit's proofs hold when it does not deviate
describe("the kit's own proofs are accepted where nothing deviates", () => {
  it('for one group with shared inputs', async () => {
    const setting = await makeSetting(engine, parameters, {
      shapes: [
        { rank: 2, inFeatures: 7, outFeatures: 5 },
        { rank: 1, inFeatures: 4, outFeatures: 6 },
        { rank: 3, inFeatures: 7, outFeatures: 3 },
      ],
      calls: [1, 2],
      inputs: [[0, 2], [1]],
    });
    await expectAccepted(engine, filesOf(setting, [await dishonestProof(setting)]));
  });

  it('for several groups', async () => {
    const setting = await makeSetting(engine, smallestCircuitOnly(parameters), {
      shapes: [9, 6, 8, 15].map((rank) => ({ rank, inFeatures: 4, outFeatures: 3 })),
      calls: [2],
    });
    expect(setting.statement.groups).toHaveLength(3);
    await expectAccepted(engine, filesOf(setting, [await dishonestProof(setting)]));
  });

  it('for single modules', async () => {
    const scenario = await makeScenario(engine, parameters, {
      shapes: [1, 2].map((rank) => ({ rank, inFeatures: 4, outFeatures: 3 })),
      calls: [2],
    });
    const settings = [
      await settingOf(scenario, { moduleIndices: [0] }),
      await settingOf(scenario, { moduleIndices: [1] }),
    ];
    const proofs = [await dishonestProof(settings[0]!), await dishonestProof(settings[1]!)];
    await expectAccepted(engine, filesOf(settings[0]!, proofs));
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type QuantizedModule, registerAdapter } from '../../src/adapter/index.js';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import type { ParameterStore } from '../../src/circuit/index.js';
import { proveSession, type RankCheck } from '../../src/protocol/index.js';
import { codeOf } from '../circuit/helpers.js';
import { expectAccepted, expectRefused, type VerifierFiles } from '../support/bothVerifiers.js';
import {
  developmentParameters,
  holdSession,
  makeScenario,
  type Scenario,
  seeded,
} from '../support/scenario.js';

import { dishonestPairs } from './kit/pairProver.js';
import { dishonestProof } from './kit/prover.js';
import { filesOf, settingOf } from './kit/setting.js';

let engine: Engine;
let parameters: ParameterStore;
let registered: Scenario;
beforeAll(async () => {
  engine = await loadEngine();
  parameters = await developmentParameters();
  registered = await makeScenario(engine, parameters, {
    shapes: [
      { rank: 3, inFeatures: 8, outFeatures: 6 },
      { rank: 2, inFeatures: 8, outFeatures: 6 },
    ],
    calls: [2],
  });
});
afterAll(() => engine.terminate());

type Edit = (modules: { a: Int16Array; bT: Int16Array }[]) => void;

const edited = (scenario: Scenario, edit: Edit): readonly QuantizedModule[] => {
  const modules = structuredClone([...scenario.modules]);
  edit(modules);
  return modules;
};

/** Deltas served with other weights than the committed ones. */
function served(scenario: Scenario, modules: readonly QuantizedModule[]): Scenario {
  const session = holdSession(scenario.adapter, modules, [[0], [1]], [2], seeded(3));
  return { ...scenario, modules, session };
}

/** ... and proven with them, by a prover that does not look at the commitment. */
async function provenWith(
  scenario: Scenario,
  modules: readonly QuantizedModule[],
  rankCheck: RankCheck = 'groth16',
): Promise<VerifierFiles> {
  const setting = await settingOf(served(scenario, modules), { rankCheck });
  const prove = rankCheck === 'kzg' ? dishonestPairs : dishonestProof;
  return filesOf(setting, [await prove(setting)]);
}

function swapRows(matrix: Int16Array, width: number, i: number, j: number): void {
  const row = matrix.slice(i * width, (i + 1) * width);
  matrix.copyWithin(i * width, j * width, (j + 1) * width);
  matrix.set(row, j * width);
}

const edits: Record<string, Edit> = {
  'one entry of A off by one': ([first]) => {
    first!.a[9]! += 1;
  },
  'one entry of B off by one': ([, second]) => {
    second!.bT[11]! -= 1;
  },
  'two rows of A swapped': ([first]) => {
    swapRows(first!.a, 8, 0, 2);
  },
  'two columns of B swapped': ([first]) => {
    swapRows(first!.bT, 6, 0, 1);
  },
  'a rank-one tweak of A': ([first]) => {
    for (let row = 0; row < 3; row++)
      for (let i = 0; i < 8; i++) first!.a[row * 8 + i]! += (row + 1) * (i - 3);
  },
  'the modules exchanged in one row': ([first, second]) => {
    const row = first!.a.slice(0, 8);
    first!.a.set(second!.a.slice(0, 8));
    second!.a.set(row);
  },
  'one row zeroed': ([, second]) => {
    second!.a.fill(0, 8, 16);
  },
};

describe('deltas and proof made with other weights than the committed ones', () => {
  it('are accepted with the committed ones', async () => {
    await expectAccepted(engine, await provenWith(registered, registered.modules));
  });

  it.each(Object.keys(edits))('%s', async (name) => {
    const files = await provenWith(registered, edited(registered, edits[name]!));
    await expectRefused(engine, files, 'OPENING_INVALID');
  });

  it('one entry off by one, with pairs on H', async () => {
    for (const name of ['one entry of A off by one', 'one entry of B off by one']) {
      const files = await provenWith(registered, edited(registered, edits[name]!), 'kzg');
      await expectRefused(engine, files, 'OPENING_INVALID', name);
    }
  });

  it("the library's prover does not hand out such a proof", async () => {
    const modules = edited(registered, edits['one entry of A off by one']!);
    const code = await codeOf(() => proveSession(served(registered, modules)));
    expect(code).toBe('SECRET_MISMATCH');
  });
});

describe('weights that give the same deltas', () => {
  it('whole pairs exchanged: the proof is about the order of the rows too', async () => {
    const modules = edited(registered, ([first]) => {
      swapRows(first!.a, 8, 0, 2);
      swapRows(first!.bT, 6, 0, 2);
    });
    const files = await provenWith(registered, modules);
    expect(files.calls).toEqual((await provenWith(registered, registered.modules)).calls);
    await expectRefused(engine, files, 'OPENING_INVALID');
  });

  it('(c A, B / c): true deltas, but not an opening of the commitment', async () => {
    const scale = 4;
    const scenario = await makeScenario(engine, parameters, {
      shapes: [
        { rank: 3, inFeatures: 8, outFeatures: 6 },
        { rank: 2, inFeatures: 8, outFeatures: 6 },
      ],
      calls: [2],
    });
    // even columns to begin with, so that B / c is whole; registered like that
    const even = edited(scenario, ([first]) => {
      first!.bT.forEach((value, i) => {
        first!.bT[i] = Math.trunc(value / scale) * scale;
      });
    });
    const { commitment, secret } = await registerAdapter({
      engine,
      srs: await parameters.srs(512),
      parametersId: parameters.id,
      modules: even,
      baseDigest: '11'.repeat(32),
    });
    const own = { ...scenario, modules: even, adapter: commitment, secret };
    const scaled = edited(own, ([first]) => {
      first!.a.forEach((value, i) => {
        first!.a[i] = value * scale;
      });
      first!.bT.forEach((value, i) => {
        first!.bT[i] = value / scale;
      });
    });
    const honest = await provenWith(own, even);
    const files = await provenWith(own, scaled);
    expect(files.calls).toEqual(honest.calls);
    await expectAccepted(engine, honest);
    await expectRefused(engine, files, 'OPENING_INVALID');
  });
});

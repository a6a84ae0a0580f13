import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import type { BlockProof, Proof } from '../../src/protocol/index.js';
import { inverse, mod } from '../reference/field.js';
import { expectRefused } from '../support/bothVerifiers.js';
import { developmentParameters, makeScenario } from '../support/scenario.js';
import { addAt, type BlockRun, dishonestPairs, excessOf, onDomain, type PairRun } from './kit/pairProver.js';
import { filesOf, type Setting, settingOf } from './kit/setting.js';
import { SharedZeros } from './kit/weakPairSchedules.js';
import { pairsHold } from './kit/weakVerifier.js';

let engine: Engine;
/** 510 pairs: a full block of 509, and one pair in the next. */
let truth: Setting;
/** The same with one delta that is not what the committed weights give. */
let lie: Setting;
const N = 512;

beforeAll(async () => {
  engine = await loadEngine();
  const scenario = await makeScenario(engine, await developmentParameters(), {
    shapes: [256, 254].map((rank) => ({ rank, inFeatures: 2, outFeatures: 2 })),
    calls: [1],
  });
  truth = await settingOf(scenario, { rankCheck: 'kzg' });
  lie = await settingOf(scenario, {
    rankCheck: 'kzg',
    falsify: ({ calls }) => {
      calls[0]!.outputs[1]![0]! -= 1n;
    },
  });
});
afterAll(() => engine.terminate());

describe('blocks', () => {
  let proof: Proof;
  beforeAll(async () => {
    proof = await dishonestPairs(truth);
    expect(proof.blocks).toHaveLength(2);
  });

  it.each<[string, string, (a: BlockProof, b: BlockProof) => BlockProof[]]>([
    ['swapped', 'OPENING_INVALID', (a, b) => [b, a]],
    ['one dropped', 'GROUP_STRUCTURE', (a) => [a]],
    ['one more', 'GROUP_STRUCTURE', (a, b) => [a, b, b]],
    ['none', 'PROOF_MALFORMED', () => []],
  ])('%s', async (_name, reason, edit) => {
    const [a, b] = proof.blocks as [BlockProof, BlockProof];
    await expectRefused(engine, filesOf(truth, [{ ...proof, blocks: edit(a, b) }]), reason);
  });
});

describe('zeros forced in all blocks with the same weights let a false delta through', () => {
  it('p at a blinder of q in one block, and its negative in the other', async () => {
    const chosen = (run: PairRun) => {
      const [a, b] = run.blocks as [BlockRun, BlockRun];
      const [gammaA, gammaB] = [a, b].map(({ q }) => onDomain(run, q)[N - 2]!) as [bigint, bigint];
      const amount = mod(-excessOf(run) * inverse(mod(gammaA - gammaB)));
      addAt(run, a, 'p', N - 2, amount);
      addAt(run, b, 'p', N - 2, -amount);
      expect(excessOf(run)).toBe(0n);
    };
    const proof = await dishonestPairs(lie, { chosen }, new SharedZeros(lie.statement));
    const files = filesOf(lie, [proof]);
    expect(pairsHold(files, proof, new SharedZeros(lie.statement))).toBe(true);
    await expectRefused(engine, files, 'OPENING_INVALID');
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, Fr, loadEngine } from '../../src/algebra/index.js';
import type { ParameterStore } from '../../src/circuit/index.js';
import {
  type BlockProof,
  decodeProofFile,
  encodeProofFile,
  type Proof,
  type ProofFile,
  proveSession,
  proveUnchecked,
  verifyProof,
} from '../../src/protocol/index.js';
import { countOperations } from '../support/counting.js';
import { developmentParameters, makeScenario, type Scenario, type Shape } from '../support/scenario.js';
import { expectRefused } from './refused.js';

let engine: Engine;
let parameters: ParameterStore;
beforeAll(async () => {
  engine = await loadEngine();
  parameters = await developmentParameters();
});
afterAll(() => engine.terminate());

const verify = (scenario: Scenario, proof: Uint8Array, on = engine) =>
  verifyProof({
    engine: on,
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

  it('takes ranks that no circuit of the set holds, which proofs by circuits refuse', async () => {
    const scenario = await makeScenario(engine, parameters, {
      shapes: [{ rank: 256, inFeatures: 2, outFeatures: 2 }],
      calls: [1],
    });
    const proof = await proveSession({ ...scenario });
    expect(await verify(scenario, proof)).toMatchObject({ valid: true, rankCheck: 'kzg' });
    await expectRefused(
      () => proveSession({ ...scenario, rankCheck: 'groth16' }),
      'STATEMENT_INVALID',
      /^a module of rank 256 exceeds the parameter set's largest circuit \(255 pairs\)/,
    );
  });

  it('proves modules one by one, on a wider domain, each as it would alone', async () => {
    const scenario = await makeScenario(engine, parameters, {
      shapes: [
        { rank: 2, inFeatures: 600, outFeatures: 1 },
        { rank: 1, inFeatures: 3, outFeatures: 2 },
      ],
      calls: [1],
    });
    const proof = await proveSession({ ...scenario, mode: 'per-module' });
    expect(await verify(scenario, proof)).toMatchObject({ valid: true, proofs: 2 });
    const file = decodeProofFile(proof);
    const [first, second] = file.proofs as [Proof, Proof];
    // each has its own weights: neither stands in for the other
    for (const proofs of [
      [{ ...first, blocks: second.blocks }, second],
      [first, { ...second, sum: first.sum }],
    ]) {
      const changed = encodeProofFile({ ...file, proofs });
      expect(await verify(scenario, changed)).toMatchObject({ valid: false, reason: 'OPENING_INVALID' });
    }
  });
});

describe('a proof with two blocks', () => {
  let scenario: Scenario;
  let file: ProofFile;
  let whole: Proof;
  beforeAll(async () => {
    scenario = await makeScenario(engine, parameters, {
      shapes: [256, 254].map((rank) => ({ rank, inFeatures: 1, outFeatures: 1 })),
      calls: [1],
    });
    file = decodeProofFile(await proveSession({ ...scenario }));
    whole = file.proofs[0]!;
  });
  const verdict = async (change: Partial<Proof>) => {
    const proof = encodeProofFile({ ...file, proofs: [{ ...whole, ...change }] });
    const { valid, ...said } = await verify(scenario, proof);
    return valid || (said as { reason: string }).reason;
  };

  it('costs two commitments and two lanes more for each block, and the verifier two points', async () => {
    const proving = await countOperations(engine, (counting) =>
      proveUnchecked({ ...scenario, engine: counting }),
    );
    // [phi], [Q], W; W', p and q of the full block. Those of the last, one pair and three places, are few terms
    const sorted = proving.counts.msm.sort((a, b) => b - a);
    expect(sorted).toEqual([518, 515, 515, 512, 512, 512]);
    // lanes of the inputs, of v, and two for each block; two share a quad; there and back
    expect([proving.counts.quadTransforms, proving.counts.singleTransforms]).toEqual([6, 4]);

    const { counts, result } = await countOperations(engine, (counting) =>
      verify(scenario, proving.result, counting),
    );
    expect(result.valid).toBe(true);
    // rows; p and q of both; [phi] twice, [Q], G twice, W, W'
    expect(counts.msm).toEqual([2 * 510 + 4 + 7]);
    expect([counts.millerLoops, counts.finalExponentiations]).toEqual([2, 1]);
  });

  it('needs both, in order, and no third', async () => {
    const [first, second] = whole.blocks as [BlockProof, BlockProof];
    expect(await verdict({})).toBe(true);
    expect(await verdict({ blocks: [second, first] })).toBe('OPENING_INVALID');
    for (const blocks of [[first], [first, second, second]]) {
      expect(await verdict({ blocks })).toBe('GROUP_STRUCTURE');
    }
  });

  it('holds with no element of either changed', async () => {
    for (const g of [0, 1]) {
      const block = whole.blocks[g]!;
      for (const change of [
        { p: block.q },
        { q: block.p },
        { qAtPoint: Fr.add(block.qAtPoint, 1n) },
        { p: block.q, q: block.p },
      ]) {
        const blocks = whole.blocks.map((other, i) => (i === g ? { ...block, ...change } : other));
        expect(await verdict({ blocks }), `block ${g}`).toBe('OPENING_INVALID');
      }
    }
  });

  it('tells the values of q at z apart: their sum alone is not what is opened', async () => {
    const [first, second] = whole.blocks as [BlockProof, BlockProof];
    const blocks = [
      { ...first, qAtPoint: Fr.add(first.qAtPoint, 1n) },
      { ...second, qAtPoint: Fr.sub(second.qAtPoint, 1n) },
    ];
    expect(await verdict({ blocks })).toBe('OPENING_INVALID');
  });
});

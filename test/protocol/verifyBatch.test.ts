import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, type G1Point, g1Generator, loadEngine } from '../../src/algebra/index.js';
import {
  type BatchItem,
  decodeProofFile,
  encodeProofFile,
  MAX_BATCH_PROOFS,
  proveSession,
  type RankCheck,
  type VerifyBatchOptions,
  verifyBatch,
} from '../../src/protocol/index.js';
import { checkProof, type ReadProof, readProof, VerifierCache } from '../../src/protocol/verify.js';
import { holdTogether } from '../../src/protocol/verifyBatch.js';
import { countOperations } from '../support/counting.js';
import {
  developmentParameters,
  holdSession,
  makeScenario,
  type Scenario,
  seeded,
} from '../support/scenario.js';
import { expectRefused } from './refused.js';

const SHAPES = [
  { rank: 1, inFeatures: 3, outFeatures: 2 },
  { rank: 2, inFeatures: 3, outFeatures: 1 },
];
const INPUTS = [[0, 1]];

let engine: Engine;
let scenario: Scenario;
/** Two sessions with one adapter, the second proven module by module; one with another adapter. */
let items: BatchItem[];
beforeAll(async () => {
  engine = await loadEngine();
  const parameters = await developmentParameters();
  scenario = await makeScenario(engine, parameters, { shapes: SHAPES, calls: [2], inputs: INPUTS });
  const { adapter, modules } = scenario;
  const second = holdSession(adapter, modules, INPUTS, [1, 1], seeded(7));
  const other = await makeScenario(engine, parameters, { shapes: SHAPES.slice(1), calls: [3], seed: 9 });
  items = [
    { adapter, session: scenario.session, proof: await proveSession({ ...scenario }) },
    {
      adapter,
      session: second,
      proof: await proveSession({ ...scenario, session: second, mode: 'per-module' }),
    },
    { adapter: other.adapter, session: other.session, proof: await proveSession({ ...other }) },
  ];
});
afterAll(() => engine.terminate());

const options = (change: Partial<VerifyBatchOptions> = {}): VerifyBatchOptions => ({
  engine,
  parameters: scenario.parameters.set,
  verificationKeys: scenario.parameters.vkey,
  items,
  allowDevelopmentParameters: true,
  ...change,
});

/** The batch with changes to some items; `VALID` or the reason of each verdict. */
async function reasons(changes: Readonly<Record<number, Partial<BatchItem>>>): Promise<string[]> {
  const changed = items.map((item, i) => ({ ...item, ...changes[i] }));
  const { valid, verdicts } = await verifyBatch(options({ items: changed }));
  expect(valid).toBe(verdicts.every((verdict) => verdict.valid));
  return verdicts.map((verdict) => (verdict.valid ? 'VALID' : verdict.reason));
}

/** W of a file's only proof with D added. */
function shiftedOpening(item: BatchItem, shift: G1Point, sign: 1 | -1): Uint8Array {
  const { G1 } = engine.curve;
  const file = decodeProofFile(item.proof);
  const [proof] = file.proofs;
  const by = sign === 1 ? G1.toJacobian(shift) : G1.neg(G1.toJacobian(shift));
  const opening = G1.toAffine(G1.add(G1.toJacobian(proof!.sum.opening), by)) as G1Point;
  return encodeProofFile({ ...file, proofs: [{ ...proof!, sum: { ...proof!.sum, opening } }] });
}

describe('a batch', () => {
  it('of valid proofs holds, with the verdicts that each has alone', async () => {
    const { valid, verdicts } = await verifyBatch(options());
    expect(valid).toBe(true);
    expect(verdicts).toMatchObject([
      { valid: true, tokens: 2, proofs: 1, integerWeights: false },
      { valid: true, tokens: 2, proofs: 2 },
      { valid: true, tokens: 3, proofs: 1, modules: ['layer.0'] },
    ]);
  });

  const countBoth = async (rankCheck: RankCheck) => {
    const prove = async () => ({ ...items[0]!, proof: await proveSession({ ...scenario, rankCheck }) });
    const first = await prove();
    const alone = await countOperations(engine, (counting) =>
      verifyBatch(options({ engine: counting, items: [first] })),
    );
    const second = await prove();
    const both = await countOperations(engine, (counting) =>
      verifyBatch(options({ engine: counting, items: [first, second] })),
    );
    expect(both.result.valid).toBe(true);
    return { alone, both };
  };

  it('takes one product of pairings, and shared points once', async () => {
    const { alone, both } = await countBoth('kzg');
    // generator and tau G2
    expect([alone.counts.millerLoops, alone.counts.finalExponentiations]).toEqual([2, 1]);
    expect([both.counts.millerLoops, both.counts.finalExponentiations]).toEqual([2, 1]);
    // three pairs: six rows and G stand once
    const [once] = alone.counts.msm;
    expect(both.counts.msm[0]).toBe(7 + 2 * (once! - 7));
  });

  it('shares the points of circuits, too', async () => {
    const { alone, both } = await countBoth('groth16');
    // generator, tau G2, beta, delta, and B of each proof
    expect([alone.counts.millerLoops, alone.counts.finalExponentiations]).toEqual([5, 1]);
    expect([both.counts.millerLoops, both.counts.finalExponentiations]).toEqual([6, 1]);
    // three pairs: 8 bases of D, IC_0, IC_1, six rows, U and G stand once
    const shared = 2 * 3 + 2 + 2 + 6 + 2;
    const [once] = alone.counts.msm;
    expect(both.counts.msm[0]).toBe(shared + 2 * (once! - shared));
  });

  it('names the one proof that does not hold', async () => {
    const proof = shiftedOpening(items[2]!, g1Generator(engine), 1);
    expect(await reasons({ 2: { proof } })).toEqual(['VALID', 'VALID', 'OPENING_INVALID']);
  });

  it('names all that are refused, whatever the reason, and judges the rest', async () => {
    const proof = shiftedOpening(items[0]!, g1Generator(engine), 1);
    expect(await reasons({ 0: { proof }, 1: { proof: items[1]!.proof.subarray(1) } })).toEqual([
      'OPENING_INVALID',
      'PROOF_MALFORMED',
      'VALID',
    ]);
    expect(await reasons({ 1: { proof: new Uint8Array() } })).toEqual(['VALID', 'PROOF_MALFORMED', 'VALID']);
  });

  it('of two proofs with their sessions swapped names both', async () => {
    const swapped = { 0: { session: items[1]!.session }, 1: { session: items[0]!.session } };
    expect(await reasons(swapped)).toEqual(['WRONG_SESSION', 'WRONG_SESSION', 'VALID']);
  });

  it('refuses two proofs whose errors cancel at equal weights', async () => {
    // W has weight one in equation (5), and z is drawn before W: W + D and W - D err by opposite amounts
    const [item] = items;
    const pair = ([1, -1] as const).map((sign) => ({
      ...item!,
      proof: shiftedOpening(item!, g1Generator(engine), sign),
    }));
    const cache = new VerifierCache();
    const read: ReadProof[] = [];
    for (const { proof } of pair) {
      const entry = await readProof({ ...options(), ...item!, proof }, cache);
      if ('checks' in entry) read.push(entry);
    }
    expect(read).toHaveLength(2);
    expect(await holdTogether(engine, read, [1n, 1n])).toBe(true);
    expect(await holdTogether(engine, read, [1n, 2n])).toBe(false);
    const { valid, verdicts } = await verifyBatch(options({ items: [...pair, item!] }));
    expect(valid).toBe(false);
    expect(verdicts).toMatchObject([
      { valid: false, reason: 'OPENING_INVALID' },
      { valid: false, reason: 'OPENING_INVALID' },
      { valid: true },
    ]);
  });

  it('refuses an item under other parameters, and development parameters without leave', async () => {
    const adapter = { ...items[1]!.adapter, parametersId: '00'.repeat(32) };
    expect(await reasons({ 1: { adapter } })).toEqual(['VALID', 'WRONG_PARAMETERS', 'VALID']);
    const { verdicts } = await verifyBatch(options({ allowDevelopmentParameters: false }));
    expect(verdicts.map((verdict) => !verdict.valid && verdict.reason)).toEqual(
      items.map(() => 'PARAMETERS_DEVELOPMENT'),
    );
  });

  it('holds proofs of both versions', async () => {
    const byCircuit = { ...items[0]!, proof: await proveSession({ ...scenario, rankCheck: 'groth16' }) };
    const { valid, verdicts } = await verifyBatch(options({ items: [...items, byCircuit] }));
    expect(valid).toBe(true);
    const kinds = verdicts.map((verdict) => verdict.valid && verdict.rankCheck);
    expect(kinds).toEqual(['kzg', 'kzg', 'kzg', 'groth16']);
    const demanding = await verifyBatch(options({ items: [items[0]!, byCircuit], rankCheck: 'kzg' }));
    expect(demanding.verdicts).toMatchObject([{ valid: true }, { reason: 'RANK_CHECK_REFUSED' }]);
    // an item has no say in what is demanded
    const insisting = Object.assign({}, byCircuit, {
      rankCheck: undefined,
      allowDevelopmentParameters: true,
    });
    const { verdicts: strict } = await verifyBatch(options({ items: [insisting], rankCheck: 'kzg' }));
    expect(strict).toMatchObject([{ reason: 'RANK_CHECK_REFUSED' }]);
    const without = await verifyBatch(options({ items: [insisting], allowDevelopmentParameters: false }));
    expect(without.verdicts).toMatchObject([{ reason: 'PARAMETERS_DEVELOPMENT' }]);
  });

  it('with keys of another size is no verdict but an error', async () => {
    const verificationKeys = () => scenario.parameters.vkey(63);
    const byCircuit = { ...items[0]!, proof: await proveSession({ ...scenario, rankCheck: 'groth16' }) };
    await expectRefused(
      () => verifyBatch(options({ verificationKeys, items: [byCircuit] })),
      'PARAMETERS_MISMATCH',
      /another circuit size/,
    );
  });

  it('checks a product that was begun while reading once', async () => {
    const [item] = items;
    const entry = await readProof({ ...options(), ...item! }, new VerifierCache(), 'begin');
    if (!('checks' in entry)) throw new Error(entry.message);
    expect(await checkProof(engine, entry)).toMatchObject({ valid: true });
    await expectRefused(() => checkProof(engine, entry), 'INTERNAL', /checked a second time/);
  });

  it('is neither empty nor beyond its limit', async () => {
    await expectRefused(() => verifyBatch(options({ items: [] })), 'USAGE', /1 to 1024 proofs, not 0/);
    const many = new Array<BatchItem>(MAX_BATCH_PROOFS + 1).fill(items[0]!);
    await expectRefused(() => verifyBatch(options({ items: many })), 'USAGE', /not 1025/);
    const unreadable = many.slice(1).map((item) => ({ ...item, proof: new Uint8Array() }));
    const { valid, verdicts } = await verifyBatch(options({ items: unreadable }));
    expect([valid, verdicts.length]).toEqual([false, 1024]);
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterId } from '../../../src/adapter/index.js';
import { decodeG2, type Engine, Fr, loadEngine, R, randomScalar } from '../../../src/algebra/index.js';
import { hexToBytes } from '../../../src/bytes.js';
import type { ParameterStore } from '../../../src/circuit/index.js';
import {
  decodeRegistrationProof,
  encodeRegistrationProof,
  proveRegistration,
  verifyProof,
  verifyRegistration,
} from '../../../src/protocol/index.js';
import { SKETCH_BOUND } from '../../../src/protocol/registration/sizes.js';
import { refuseProof } from '../../../src/protocol/registration/verify.js';
import { refusalOf } from '../../adapter/refusal.js';
import {
  type FieldAdapter,
  type FieldModule,
  proveFieldSession,
  registerFieldAdapter,
} from '../../support/fieldAdapter.js';
import {
  developmentParameters,
  holdSession,
  type MemorySession,
  makeScenario,
  randomModule,
  seeded,
} from '../../support/scenario.js';
import { type Attempt, attemptRegistration, centred, clamp, type Deviation, withProof } from './cheat.js';

let engine: Engine;
let parameters: ParameterStore;
beforeAll(async () => {
  engine = await loadEngine();
  parameters = await developmentParameters();
});
afterAll(() => engine.terminate());

const small = (count: number, random: () => number) =>
  Array.from({ length: count }, () => BigInt(Math.floor((random() - 0.5) * 60_000)));
const split = (entries: ArrayLike<number>, width: number) =>
  Array.from({ length: entries.length / width }, (_, row) =>
    Array.from({ length: width }, (_column, i) => BigInt(entries[row * width + i]!)),
  );

const verifyInference = (adapter: FieldAdapter, session: MemorySession, proof: Uint8Array) =>
  verifyProof({
    engine,
    parameters: parameters.set,
    verificationKeys: parameters.vkey,
    adapter: adapter.commitment,
    session,
    proof,
    allowDevelopmentParameters: true,
  });
const verify = (adapter: FieldAdapter, proof: Uint8Array) =>
  verifyRegistration({
    engine,
    parameters: parameters.set,
    adapter: withProof(adapter.commitment, proof),
    allowDevelopmentParameters: true,
  });
/** The argument alone: a commitment file has no column offset but 0 yet. */
const verifyWithOffset = async ({ commitment }: FieldAdapter, { proof }: Attempt) => {
  const tauG2 = decodeG2(hexToBytes(parameters.set.tauG2));
  return (await refuseProof(engine, tauG2, commitment, decodeRegistrationProof(proof))) ?? { valid: true };
};
const attempt = (adapter: FieldAdapter, deviation?: Deviation, rows = adapter.rows): Promise<Attempt> =>
  attemptRegistration(engine, parameters, adapter.commitment, rows, deviation);

/** Every way a prover of an adapter that is not short could try. */
async function expectRefusal(adapter: FieldAdapter): Promise<void> {
  await expectOutOfRange(adapter);
  expect(await refusalOf(attempt(adapter, { sketches: clamp }))).toMatchObject({ code: 'INTERNAL' });
  const clamped = await attempt(adapter, { sketches: clamp, repairSum: true });
  expect(await verify(adapter, clamped.proof)).toMatchObject({ valid: false, reason: 'OPENING_INVALID' });

  // masks chosen after the bits, so that every sketch is one
  const late = await attempt(adapter, { lateMasks: (unmasked) => unmasked.map((value) => 1n - value) });
  expect(new Set(late.exact)).toEqual(new Set([1n]));
  expect(await verify(adapter, late.proof)).toMatchObject({ valid: false, reason: 'OPENING_INVALID' });
}

/** The protocol as it is. */
async function expectOutOfRange(adapter: FieldAdapter): Promise<void> {
  const honest = await attempt(adapter);
  const outside = honest.exact.filter((value) => value >= SKETCH_BOUND || value <= -SKETCH_BOUND);
  // 116 expected or more, standard deviation 12
  expect(outside.length).toBeGreaterThan(20);
  expect(await verify(adapter, honest.proof)).toMatchObject({ valid: false, reason: 'SKETCH_OUT_OF_RANGE' });
}

describe('an adapter without integer meaning passes an inference proof and gets no registration proof', () => {
  it('(c A, B / c) reproduces every delta of (A, B)', async () => {
    const random = seeded(7);
    const module = randomModule('layer.0', { rank: 2, inFeatures: 10, outFeatures: 6 }, random);
    const c = randomScalar();
    const scaled = (entries: Int16Array, width: number, factor: bigint) =>
      split(entries, width).map((row) => row.map((entry) => Fr.mul(Fr.create(entry), factor)));
    const adapter = await registerFieldAdapter(engine, parameters, [
      { ...module, a: scaled(module.a, 10, c), b: scaled(module.bT, 6, Fr.inv(c)) },
    ]);
    const session = holdSession(adapter.commitment, [module], [[0]], [3, 4], random);
    const proof = await proveFieldSession(engine, parameters, adapter, session);
    expect(await verifyInference(adapter, session, proof)).toMatchObject({
      valid: true,
      tokens: 7,
      integerWeights: false,
    });

    await expectRefusal(adapter);
    // the small pair is not what is committed
    const integers = await registerFieldAdapter(engine, parameters, [
      { ...module, a: split(module.a, 10), b: split(module.bT, 6) },
    ]);
    const rows = integers.rows.map(({ values }, i) => ({ values, blinder: adapter.rows[i]!.blinder }));
    const swapped = await attempt(adapter, {}, rows);
    expect(swapped.exact.every((value) => value < SKETCH_BOUND && value > -SKETCH_BOUND)).toBe(true);
    expect(await verify(adapter, swapped.proof)).toMatchObject({ valid: false, reason: 'OPENING_INVALID' });
    // control: committed as they are, the small pair has a proof
    expect(await verify(integers, (await attempt(integers)).proof)).toMatchObject({ valid: true });
  });

  it('field-solved weights reproduce chosen deltas on n predicted rows', async () => {
    const random = seeded(8);
    const n = 8;
    const shape = { rank: 2, inFeatures: n, outFeatures: 5 };
    // what the seller wants each predicted token to give, through an honest-looking B
    const wanted = Array.from({ length: n }, () => small(shape.rank, random));
    const b = Array.from({ length: shape.rank }, () => small(shape.outFeatures, random));
    const stub = randomModule('layer.0', shape, random);
    const predicted = holdSession(
      (await registerFieldAdapter(engine, parameters, [{ ...shape, a: b, b }])).commitment,
      [stub],
      [[0]],
      [n],
      random,
    );
    const x = split(predicted.calls[0]!.inputs[0]!.x, n);
    const a = Array.from({ length: shape.rank }, (_, j) =>
      solve(
        x,
        wanted.map((row) => row[j]!),
      ),
    );
    expect(a.flat().some((entry) => centred(entry) >= 2n ** 103n)).toBe(true);
    const adapter = await registerFieldAdapter(engine, parameters, [{ ...shape, a, b }]);
    const header = { ...predicted.header, adapterId: adapterId(adapter.commitment) };
    const session = predicted.clone();
    Object.assign(session.header, { ...header, contributorKey: adapter.commitment.contributorKey });
    const outputs = session.calls[0]!.outputs[0]!;
    wanted.forEach((row, token) => {
      for (let o = 0; o < shape.outFeatures; o++) {
        const delta = row.reduce((sum, value, j) => sum + value * b[j]![o]!, 0n);
        outputs[token * shape.outFeatures + o] = delta;
      }
    });
    const proof = await proveFieldSession(engine, parameters, adapter, session);
    expect(await verifyInference(adapter, session, proof)).toMatchObject({ valid: true, tokens: n });

    await expectRefusal(adapter);
  });
});

describe('one bad entry is enough', () => {
  const base = (random: () => number): FieldModule => ({
    ...{ rank: 2, inFeatures: 20, outFeatures: 12 },
    a: [small(20, random), small(20, random)],
    b: [small(12, random), small(12, random)],
  });

  it.each([
    ['2^103', 2n ** 103n],
    ['-2^103', -(2n ** 103n)],
    ['a quotient', Fr.inv(3n)],
  ])('an entry of %s', async (_, entry) => {
    const module = base(seeded(9));
    const b = module.b.map((row, j) => (j === 1 ? row.with(4, entry) : row));
    await expectOutOfRange(await registerFieldAdapter(engine, parameters, [{ ...module, b }]));
  });

  it('entries below 2^96 pass: the argument is an approximate one', async () => {
    const module = base(seeded(9));
    const b = module.b.map((row) => row.with(4, 2n ** 96n - 1n));
    const adapter = await registerFieldAdapter(engine, parameters, [{ ...module, b }]);
    expect(await verify(adapter, (await attempt(adapter)).proof)).toMatchObject({ valid: true });
  });

  it.each([
    ['A, behind its end', { inFeatures: 19 }],
    ['B, behind its end', { outFeatures: 11 }],
    ['A, before its offset', { columnOffset: 1 }],
  ])('a small entry outside the range of a row of %s', async (_, change) => {
    const module = base(seeded(10));
    const good = await registerFieldAdapter(engine, parameters, [module]);
    expect(await verify(good, (await attempt(good)).proof)).toMatchObject({ valid: true });
    // the same points under a description with a narrower range
    const [described] = good.commitment.modules;
    const bad = { ...good, commitment: { ...good.commitment, modules: [{ ...described!, ...change }] } };
    expect(await refusalOf(attempt(bad))).toMatchObject({ code: 'INTERNAL' });
    const forced = await attempt(bad, { repairSum: true });
    expect(await verifyWithOffset(bad, forced)).toMatchObject({ valid: false, reason: 'OPENING_INVALID' });
  });

  it('rows at an offset, inside their range', async () => {
    const adapter = await registerFieldAdapter(engine, parameters, [
      { ...base(seeded(11)), columnOffset: 492 },
      { ...base(seeded(12)), columnOffset: 20 },
    ]);
    expect(await verifyWithOffset(adapter, await attempt(adapter))).toEqual({ valid: true });
  });
});

describe('a proof belongs to one commitment and one key', () => {
  it('rows that were swapped, points under another key, other parameters', async () => {
    const scenario = await makeScenario(engine, parameters, {
      shapes: [{ rank: 2, inFeatures: 6, outFeatures: 6 }],
      calls: [],
    });
    const srs = await parameters.srs(512);
    const { adapter } = scenario;
    const proof = await proveRegistration({ ...scenario, srs });
    const as = (commitment: typeof adapter) => verify({ commitment, rows: [] }, proof);
    expect(await as(adapter)).toMatchObject({ valid: true });

    const [module] = adapter.modules;
    const { aRows, bColumns } = module!;
    for (const commitment of [
      { ...adapter, modules: [{ ...module!, aRows: aRows.toReversed() }] },
      { ...adapter, modules: [{ ...module!, aRows: bColumns, bColumns: aRows }] },
      { ...adapter, modules: [{ ...module!, scaling: 3 }] },
      { ...adapter, contributorKey: '55'.repeat(32) },
      { ...adapter, salt: '55'.repeat(32) },
    ]) {
      expect(await as(commitment)).toMatchObject({ valid: false, reason: 'WRONG_ADAPTER' });
      const decoded = decodeRegistrationProof(proof);
      const retargeted = encodeRegistrationProof({ ...decoded, adapterId: adapterId(commitment) });
      expect(await verify({ commitment, rows: [] }, retargeted)).toMatchObject({
        valid: false,
        reason: 'OPENING_INVALID',
      });
    }
    const elsewhere = { ...adapter, parametersId: '66'.repeat(32) };
    const underOthers = { valid: false, message: 'the adapter was registered under other parameters' };
    expect(await as(elsewhere)).toEqual({ ...underOthers, reason: 'WRONG_PARAMETERS' });
    // before the proof is looked for
    expect(
      await verifyRegistration({
        engine,
        parameters: parameters.set,
        adapter: elsewhere,
        allowDevelopmentParameters: true,
      }),
    ).toEqual({ ...underOthers, reason: 'WRONG_PARAMETERS' });
    const set = { ...parameters.set, source: 'the same points under another name' };
    const renamed = { engine, parameters: set, adapter: withProof(adapter, proof) };
    expect(await verifyRegistration({ ...renamed, allowDevelopmentParameters: true })).toMatchObject({
      reason: 'WRONG_PARAMETERS',
    });
    for (const allowDevelopmentParameters of [false, undefined]) {
      const allowance = allowDevelopmentParameters === undefined ? {} : { allowDevelopmentParameters };
      expect(
        await verifyRegistration({ ...renamed, parameters: parameters.set, ...allowance }),
      ).toMatchObject({
        valid: false,
        reason: 'PARAMETERS_DEVELOPMENT',
        message: expect.stringContaining('known secret'),
      });
    }
  });

  it("a thief cannot prove somebody else's points with rows of its own", async () => {
    const random = seeded(13);
    const victim = await makeScenario(engine, parameters, {
      shapes: [{ rank: 1, inFeatures: 5, outFeatures: 4 }],
      calls: [],
    });
    const commitment = { ...victim.adapter, contributorKey: '77'.repeat(32) };
    const own = await registerFieldAdapter(engine, parameters, [
      { rank: 1, inFeatures: 5, outFeatures: 4, a: [small(5, random)], b: [small(4, random)] },
    ]);
    const forged = await attemptRegistration(engine, parameters, commitment, own.rows);
    expect(await verify({ commitment, rows: [] }, forged.proof)).toMatchObject({
      valid: false,
      reason: 'OPENING_INVALID',
    });
    const secret = { ...victim.secret, adapterId: adapterId(commitment) };
    const srs = await parameters.srs(512);
    expect(await refusalOf(proveRegistration({ ...victim, adapter: commitment, secret, srs }))).toMatchObject(
      { code: 'SECRET_MISMATCH' },
    );
  });

  it('other weights of the same shapes', async () => {
    const scenario = await makeScenario(engine, parameters, {
      shapes: [{ rank: 2, inFeatures: 6, outFeatures: 6 }],
      calls: [],
    });
    const srs = await parameters.srs(512);
    const [module] = scenario.modules;
    const change = (a: Int16Array) => [{ ...module!, a }];
    const offByOne = module!.a.slice();
    offByOne[7]! += 1;
    const swapped = Int16Array.from([...module!.a.slice(6), ...module!.a.slice(0, 6)]);
    for (const modules of [change(offByOne), change(swapped)]) {
      const proof = await proveRegistration({ ...scenario, modules, srs });
      expect(await verify({ commitment: scenario.adapter, rows: [] }, proof)).toMatchObject({
        valid: false,
        reason: 'OPENING_INVALID',
      });
    }
  });
});

/** Solves x a = wanted over F by elimination. */
function solve(x: readonly (readonly bigint[])[], wanted: readonly bigint[]): bigint[] {
  const rows = x.map((row, i) => [...row, wanted[i]!].map((value) => ((value % R) + R) % R));
  rows.forEach((_, column) => {
    const pivot = rows.findIndex((row, i) => i >= column && row[column] !== 0n);
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    const inverse = Fr.inv(rows[column]![column]!);
    rows[column] = rows[column]!.map((value) => Fr.mul(value, inverse));
    rows.forEach((row, i) => {
      const factor = row[column]!;
      if (i === column || factor === 0n) return;
      rows[i] = row.map((value, k) => Fr.sub(value, Fr.mul(factor, rows[column]![k]!)));
    });
  });
  return rows.map((row) => row.at(-1)!);
}

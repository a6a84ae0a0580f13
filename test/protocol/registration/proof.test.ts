import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, loadEngine, R } from '../../../src/algebra/index.js';
import { bytesToHex, hexToBytes } from '../../../src/bytes.js';
import type { ParameterStore } from '../../../src/circuit/index.js';
import { ZkLoraError } from '../../../src/errors.js';
import {
  decodeRegistrationProof,
  encodeRegistrationProof,
  proveRegistration,
  verifyRegistration,
} from '../../../src/protocol/index.js';
import { encodeSketches } from '../../../src/protocol/registration/proof.js';
import { SKETCH_BOUND } from '../../../src/protocol/registration/sizes.js';
import { accepts, refusal } from '../../adapter/refusal.js';
import { developmentParameters, makeScenario, type Scenario } from '../../support/scenario.js';
import { withProof } from './cheat.js';

/** Where each part of the encoding begins. */
const PARTS = {
  magic: 0,
  parametersId: 21,
  adapterId: 53,
  masks: 85,
  sketches: 117,
  runningSum: 6162,
  quotient: 6194,
  shifted: 6226,
  opening: 6258,
  shiftedOpening: 6290,
  end: 6322,
};

let engine: Engine;
let parameters: ParameterStore;
let scenario: Scenario;
let proof: Uint8Array;
beforeAll(async () => {
  engine = await loadEngine();
  parameters = await developmentParameters();
  scenario = await makeScenario(engine, parameters, {
    shapes: [
      { rank: 2, inFeatures: 7, outFeatures: 9 },
      { rank: 1, inFeatures: 30, outFeatures: 7 },
    ],
    calls: [],
  });
  proof = await proveRegistration({ ...scenario, srs: await parameters.srs(512) });
});
afterAll(() => engine.terminate());

const verify = (bytes: Uint8Array) =>
  verifyRegistration({
    engine,
    parameters: parameters.set,
    adapter: withProof(scenario.adapter, bytes),
    allowDevelopmentParameters: true,
  });
const flip = (at: number, mask: number) => proof.map((byte, i) => (i === at ? byte ^ mask : byte));

/** Reason of a verdict, or the error's code. */
async function outcome(bytes: Uint8Array): Promise<string> {
  try {
    const verdict = await verify(bytes);
    return verdict.valid ? 'VALID' : verdict.reason;
  } catch (error) {
    if (!(error instanceof ZkLoraError)) throw error;
    return error.code;
  }
}

async function outcomesOf(from: number, to: number, step = 1): Promise<Set<string>> {
  const seen = new Set<string>();
  for (let at = from; at < to; at += step) seen.add(await outcome(flip(at, 1 << (at % 8))));
  return seen;
}

describe('encoding', () => {
  it('has one length, and its parts at fixed places', () => {
    expect(proof.length).toBe(PARTS.end);
    expect(bytesToHex(proof.slice(PARTS.parametersId, PARTS.masks))).toBe(
      decodeRegistrationProof(proof).parametersId + decodeRegistrationProof(proof).adapterId,
    );
    for (const length of [0, 20, 21, 84, 6161, 6321]) {
      expect(refusal(() => decodeRegistrationProof(proof.slice(0, length))).code).toBe('PROOF_MALFORMED');
    }
    const longer = new Uint8Array([...proof, 0]);
    expect(refusal(() => decodeRegistrationProof(longer)).code).toBe('PROOF_MALFORMED');
  });

  it('writes sketches in 13 bytes, two’s complement', () => {
    expect(bytesToHex(encodeSketches([1n, -1n, SKETCH_BOUND, -SKETCH_BOUND]))).toBe(
      [`${'00'.repeat(12)}01`, 'ff'.repeat(13), `20${'00'.repeat(12)}`, `e0${'00'.repeat(12)}`].join(''),
    );
  });

  it('is read back exactly, whatever the sketches', () => {
    const decoded = decodeRegistrationProof(proof);
    const sketch = fc.bigInt({ min: -(2n ** 103n), max: 2n ** 103n - 1n });
    fc.assert(
      fc.property(fc.array(sketch, { minLength: 465, maxLength: 465 }), (sketches) => {
        const bytes = encodeRegistrationProof({ ...decoded, sketches });
        expect(decodeRegistrationProof(bytes)).toEqual({ ...decoded, sketches });
      }),
      { numRuns: 20 },
    );
  });

  it('any other bytes are refused by name', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(PARTS.end), (noise, at) => {
        accepts('PROOF_MALFORMED', () => decodeRegistrationProof(noise));
        const mixed = proof.slice();
        mixed.set(noise.slice(0, PARTS.end - at), at);
        accepts('PROOF_MALFORMED', () => decodeRegistrationProof(mixed));
      }),
      { numRuns: 300 },
    );
  });
});

describe('every changed byte is refused', () => {
  it('of the magic and the ids', async () => {
    expect(await outcomesOf(PARTS.magic, PARTS.parametersId)).toEqual(new Set(['PROOF_MALFORMED']));
    expect(await outcomesOf(PARTS.parametersId, PARTS.adapterId)).toEqual(new Set(['WRONG_PARAMETERS']));
    expect(await outcomesOf(PARTS.adapterId, PARTS.masks)).toEqual(new Set(['WRONG_ADAPTER']));
  });

  it('of the sketches', async () => {
    // 92 = 7 * 13 + 1: all 13 places of a sketch in turn
    expect(await outcomesOf(PARTS.sketches, PARTS.runningSum, 92)).toEqual(
      new Set(['OPENING_INVALID', 'SKETCH_OUT_OF_RANGE']),
    );
  });

  it('of points and scalars', async () => {
    const both = new Set(['OPENING_INVALID', 'PROOF_MALFORMED']);
    for (const from of [PARTS.masks, PARTS.runningSum, PARTS.quotient, PARTS.opening, PARTS.shiftedOpening]) {
      expect(await outcomesOf(from, from + 32)).toEqual(both);
    }
    for (const seen of await outcomesOf(PARTS.shifted, PARTS.shifted + 32)) expect(both).toContain(seen);
    const order = proof.slice();
    order.set(hexToBytes(R.toString(16)), PARTS.shifted);
    expect(await outcome(order)).toBe('PROOF_MALFORMED');
  });

  it('and elements that trade places', async () => {
    const decoded = decodeRegistrationProof(proof);
    const { sum, sketches } = decoded;
    const changed = [
      { ...decoded, masks: sum.quotient },
      { ...decoded, sketches: sketches.toReversed() },
      { ...decoded, sketches: [sketches[1]!, sketches[0]!, ...sketches.slice(2)] },
      { ...decoded, sum: { ...sum, quotient: sum.runningSum } },
      { ...decoded, sum: { ...sum, opening: sum.shiftedOpening, shiftedOpening: sum.opening } },
    ];
    for (const change of changed)
      expect(await outcome(encodeRegistrationProof(change))).toBe('OPENING_INVALID');
  });

  it('a sketch at the bound is outside, the one below is not', async () => {
    const decoded = decodeRegistrationProof(proof);
    const withSketch = (value: bigint) =>
      outcome(encodeRegistrationProof({ ...decoded, sketches: decoded.sketches.with(464, value) }));
    expect(await withSketch(SKETCH_BOUND)).toBe('SKETCH_OUT_OF_RANGE');
    expect(await withSketch(-SKETCH_BOUND)).toBe('SKETCH_OUT_OF_RANGE');
    expect(await withSketch(SKETCH_BOUND - 1n)).toBe('OPENING_INVALID');
    expect(await withSketch(1n - SKETCH_BOUND)).toBe('OPENING_INVALID');
  });
});

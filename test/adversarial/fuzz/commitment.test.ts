import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterId, checkAdapterCommitment, parseAdapterCommitment } from '../../../src/adapter/index.js';
import { type Engine, loadEngine } from '../../../src/algebra/index.js';
import { canonicalJson, equalBytes, utf8ToBytes } from '../../../src/bytes.js';
import type { ErrorCode } from '../../../src/errors.js';
import { everyByte, everyLength, randomEdits } from './bytes.js';
import { everyEdit, surroundings } from './json.js';
import { expectReadable, FUZZ_TIMEOUT, type Outcome, runAll, runRandom, type Target, total } from './kit.js';
import { makeSubject, type Subject, verifySubject } from './subject.js';

const CODES: readonly ErrorCode[] = ['COMMITMENT_MALFORMED'];

let engine: Engine;
let subject: Subject;
let original: Uint8Array;
beforeAll(async () => {
  engine = await loadEngine();
  subject = await makeSubject(engine);
  original = utf8ToBytes(JSON.stringify(subject.adapter));
});
afterAll(() => engine.terminate());

/** As `zklora verify` reads the file; another value has another id, so that no pin and no proof fits it. */
const reader: Target = {
  name: 'adapter.zkl.json, reading',
  codes: CODES,
  judge(bytes): Outcome {
    const adapter = parseAdapterCommitment(new TextDecoder().decode(bytes));
    expect(checkAdapterCommitment(adapter)).toEqual(adapter);
    if (equalBytes(canonicalJson(adapter), canonicalJson(subject.adapter))) return 'same';
    const { registrationProof, ...identified } = adapter;
    const { registrationProof: _, ...expected } = subject.adapter;
    const onlyRegistration = equalBytes(canonicalJson(identified), canonicalJson(expected));
    if ((adapterId(adapter) === adapterId(subject.adapter)) !== onlyRegistration) {
      throw new Error('two commitments have one id');
    }
    return 'invalid';
  },
};

/** Reading and verifying the proof against what was read. */
const verifier: Target = {
  name: 'adapter.zkl.json, verifying',
  codes: CODES,
  async judge(bytes): Promise<Outcome> {
    const adapter = parseAdapterCommitment(new TextDecoder().decode(bytes));
    const verdict = await verifySubject(subject, { adapter });
    if (!verdict.valid) {
      expectReadable(verdict.message);
      return 'invalid';
    }
    // the registration proof is no part of the id and is verified apart
    const { registrationProof, ...identified } = adapter;
    const { registrationProof: _, ...expected } = subject.adapter;
    if (!equalBytes(canonicalJson(identified), canonicalJson(expected))) {
      throw new Error('a proof was accepted for another adapter');
    }
    return 'same';
  },
};

describe('adapter.zkl.json', () => {
  it(
    'every field, edited by its type',
    async () => {
      const tally = await runAll(reader, everyEdit(subject.adapter));
      expect(total(tally)).toBeGreaterThan(2500);
      expect(tally.refused).toBeGreaterThan(2000);
    },
    FUZZ_TIMEOUT,
  );

  it(
    'some of those edits against a proof',
    async () => {
      const tally = await runAll(verifier, everyEdit(subject.adapter, 13));
      expect(tally.invalid).toBeGreaterThan(5);
    },
    FUZZ_TIMEOUT,
  );

  it('what may stand around it', async () => {
    const tally = await runAll(reader, surroundings(subject.adapter));
    // indented, with blanks, after a byte-order mark
    expect(tally.same).toBe(3);
    expect(tally.invalid).toBe(0);
  });

  it(
    'every byte of it',
    async () => {
      const tally = await runAll(reader, everyByte(original));
      expect(total(tally)).toBe(original.length);
      expect(tally.same).toBe(0);
    },
    FUZZ_TIMEOUT,
  );

  it(
    'cut short',
    async () => {
      const tally = await runAll(reader, everyLength(original, 16));
      expect(tally).toEqual({ refused: total(tally), invalid: 0, same: 0 });
    },
    FUZZ_TIMEOUT,
  );

  it(
    'random edits',
    async () => {
      const tally = await runRandom(verifier, 300, (random) => randomEdits(original, random));
      expect(tally.refused).toBeGreaterThan(tally.invalid);
    },
    FUZZ_TIMEOUT,
  );
});

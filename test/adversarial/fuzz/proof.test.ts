import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, loadEngine } from '../../../src/algebra/index.js';
import { concatBytes, equalBytes } from '../../../src/bytes.js';
import type { ErrorCode } from '../../../src/errors.js';
import { decodeProofFile, encodeProofFile, RANK_CHECKS } from '../../../src/protocol/index.js';
import { proofLayout } from '../../support/proofLayout.js';
import { below, everyByte, everyLength, randomEdits } from './bytes.js';
import {
  expectReadable,
  FUZZ_TIMEOUT,
  type Mutant,
  type Outcome,
  runAll,
  runRandom,
  type Target,
  total,
} from './kit.js';
import { makeSubject, type Subject, verifySubject } from './subject.js';

/** A proof's reader refuses with one code; the statement of other module indices may not exist. */
const CODES: readonly ErrorCode[] = ['PROOF_MALFORMED'];

/** magic | parameters | adapter | session | number of proofs, of modules | 3 indices | number of groups or blocks. */
const IDS_AT = 14;
const COUNTS_AT = IDS_AT + 3 * 32;
const ELEMENTS_AT = COUNTS_AT + 2 * 6;

let engine: Engine;
beforeAll(async () => {
  engine = await loadEngine();
});
afterAll(() => engine.terminate());

/** 32-byte elements from the first point on; a point of G2 is two of them. */
function elementOffsets(proof: Uint8Array): number[] {
  return proofLayout(proof)
    .filter(({ kind, offset }) => kind !== 'count' && offset >= ELEMENTS_AT)
    .flatMap(({ offset, length }) => (length === 64 ? [offset, offset + 32] : [offset]));
}

/** Elements exchanged, repeated, negated (the flag of the larger y) and set to marked values. */
function* structured(proof: Uint8Array): Generator<Mutant> {
  const offsets = elementOffsets(proof);
  const put = (at: number, part: Uint8Array) =>
    concatBytes(proof.subarray(0, at), part, proof.subarray(at + 32));
  const element = (at: number) => proof.slice(at, at + 32);
  const filled = (first: number, rest: number) => new Uint8Array(32).fill(rest).fill(first, 0, 1);
  for (const [i, at] of offsets.entries()) {
    const next = offsets[(i + 1) % offsets.length]!;
    yield { label: `element ${i} repeats the next`, bytes: put(at, element(next)) };
    const swapped = put(at, element(next));
    swapped.set(element(at), next);
    yield { label: `element ${i} exchanged with the next`, bytes: swapped };
    const negated = element(at);
    negated[0]! ^= 0x40;
    yield { label: `element ${i} with the other flag`, bytes: put(at, negated) };
    for (const [first, rest] of [
      [0, 0],
      [0x80, 0],
      [0xc0, 0],
      [0xff, 0xff],
      [0x40, 0],
      [0x30, 0x64],
      [0x80, 1],
    ] as const) {
      yield { label: `element ${i} is ${first} ${rest}`, bytes: put(at, filled(first, rest)) };
    }
  }
}

function* counts(proof: Uint8Array): Generator<Mutant> {
  const u16 = [0, 1, 2, 3, 4, 5, 15, 16, 255, 256, 4096, 4097, 32767, 32768, 65534, 65535];
  for (let i = 0; i < 6; i++) {
    for (const value of u16) {
      const bytes = new Uint8Array(proof);
      bytes.set([value >> 8, value & 255], COUNTS_AT + 2 * i);
      yield { label: `count ${i} is ${value}`, bytes };
    }
  }
  const rounds = proofLayout(proof).find(({ name }) => name === 'rounds 0');
  if (!rounds) return;
  for (const value of [...Array(24).keys(), 31, 32, 63, 64, 127, 128, 254, 255]) {
    const bytes = new Uint8Array(proof);
    bytes[rounds.offset] = value;
    yield { label: `${value} rounds`, bytes };
  }
}

describe.each(RANK_CHECKS)('proof.zkl by %s', (rankCheck) => {
  let subject: Subject;
  beforeAll(async () => {
    subject = await makeSubject(engine, rankCheck);
  });

  /** The reader alone: what it accepts, it would write with exactly these bytes. */
  const reader: Target = {
    name: `proof.zkl by ${rankCheck}, reading`,
    codes: CODES,
    judge(bytes): Outcome {
      const file = decodeProofFile(bytes);
      if (!equalBytes(encodeProofFile(file), bytes)) throw new Error('one proof has two encodings');
      return equalBytes(bytes, subject.proof) ? 'same' : 'invalid';
    },
  };

  /** The whole verifier. */
  const verifier: Target = {
    name: `proof.zkl by ${rankCheck}, verifying`,
    codes: CODES,
    async judge(bytes): Promise<Outcome> {
      const verdict = await verifySubject(subject, { proof: bytes });
      if (equalBytes(bytes, subject.proof) && verdict.valid) return 'same';
      if (verdict.valid) throw new Error('a changed proof was accepted');
      expectReadable(verdict.message);
      return 'invalid';
    },
  };

  it('is accepted unchanged', async () => {
    expect(await verifier.judge(subject.proof)).toBe('same');
    expect(subject.proof).toHaveLength(elementOffsets(subject.proof).at(-1)! + 32);
  });

  it('counts that the proof does not have', async () => {
    const mutants = [...counts(subject.proof)];
    const tally = await runAll(reader, mutants);
    expect(total(tally)).toBe(mutants.length);
    // the six counts and the rounds at their own values
    expect(tally.same).toBe(rankCheck === 'kzg' ? 6 : 7);
  });

  // these are read alike in every version
  if (rankCheck === 'kzg') {
    it('every bit of magic, ids and counts', async () => {
      const mutants = everyByte(subject.proof.subarray(0, ELEMENTS_AT), 1, [0, 1, 2, 3, 4, 5, 6, 7]);
      const behind = subject.proof.subarray(ELEMENTS_AT);
      const whole = [...mutants].map(({ label, bytes }) => ({ label, bytes: concatBytes(bytes, behind) }));
      const tally = await runAll(verifier, whole);
      expect(tally.same).toBe(0);
      expect(tally.invalid).toBeGreaterThanOrEqual(3 * 32 * 8);
    });
  }

  it(
    'every byte is read, and read in one way',
    async () => {
      const tally = await runAll(reader, everyByte(subject.proof));
      expect(total(tally)).toBe(subject.proof.length);
      expect(tally.same).toBe(0);
    },
    FUZZ_TIMEOUT,
  );

  it(
    'lengths that are not its own',
    async () => {
      const tally = await runAll(reader, everyLength(subject.proof, 7));
      expect(tally).toEqual({ refused: total(tally), invalid: 0, same: 0 });
    },
    FUZZ_TIMEOUT,
  );

  it(
    'elements exchanged, repeated, negated or replaced',
    async () => {
      const tally = await runAll(verifier, structured(subject.proof));
      expect(tally.same).toBe(0);
    },
    FUZZ_TIMEOUT,
  );

  it(
    'the lowest byte of every element',
    async () => {
      const mutants = elementOffsets(subject.proof).map((at): Mutant => {
        const bytes = new Uint8Array(subject.proof);
        bytes[at + 31]! ^= 1;
        return { label: `byte ${at + 31}`, bytes };
      });
      const tally = await runAll(verifier, mutants);
      expect(tally.same).toBe(0);
    },
    FUZZ_TIMEOUT,
  );

  it(
    'random edits',
    async () => {
      const tally = await runRandom(verifier, 250, (random) =>
        randomEdits(subject.proof, random, below(random, 2) * ELEMENTS_AT),
      );
      expect(tally.same).toBe(0);
    },
    FUZZ_TIMEOUT,
  );
});

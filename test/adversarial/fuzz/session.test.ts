import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ed25519 } from '@noble/curves/ed25519.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseSafetensors, serializeSafetensors } from '../../../src/adapter/safetensors.js';
import { type Engine, loadEngine } from '../../../src/algebra/index.js';
import {
  bytesToHex,
  canonicalJson,
  concatBytes,
  equalBytes,
  labelledSha256,
  utf8ToBytes,
} from '../../../src/bytes.js';
import type { ErrorCode } from '../../../src/errors.js';
import { decodeCall, decodeOwnCall } from '../../../src/inference/callFile.js';
import {
  checkClosing,
  createSessionRecord,
  openSessionRecord,
  type SessionRecord,
} from '../../../src/inference/record.js';
import {
  parseSessionClosing,
  parseSessionHeader,
  type SessionClosing,
} from '../../../src/inference/sessionHeader.js';
import type { SessionCall, SessionHeader } from '../../../src/protocol/index.js';
import { sessionDigest } from '../../../src/protocol/sessionPass.js';
import { SessionTree } from '../../../src/protocol/sessionTree.js';
import { encodeCall, recordCall } from '../../support/recordCall.js';
import { MemorySession } from '../../support/scenario.js';
import { everyByte, everyLength, randomEdits } from './bytes.js';
import { everyEdit, surroundings } from './json.js';
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

const MALFORMED: readonly ErrorCode[] = ['SESSION_MALFORMED'];
const CALL_CODES: readonly ErrorCode[] = ['SESSION_MALFORMED', 'SAFETENSORS_MALFORMED'];

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytesOf = (value: unknown) => utf8ToBytes(JSON.stringify(value));

let engine: Engine;
let subject: Subject;
let header: SessionHeader;
let call: SessionCall;
let callBytes: Uint8Array;
let ownBytes: Uint8Array;
let closing: SessionClosing;
let folder: string;
let record: SessionRecord;
beforeAll(async () => {
  engine = await loadEngine();
  subject = await makeSubject(engine);
  const keys = [9, 8].map((fill) => new Uint8Array(32).fill(fill)) as [Uint8Array, Uint8Array];
  header = { ...subject.session.header, contributorKey: bytesToHex(ed25519.getPublicKey(keys[1])) };
  call = subject.session.calls[1]!;
  ownBytes = encodeCall(header, subject.adapter.modules, 1, call);
  // What a digest covers needs no checksum.
  callBytes = serializeSafetensors(parseSafetensors(ownBytes).tensors);
  const session = new MemorySession(header, subject.session.calls);
  const digest = await sessionDigest(session, subject.adapter.modules);
  const message = labelledSha256('zklora/close/v1', digest);
  const [userSignature, contributorSignature] = keys.map((key) => bytesToHex(ed25519.sign(message, key)));
  closing = {
    format: 'zklora/close/v1',
    calls: 2,
    digest: bytesToHex(digest),
    userSignature: userSignature!,
    contributorSignature: contributorSignature!,
  };
  folder = await mkdtemp(join(tmpdir(), 'zklora-fuzz-'));
  const writer = await createSessionRecord(join(folder, 'session'), session, subject.adapter.modules);
  for (const one of session.calls) await recordCall(writer, one);
  await writer.finish(closing);
  record = await openSessionRecord(join(folder, 'session'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await engine.terminate();
});

const headerTarget: Target = {
  name: 'session.json',
  codes: MALFORMED,
  async judge(bytes): Promise<Outcome> {
    const read = parseSessionHeader(text(bytes));
    if (equalBytes(canonicalJson(read), canonicalJson(subject.session.header))) return 'same';
    const verdict = await verifySubject(subject, { session: new MemorySession(read, subject.session.calls) });
    if (verdict.valid) throw new Error('a proof was accepted for another session');
    expectReadable(verdict.message);
    return 'invalid';
  },
};

/** A closing that reads but does not fit is refused by name when the record is checked. */
const closingTarget: Target = {
  name: 'close.json',
  codes: ['SESSION_MALFORMED', 'SESSION_MISMATCH'],
  async judge(bytes): Promise<Outcome> {
    const read = parseSessionClosing(text(bytes));
    const checked = {
      header,
      seed: record.seed,
      closing: read,
      dir: folder,
      callCount: 2,
      readCall: record.readCall.bind(record),
    };
    if (read.calls === closing.calls) await checkClosing(checked, subject.adapter.modules);
    else return 'invalid';
    if (!equalBytes(canonicalJson(read), canonicalJson(closing)))
      throw new Error('another closing was accepted');
    return 'same';
  },
};

const callTarget: Target = {
  name: 'call file',
  codes: CALL_CODES,
  judge(bytes): Outcome {
    const read = decodeCall(header, bytes, 'call file 000001.safetensors');
    const tree = new SessionTree(subject.session, subject.adapter.modules);
    const place = { call: 1, row: subject.session.calls[0]!.tokens };
    const same = equalBytes(tree.fingerprint(read, place), tree.fingerprint(call, place));
    if (!same) return 'invalid';
    expect(read).toEqual(call);
    return 'same';
  },
};

const LENGTH_BYTES = 8;
const jsonLength = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);

/** A safetensors file from the text of its header and its data. */
function withHeader(json: Uint8Array, data: Uint8Array): Uint8Array {
  const length = new Uint8Array(LENGTH_BYTES);
  new DataView(length.buffer).setUint32(0, json.length, true);
  return concatBytes(length, json, data);
}

function* callHeaders(step: number): Generator<Mutant> {
  const end = LENGTH_BYTES + jsonLength(callBytes);
  const document: unknown = JSON.parse(text(callBytes.subarray(LENGTH_BYTES, end)));
  for (const { label, bytes } of everyEdit(document, step)) {
    yield { label, bytes: withHeader(bytes, callBytes.subarray(end)) };
  }
}

function* headerLengths(): Generator<Mutant> {
  const own = jsonLength(callBytes);
  const values = [
    0,
    1,
    2,
    own - 8,
    own - 1,
    own + 1,
    own + 8,
    callBytes.length,
    2 ** 24,
    2 ** 31,
    2 ** 32 - 1,
  ];
  for (const high of [0, 1, 2 ** 21, 2 ** 31, 2 ** 32 - 1]) {
    for (const low of values) {
      const bytes = new Uint8Array(callBytes);
      const view = new DataView(bytes.buffer);
      view.setUint32(0, low, true);
      view.setUint32(4, high, true);
      yield { label: `header length ${high} ${low}`, bytes };
    }
  }
}

describe('session.json', () => {
  it(
    'every field, edited by its type',
    async () => {
      const tally = await runAll(headerTarget, everyEdit(subject.session.header));
      expect(total(tally)).toBeGreaterThan(600);
      expect(tally.invalid).toBeGreaterThan(5);
    },
    FUZZ_TIMEOUT,
  );

  it(
    'every byte, every length, and what may stand around it',
    async () => {
      const original = bytesOf(subject.session.header);
      const bits = await runAll(headerTarget, everyByte(original));
      expect([total(bits), bits.same]).toEqual([original.length, 0]);
      const lengths = await runAll(headerTarget, everyLength(original));
      expect(lengths.refused).toBe(total(lengths));
      expect((await runAll(headerTarget, surroundings(subject.session.header))).same).toBe(3);
    },
    FUZZ_TIMEOUT,
  );

  it(
    'random edits',
    async () => {
      const original = bytesOf(subject.session.header);
      const tally = await runRandom(headerTarget, 400, (random) => randomEdits(original, random));
      expect(total(tally)).toBeGreaterThanOrEqual(400);
    },
    FUZZ_TIMEOUT,
  );
});

describe('close.json', () => {
  it('is accepted unchanged', async () => {
    expect(await closingTarget.judge(bytesOf(closing))).toBe('same');
  });

  it(
    'every field, edited by its type',
    async () => {
      const tally = await runAll(closingTarget, everyEdit(closing));
      expect(total(tally)).toBeGreaterThan(250);
    },
    FUZZ_TIMEOUT,
  );

  it(
    'every byte and every length',
    async () => {
      const original = bytesOf(closing);
      const bits = await runAll(closingTarget, everyByte(original));
      expect([total(bits), bits.same]).toEqual([original.length, 0]);
      const lengths = await runAll(closingTarget, everyLength(original));
      expect(lengths.refused).toBe(total(lengths));
    },
    FUZZ_TIMEOUT,
  );

  it(
    'random edits',
    async () => {
      const original = bytesOf(closing);
      const tally = await runRandom(closingTarget, 200, (random) => randomEdits(original, random));
      expect(total(tally)).toBeGreaterThanOrEqual(200);
    },
    FUZZ_TIMEOUT,
  );
});

describe('a call file', () => {
  it(
    'every byte, of a session that goes on',
    async () => {
      const target: Target = {
        ...callTarget,
        judge(bytes): Outcome {
          expect(decodeOwnCall(header, 1, bytes, 'call file 000001.safetensors')).toEqual(call);
          return 'same';
        },
      };
      const tally = await runAll(target, everyByte(ownBytes));
      expect(tally.refused).toBe(total(tally));
      expect(() => decodeOwnCall(header, 0, ownBytes, 'x')).toThrow(/checksum/);
      expect(() => decodeOwnCall(header, 1, callBytes, 'x')).toThrow(/checksum/);
    },
    FUZZ_TIMEOUT,
  );

  it(
    'every byte',
    async () => {
      const tally = await runAll(callTarget, everyByte(callBytes));
      expect([total(tally), tally.same]).toEqual([callBytes.length, 0]);
      expect(tally.invalid).toBeGreaterThan(90);
    },
    FUZZ_TIMEOUT,
  );

  it(
    'every length',
    async () => {
      const tally = await runAll(callTarget, everyLength(callBytes));
      expect(tally.refused).toBe(total(tally));
    },
    FUZZ_TIMEOUT,
  );

  it(
    'every field of its header, edited by its type',
    async () => {
      const tally = await runAll(callTarget, callHeaders(1));
      expect(total(tally)).toBeGreaterThan(1500);
      expect(tally.refused).toBeGreaterThan(1400);
    },
    FUZZ_TIMEOUT,
  );

  it('declared lengths', async () => {
    const tally = await runAll(callTarget, headerLengths());
    expect(tally.refused).toBe(total(tally));
  });

  it(
    'random edits',
    async () => {
      const tally = await runRandom(callTarget, 800, (random) => randomEdits(callBytes, random));
      expect(total(tally)).toBeGreaterThanOrEqual(800);
    },
    FUZZ_TIMEOUT,
  );

  it(
    'changed on disk, gives no proof and no closing',
    async () => {
      const path = join(folder, 'session/calls/000001.safetensors');
      const disk: Target = {
        name: 'a record on disk',
        codes: [...CALL_CODES, 'SESSION_MISMATCH'],
        async judge(bytes): Promise<Outcome> {
          await writeFile(path, bytes);
          const opened = await openSessionRecord(join(folder, 'session'));
          await checkClosing(opened, subject.adapter.modules);
          return 'same';
        },
      };
      const tally = await runRandom(disk, 40, (random) => randomEdits(callBytes, random));
      await writeFile(path, callBytes);
      expect(tally.same).toBeLessThan(5);
      expect(await disk.judge(callBytes)).toBe('same');
    },
    FUZZ_TIMEOUT,
  );
});

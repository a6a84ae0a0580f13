import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAdapterCommitment } from '../../../src/adapter/index.js';
import { MAX_COMMITMENT_BYTES } from '../../../src/adapter/limits.js';
import { parseSafetensors } from '../../../src/adapter/safetensors.js';
import { concatBytes, utf8ToBytes } from '../../../src/bytes.js';
import { parseBinFile } from '../../../src/circuit/binfile.js';
import { openParameters } from '../../../src/circuit/index.js';
import { parseParameterSet } from '../../../src/circuit/parameters.js';
import { parseVerificationKey } from '../../../src/circuit/verificationKey.js';
import type { ErrorCode } from '../../../src/errors.js';
import { openSessionRecord } from '../../../src/inference/index.js';
import { parseSessionHeader } from '../../../src/inference/sessionHeader.js';
import { decodeProofFile } from '../../../src/protocol/index.js';
import { decodeRegistrationProof } from '../../../src/protocol/registration/proof.js';
import { expectListed } from './kit.js';

/** A reader may take this much beyond the file that it is given. */
const ROOM = 48 * 2 ** 20;

const taken = () => {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

/** Refusal with a listed code, and no memory to speak of. */
async function expectCheapRefusal(read: () => unknown, ...codes: ErrorCode[]): Promise<void> {
  const before = taken();
  let failure: unknown;
  try {
    await read();
  } catch (error) {
    failure = error;
  }
  expect(taken() - before).toBeLessThan(ROOM);
  expectListed(failure, codes);
}

const u16 = (...values: number[]) => Uint8Array.from(values.flatMap((value) => [value >> 8, value & 255]));
const proofStart = concatBytes(utf8ToBytes('zklora-proof'), Uint8Array.of(0, 1), new Uint8Array(96));

describe('declared counts are held against the file before anything is made for them', () => {
  it.each<[string, Uint8Array]>([
    ['65,535 proofs', u16(65535)],
    ['65,535 modules', u16(1, 65535)],
    ['65,535 ascending modules and 4096 groups', u16(1, 65535, ...Array(65535).keys(), 4096)],
    ['more groups than modules', u16(1, 1, 0, 65535)],
  ])('proof file: %s', async (_, rest) => {
    await expectCheapRefusal(() => decodeProofFile(concatBytes(proofStart, rest)), 'PROOF_MALFORMED');
  });

  it.each([0, 1, 100, 20_000])('registration proof of %i bytes', async (length) => {
    const bytes = new Uint8Array(length);
    await expectCheapRefusal(() => decodeRegistrationProof(bytes), 'PROOF_MALFORMED');
  });

  const safetensors = (header: string, data = 0) => {
    const json = utf8ToBytes(header);
    const length = new Uint8Array(8);
    new DataView(length.buffer).setUint32(0, json.length, true);
    return concatBytes(length, json, new Uint8Array(data));
  };
  const tensor = (shape: string, end: string) =>
    `{"t":{"dtype":"F32","shape":${shape},"data_offsets":[0,${end}]}}`;
  it.each<[string, Uint8Array]>([
    ['a header of 2^64 - 1 bytes', new Uint8Array(64).fill(0xff)],
    ['a header of 2^40 bytes', Uint8Array.of(0, 0, 0, 0, 0, 1, 0, 0, 0x7b, 0x7d)],
    ['a tensor of 2^52 entries', safetensors(tensor('[4503599627370496]', '9007199254740991'))],
    ['a product beyond 2^53', safetensors(tensor('[94906267,94906267]', '4'), 4)],
    ['a product beyond every number', safetensors(tensor(`[${Array(8).fill(2 ** 53 - 1)}]`, '4'), 4)],
    ['a thousand dimensions', safetensors(tensor(`[${Array(1000).fill(1)}]`, '4'), 4)],
    ['an end beyond the file', safetensors(tensor('[268435456]', '1073741824'), 8)],
  ])('safetensors: %s', async (_, bytes) => {
    await expectCheapRefusal(() => parseSafetensors(bytes), 'SAFETENSORS_MALFORMED');
  });

  const binFile = (sections: number, id: number, low: number, high: number) => {
    const bytes = new Uint8Array(64);
    bytes.set(utf8ToBytes('zkey'));
    const view = new DataView(bytes.buffer);
    for (const [i, value] of [1, sections, id, low, high].entries()) view.setUint32(4 + 4 * i, value, true);
    return bytes;
  };
  it.each<[string, Uint8Array]>([
    ['2^32 - 1 sections', binFile(2 ** 32 - 1, 1, 0, 0)],
    ['a section of 2^64 - 1 bytes', binFile(1, 1, 2 ** 32 - 1, 2 ** 32 - 1)],
    ['a section of 2^32 bytes', binFile(1, 1, 0, 1)],
    ['empty sections up to its end', binFile(4, 1, 0, 0)],
  ])('.zkey: %s', async (_, bytes) => {
    await expectCheapRefusal(
      () => parseBinFile(bytes, 'zkey', 1, 'PARAMETERS_MALFORMED'),
      'PARAMETERS_MALFORMED',
    );
  });

  it('verification keys of any K', async () => {
    for (const pairs of [-1, 0, 1.5, 4095, 4096, 2 ** 31, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY]) {
      await expectCheapRefusal(
        () => parseVerificationKey(new Uint8Array(1000), pairs),
        'PARAMETERS_MALFORMED',
      );
    }
  });
});

describe('deep and long JSON', () => {
  const depth = 200_000;
  const texts: [string, string][] = [
    ['deep lists', '['.repeat(depth) + ']'.repeat(depth)],
    ['deep objects', `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`],
    ['an unclosed list', '['.repeat(depth)],
    ['a long string', `"${'a'.repeat(2 ** 20)}"`],
    ['a long number', '9'.repeat(2 ** 20)],
    ['many keys', `{${Array.from({ length: 50_000 }, (_, i) => `"k${i}":0`).join(',')}}`],
    ['many equal keys', `{${Array(50_000).fill('"k":0').join(',')}}`],
  ];
  it.each(texts)('%s', async (_, text) => {
    await expectCheapRefusal(() => parseAdapterCommitment(text), 'COMMITMENT_MALFORMED');
    await expectCheapRefusal(() => parseSessionHeader(text), 'SESSION_MALFORMED');
    await expectCheapRefusal(() => parseParameterSet(text), 'PARAMETERS_MALFORMED');
  });
});

describe('files that are too large are refused by their size alone', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'zklora-fuzz-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** A file of holes: large in name only. */
  async function hollow(name: string): Promise<void> {
    const file = await open(join(folder, name), 'w');
    await file.truncate(2 ** 33);
    await file.close();
  }

  it('params.json, session.json', async () => {
    await hollow('params.json');
    await hollow('session.json');
    await expectCheapRefusal(() => openParameters(folder), 'FILE_UNREADABLE');
    await expectCheapRefusal(() => openSessionRecord(folder), 'FILE_UNREADABLE');
  });

  it('a commitment beyond its maximum is not parsed', async () => {
    const text = ' '.repeat(MAX_COMMITMENT_BYTES + 1);
    await expectCheapRefusal(() => parseAdapterCommitment(text), 'COMMITMENT_MALFORMED');
  });
});

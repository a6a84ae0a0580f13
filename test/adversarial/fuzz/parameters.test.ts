import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, loadEngine } from '../../../src/algebra/index.js';
import { canonicalJson, equalBytes } from '../../../src/bytes.js';
import { openParameters } from '../../../src/circuit/index.js';
import { parameterSetId, parseParameterSet, verificationKeyOf } from '../../../src/circuit/parameters.js';
import { encodeVerificationKey, parseVerificationKey } from '../../../src/circuit/verificationKey.js';
import { matchesVerificationKey, readProvingKey } from '../../../src/circuit/zkey.js';
import type { ErrorCode } from '../../../src/errors.js';
import { decodeSrs } from '../../../src/kzg/srs.js';
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

const SET = fileURLToPath(new URL('../../../fixtures/params/development', import.meta.url));
const K = 15;

const MALFORMED: readonly ErrorCode[] = ['PARAMETERS_MALFORMED'];
const MISMATCH: readonly ErrorCode[] = ['PARAMETERS_MISMATCH'];

let engine: Engine;
let subject: Subject;
let files: Record<'description' | 'vkey' | 'zkey' | 'powers' | 'lagrange', Uint8Array>;
let folder: string;
beforeAll(async () => {
  engine = await loadEngine();
  subject = await makeSubject(engine);
  const read = async (name: string) => new Uint8Array(await readFile(join(SET, name)));
  files = {
    description: await read('params.json'),
    vkey: await read(`rank_check_${K}.vkey`),
    zkey: await read(`rank_check_${K}.zkey`),
    powers: await read('powers.g1'),
    lagrange: await read('lagrange-512.g1'),
  };
  folder = await mkdtemp(join(tmpdir(), 'zklora-fuzz-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await engine.terminate();
});

/** A set that reads but differs has another id, and the subject's proof is refused under it. */
const description: Target = {
  name: 'params.json',
  codes: MALFORMED,
  async judge(bytes): Promise<Outcome> {
    const { set } = subject.parameters;
    const read = parseParameterSet(new TextDecoder().decode(bytes));
    if (equalBytes(canonicalJson(read), canonicalJson(set))) return 'same';
    if (parameterSetId(read) === subject.parameters.id) throw new Error('two sets have one id');
    const verdict = await verifySubject(subject, { parameters: read });
    if (verdict.valid) throw new Error('a proof was accepted under other parameters');
    expectReadable(verdict.message);
    return 'invalid';
  },
};

/** As a set's reader sees it: everything but the very bytes has another digest. */
const pinnedKey: Target = {
  name: 'a .vkey of the set',
  codes: MISMATCH,
  judge(bytes): Outcome {
    verificationKeyOf(subject.parameters.set, K, bytes);
    return 'same';
  },
};

/** As the reader of a set whose author is hostile sees it: the digest fits whatever stands there. */
const hostileKey: Target = {
  name: 'a .vkey with a fitting digest',
  codes: MALFORMED,
  judge(bytes): Outcome {
    const key = parseVerificationKey(bytes, K);
    if (!equalBytes(encodeVerificationKey(key), bytes)) throw new Error('one key has two encodings');
    return equalBytes(bytes, files.vkey) ? 'same' : 'invalid';
  },
};

/** Never a crash; what reads is compared with the verification key. */
const provingKey: Target = {
  name: 'a .zkey',
  codes: MALFORMED,
  judge(bytes): Outcome {
    const inside = readProvingKey(bytes, K);
    const key = parseVerificationKey(files.vkey, K);
    const points = [inside.alpha, inside.beta, inside.gamma, inside.delta, inside.ic];
    const same = points.every((part, i) =>
      equalBytes(part, [key.alpha, key.beta, key.gamma, key.delta, key.ic][i]!),
    );
    expect(matchesVerificationKey(bytes, key)).toBe(same);
    return same ? 'same' : 'invalid';
  },
};

/** Offsets of a .zkey's section headers and the counts inside. */
function zkeyFields(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const fields = [4, 8];
  for (let at = 12; at < bytes.length; ) {
    fields.push(at, at + 4, at + 8, at + 12);
    const length = view.getUint32(at + 4, true);
    // the counts at the end of the group orders, in section 2
    if (view.getUint32(at, true) === 2) fields.push(...[72, 76, 80].map((offset) => at + 12 + offset));
    at += 12 + length;
  }
  return fields;
}

function* numbers(bytes: Uint8Array): Generator<Mutant> {
  for (const at of zkeyFields(bytes)) {
    for (const value of [0, 1, 2, 9, 10, 16, 17, 255, 2 ** 16, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) {
      const copy = new Uint8Array(bytes);
      new DataView(copy.buffer).setUint32(at, value, true);
      yield { label: `u32 at ${at} is ${value}`, bytes: copy };
    }
  }
}

describe('params.json', () => {
  it(
    'every field, edited by its type',
    async () => {
      const tally = await runAll(description, everyEdit(subject.parameters.set, 3));
      expect(total(tally)).toBeGreaterThan(700);
      expect(tally.refused).toBeGreaterThan(600);
    },
    FUZZ_TIMEOUT,
  );

  it(
    'every byte',
    async () => {
      const tally = await runAll(description, everyByte(files.description));
      expect(total(tally)).toBe(files.description.length);
      expect(tally.invalid).toBeGreaterThan(100);
    },
    FUZZ_TIMEOUT,
  );

  it(
    'what may stand around it, and cut short',
    async () => {
      expect((await runAll(description, surroundings(subject.parameters.set))).same).toBe(3);
      const lengths = await runAll(description, everyLength(files.description, 32));
      expect(lengths.refused).toBe(total(lengths));
    },
    FUZZ_TIMEOUT,
  );

  it(
    'random edits',
    async () => {
      const tally = await runRandom(description, 200, (random) => randomEdits(files.description, random));
      expect(tally.refused).toBeGreaterThan(tally.same);
    },
    FUZZ_TIMEOUT,
  );
});

describe('a verification key', () => {
  it(
    'every byte of it is pinned by the set',
    async () => {
      const tally = await runAll(pinnedKey, everyByte(files.vkey));
      expect(tally).toEqual({ refused: files.vkey.length, invalid: 0, same: 0 });
    },
    FUZZ_TIMEOUT,
  );

  it(
    'bytes all over it, under a digest that fits',
    async () => {
      const tally = await runAll(hostileKey, everyByte(files.vkey, 29));
      expect(tally.refused).toBe(total(tally));
    },
    FUZZ_TIMEOUT,
  );

  it(
    'every length and random edits',
    async () => {
      const lengths = await runAll(hostileKey, everyLength(files.vkey));
      expect(lengths.refused).toBe(total(lengths));
      const tally = await runRandom(hostileKey, 60, (random) => randomEdits(files.vkey, random));
      expect(tally.same).toBe(0);
    },
    FUZZ_TIMEOUT,
  );
});

describe('a proving key', () => {
  it(
    'counts and lengths',
    async () => {
      const tally = await runAll(provingKey, numbers(files.zkey));
      expect(total(tally)).toBeGreaterThan(400);
      expect(tally.refused).toBeGreaterThan(350);
    },
    FUZZ_TIMEOUT,
  );

  it(
    'random edits',
    async () => {
      const tally = await runRandom(provingKey, 150, (random) => randomEdits(files.zkey, random));
      expect(total(tally)).toBeGreaterThanOrEqual(150);
    },
    FUZZ_TIMEOUT,
  );
});

describe('powers and Lagrange points', () => {
  it('of another length are refused', async () => {
    const target = (name: string, decode: (bytes: Uint8Array) => Promise<unknown>): Target => ({
      name,
      codes: MALFORMED,
      async judge(bytes): Promise<Outcome> {
        await decode(bytes);
        return 'same';
      },
    });
    const lagrange = target('lagrange-512.g1', (bytes) => decodeSrs(engine, 512, files.powers, bytes));
    const lengths = await runAll(lagrange, everyLength(files.lagrange, 4096));
    expect(lengths.refused).toBe(total(lengths));
    const powers = target('powers.g1', (bytes) => decodeSrs(engine, 512, bytes, files.lagrange));
    const short = [0, 1, 63, 64, 64 * 514, 64 * 515 - 1].map((length) => ({
      label: `cut to ${length} bytes`,
      bytes: files.powers.slice(0, length),
    }));
    expect((await runAll(powers, short)).refused).toBe(short.length);
  });

  it(
    'changed on disk are refused by their digest',
    async () => {
      const names = { powers: 'powers.g1', lagrange: 'lagrange-512.g1' } as const;
      for (const [key, name] of Object.entries(names) as [keyof typeof names, string][]) {
        for (const file of ['params.json', ...Object.values(names)]) {
          await writeFile(join(folder, file), await readFile(join(SET, file)));
        }
        const disk: Target = {
          name,
          codes: ['PARAMETERS_MISMATCH', 'FILE_UNREADABLE'],
          async judge(bytes): Promise<Outcome> {
            await writeFile(join(folder, name), bytes);
            await (await openParameters(folder)).srs(512);
            return 'same';
          },
        };
        const tally = await runRandom(disk, 25, (random) => randomEdits(files[key], random));
        expect(tally.same).toBeLessThan(5);
      }
    },
    FUZZ_TIMEOUT,
  );
});

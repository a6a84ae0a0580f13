import { cp, mkdtemp, readFile, rename, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadEngine } from '../../src/algebra/index.js';
import { bytesToHex, sha256 } from '../../src/bytes.js';
import { openParameters } from '../../src/circuit/parameterFiles.js';
import { parameterSetId, parseParameterSet } from '../../src/circuit/parameters.js';
import { ZkLoraError } from '../../src/errors.js';
import { codeOf, DEVELOPMENT_DIR } from './helpers.js';

const engine = await loadEngine();
let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'zklora-params-'));
  await cp(DEVELOPMENT_DIR, dir, { recursive: true });
});
afterEach(() => rm(dir, { recursive: true, force: true }));
afterAll(() => engine.terminate());

interface EditableSet {
  circuits: Record<string, string>[];
}

/** Rewrites params.json, as somebody would who wants the digests to fit. */
async function editDescription(change: (set: EditableSet) => void): Promise<void> {
  const set = JSON.parse(await readFile(join(dir, 'params.json'), 'utf8'));
  change(set);
  await writeFile(join(dir, 'params.json'), JSON.stringify(set));
}

async function flipByte(file: string, at: number): Promise<void> {
  const bytes = await readFile(join(dir, file));
  bytes[at < 0 ? bytes.length + at : at]! ^= 1;
  await writeFile(join(dir, file), bytes);
}

async function digestOf(file: string): Promise<string> {
  return bytesToHex(sha256(await readFile(join(dir, file))));
}

const store = () => openParameters(dir);
/** How to load each file. */
const LOADS: [string, () => Promise<unknown>][] = [
  ['powers.g1', async () => (await store()).srs(512)],
  ['lagrange-512.g1', async () => (await store()).srs(512)],
  ['lagrange-1024.g1', async () => (await store()).srs(1024)],
  ['rank_check_15.zkey', async () => (await store()).zkey(15)],
  ['rank_check_15.vkey', async () => (await store()).vkey(15)],
  ['rank_check_15.vkey', async () => (await store()).zkey(15)],
  ['rank_check_255.vkey', async () => (await store()).vkey(255)],
];

describe('openParameters', () => {
  test('reads set, points and keys', async () => {
    const opened = await store();
    expect(opened.set.kind).toBe('development');
    expect(opened.id).toBe(
      parameterSetId(parseParameterSet(await readFile(join(dir, 'params.json'), 'utf8'))),
    );
    const small = await opened.srs(512);
    const large = await opened.srs(1024);
    expect([small.powers.length, small.lagrange.length]).toEqual([515 * 64, 512 * 64]);
    expect([large.powers.length, large.lagrange.length]).toEqual([1027 * 64, 1024 * 64]);
    expect(small.powers).toEqual(large.powers.slice(0, 515 * 64));
    expect((await opened.vkey(63)).pairs).toBe(63);
    expect(Buffer.from(await opened.zkey(63)).equals(await readFile(join(dir, 'rank_check_63.zkey')))).toBe(
      true,
    );
  });

  test.each(LOADS)('%s with a changed byte does not belong to the set', async (file, load) => {
    await load();
    for (const at of [0, 100, -1]) {
      await flipByte(file, at);
      expect(await codeOf(load)).toBe('PARAMETERS_MISMATCH');
      await flipByte(file, at);
    }
    await load();
  });

  test.each(LOADS)('%s truncated or empty does not belong to the set', async (file, load) => {
    const { length } = await readFile(join(dir, file));
    await truncate(join(dir, file), length - 1);
    expect(await codeOf(load)).toBe('PARAMETERS_MISMATCH');
    await truncate(join(dir, file), 0);
    expect(await codeOf(load)).toBe('PARAMETERS_MISMATCH');
  });

  test.each(LOADS)('%s missing: says which file and what to do', async (file, load) => {
    await unlink(join(dir, file));
    const error = await load().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ZkLoraError);
    expect((error as ZkLoraError).code).toBe('FILE_NOT_FOUND');
    expect((error as ZkLoraError).message).toContain(file);
    expect((error as ZkLoraError).message).toContain('give the folder of a complete parameter set');
  });

  test('a file longer than the set says is not read', async () => {
    await writeFile(join(dir, 'lagrange-512.g1'), new Uint8Array(512 * 64 + 1));
    expect(await codeOf(async () => (await store()).srs(512))).toBe('FILE_UNREADABLE');
  });

  test('no folder, no params.json, a folder in its place, too long a file', async () => {
    expect(await codeOf(() => openParameters(join(dir, 'nowhere')))).toBe('FILE_NOT_FOUND');
    expect(await codeOf(() => openParameters(join(dir, 'params.json')))).toBe('FILE_NOT_FOUND');
    await writeFile(join(dir, 'params.json'), ' '.repeat(2 ** 20 + 1));
    expect(await codeOf(store)).toBe('FILE_UNREADABLE');
    await unlink(join(dir, 'params.json'));
    expect(await codeOf(store)).toBe('FILE_NOT_FOUND');
  });

  test('params.json that is no UTF-8 or no JSON', async () => {
    await writeFile(join(dir, 'params.json'), Uint8Array.of(0xff, 0xfe, 0x00));
    expect(await codeOf(store)).toBe('PARAMETERS_MALFORMED');
  });

  test.each([256, 2048, 1000, 0, -512, Number.NaN])('there are no points for domain %d', async (size) => {
    expect(await codeOf(async () => (await store()).srs(size))).toBe('PARAMETERS_MISMATCH');
    await expect((await store()).srs(size)).rejects.toThrow('(it has 512, 1024)');
  });

  test.each([31, 4095, 16, 0, -15, Number.NaN])('there are no keys for K = %d', async (pairs) => {
    expect(await codeOf(async () => (await store()).zkey(pairs))).toBe('PARAMETERS_MISMATCH');
    expect(await codeOf(async () => (await store()).vkey(pairs))).toBe('PARAMETERS_MISMATCH');
  });
});

describe('a set whose digests fit but whose files do not', () => {
  test('made for another build of the circuit', async () => {
    await editDescription((set) => {
      set.circuits[0]!.r1csSha256 = '0'.repeat(64);
    });
    expect(await codeOf(store)).toBe('PARAMETERS_MISMATCH');
  });

  test('made for another witness program', async () => {
    await editDescription((set) => {
      set.circuits[2]!.wasmSha256 = '0'.repeat(64);
    });
    expect(await codeOf(store)).toBe('PARAMETERS_MISMATCH');
  });

  test('keys of two sizes swapped', async () => {
    await rename(join(dir, 'rank_check_15.zkey'), join(dir, 'x'));
    await rename(join(dir, 'rank_check_63.zkey'), join(dir, 'rank_check_15.zkey'));
    const digest = await digestOf('rank_check_15.zkey');
    await editDescription((set) => {
      set.circuits[0]!.zkeySha256 = digest;
    });
    expect(await codeOf(async () => (await store()).zkey(15))).toBe('PARAMETERS_MALFORMED');
  });

  test('a proving key with another IC point than the verification key', async () => {
    const zkey = await readFile(join(dir, 'rank_check_15.zkey'));
    const ic = zkey.indexOf(Buffer.from([3, 0, 0, 0, 0x80, 0x08])) + 12;
    // the points of y and mu, exchanged
    const [y, mu] = [zkey.subarray(ic + 64, ic + 128), zkey.subarray(ic + 128, ic + 192)].map((p) =>
      Buffer.from(p),
    );
    mu!.copy(zkey, ic + 64);
    y!.copy(zkey, ic + 128);
    await writeFile(join(dir, 'rank_check_15.zkey'), zkey);
    const digest = await digestOf('rank_check_15.zkey');
    await editDescription((set) => {
      set.circuits[0]!.zkeySha256 = digest;
    });
    expect(await codeOf(async () => (await store()).zkey(15))).toBe('PARAMETERS_MISMATCH');
  });

  test('a verification key with delta = gamma', async () => {
    const vkey = await readFile(join(dir, 'rank_check_15.vkey'));
    vkey.copy(vkey, 320, 192, 320);
    await writeFile(join(dir, 'rank_check_15.vkey'), vkey);
    const digest = await digestOf('rank_check_15.vkey');
    await editDescription((set) => {
      set.circuits[0]!.vkeySha256 = digest;
    });
    expect(await codeOf(async () => (await store()).vkey(15))).toBe('PARAMETERS_MALFORMED');
    expect(await codeOf(async () => (await store()).zkey(15))).toBe('PARAMETERS_MALFORMED');
  });
});

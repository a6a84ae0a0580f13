import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Engine, loadEngine, vectorFromScalars } from '../../src/algebra/index.js';
import { concatBytes } from '../../src/bytes.js';
import { type ImportOptions, importPowersOfTau } from '../../src/ceremony/index.js';
import { parseTranscriptFile } from '../../src/ceremony/transcript.js';
import { PTAU_SECTION, ptauFromSecrets } from '../../src/circuit/ptau.js';
import { multiplyGenerator } from '../../src/kzg/fixedBase.js';
import { srsFromSecret } from '../../src/kzg/srs.js';
import { codeOf } from '../circuit/helpers.js';
import {
  contributionSection,
  knownPtau,
  knownSecrets,
  nonCanonical,
  outsideSubgroup,
  overwritten,
  sectionOf,
  u32le,
  withSection,
} from './support.js';

const POWER = 9;
const secrets = knownSecrets('import');
let engine: Engine;
let known: Uint8Array;
let other: Uint8Array;
let parent: string;
let path: string;
let dir: string;

beforeAll(async () => {
  engine = await loadEngine();
  known = await knownPtau(engine, secrets, POWER);
  other = await ptauFromSecrets(engine, knownSecrets('another'), POWER);
  parent = await mkdtemp(join(tmpdir(), 'zklora-import-'));
  path = join(parent, 'test.ptau');
  dir = join(parent, 'ceremony');
});
afterAll(async () => {
  await rm(parent, { recursive: true, force: true });
  await engine.terminate();
});

async function importing(ptau: Uint8Array, options: Partial<ImportOptions> = {}) {
  await writeFile(path, ptau);
  await rm(dir, { recursive: true, force: true });
  return importPowersOfTau({ ptau: path, dir, domains: [512], pairs: [15], ...options });
}

const point = (scalar: bigint) => multiplyGenerator(engine, 'G1', vectorFromScalars(engine, [scalar]));
const pointG2 = (scalar: bigint) => multiplyGenerator(engine, 'G2', vectorFromScalars(engine, [scalar]));

describe('a file of known secrets', () => {
  test('gives the points of these secrets', async () => {
    await importing(known);
    const srs = await srsFromSecret(engine, secrets.tau, 512);
    const read = async (name: string) =>
      engine.curve.G1.batchUtoLEM(new Uint8Array(await readFile(join(dir, name))));
    expect(await read('powers.g1')).toEqual(srs.powers);
    expect(await read('lagrange-512.g1')).toEqual(srs.lagrange);
  });

  test('keeps the powers by which keys are checked', async () => {
    // 255 pairs take 1024 rows, more than the file has
    expect((await importing(known, { pairs: [15, 127] })).powers.count).toBe(1023);
    const state = await importPowersOfTau({ ptau: path, dir: join(parent, 'default') });
    expect(state.powers.count).toBe(1023);
    expect(state.domains.map(({ size }) => size)).toEqual([512]);
  });

  test('that is a part of a larger ceremony', async () => {
    const section = await contributionSection(engine, secrets, POWER + 3);
    const part = withSection(known, 7, () => section);
    const larger = withSection(part, 1, (data) => overwritten(data, 40, u32le(POWER + 3)));
    await importing(larger);
    const transcript = await parseTranscriptFile(engine, await readFile(join(dir, 'transcript.ptau')));
    expect(transcript).toMatchObject({ power: POWER, ceremonyPower: POWER + 3 });
  });

  test('of 5 GB, of which little is read', async () => {
    const power = 22;
    const handle = await open(path, 'w');
    const counts = { 2: 128, 3: 128, 4: 64, 5: 64, 12: 256, 13: 256, 14: 128, 15: 128 };
    let at = 12;
    // a part of a ceremony whose first challenge is published: nothing of that size has to be hashed
    const ceremonyPower = 24;
    const header = overwritten(sectionOf(known, 1), 36, concatBytes(u32le(power), u32le(ceremonyPower)));
    const contributions = await contributionSection(engine, secrets, ceremonyPower);
    await handle.write(concatBytes(known.slice(0, 8), u32le(11)), 0, 12, 0);
    for (const id of Object.values(PTAU_SECTION)) {
      const data = id === 1 ? header : id === 7 ? contributions : sectionOf(known, id);
      const perRow = counts[id as keyof typeof counts];
      // 2^power rows and the same missing points as in the small file
      const length =
        perRow === undefined ? data.length : perRow * 2 ** power - (perRow * 2 ** POWER - data.length);
      const entry = concatBytes(u32le(id), u32le(length % 2 ** 32), u32le(Math.floor(length / 2 ** 32)));
      await handle.write(entry, 0, 12, at);
      await handle.write(data, 0, data.length, at + 12);
      at += 12 + length;
    }
    await handle.truncate(at);
    await handle.close();
    expect(at).toBeGreaterThan(4.8e9);
    await rm(dir, { recursive: true, force: true });
    const before = process.memoryUsage().rss;
    const state = await importPowersOfTau({ ptau: path, dir, domains: [512], pairs: [127] });
    expect(process.memoryUsage().rss - before).toBeLessThan(400e6);
    expect(state.powers.count).toBe(1023);
    await rm(path);
  });
});

describe('files with wrong points', () => {
  const replaced = (
    id: number,
    index: number,
    size: number,
    part: () => Uint8Array | Promise<Uint8Array>,
  ) => {
    return async () => {
      const bytes = await part();
      return withSection(known, id, (data) => overwritten(data, index * size, bytes));
    };
  };
  const swapped = (id: number, i: number, j: number, size: number) => () =>
    withSection(known, id, (data) => {
      const [a, b] = [i, j].map((n) => data.slice(n * size, (n + 1) * size));
      return overwritten(overwritten(data, i * size, b!), j * size, a!);
    });
  /** Powers from the second on, of another tau. */
  const foreign = (id: number, from: number, size: number) => () =>
    withSection(known, id, (data) => overwritten(data, from * size, sectionOf(other, id).slice(from * size)));
  const offCurve = () => new Uint8Array(64).fill(1);

  test.each([
    ['tau^5 G off the curve', replaced(2, 5, 64, offCurve)],
    ['the last power off the curve', replaced(2, 514, 64, offCurve)],
    ['a power not canonical', replaced(2, 7, 64, () => nonCanonical(sectionOf(known, 2).slice(448, 512)))],
    ['a power the identity', replaced(2, 9, 64, () => new Uint8Array(64))],
    ['a Lagrange point off the curve', replaced(12, 511 + 3, 64, offCurve)],
    ['a Lagrange point the identity', replaced(12, 511, 64, () => new Uint8Array(64))],
    ['a G2 power outside the subgroup', replaced(3, 9, 128, () => outsideSubgroup(engine))],
    ['a G2 power off the twist', replaced(3, 9, 128, () => new Uint8Array(128).fill(1))],
    ['a G2 Lagrange point outside the subgroup', replaced(13, 63 + 5, 128, () => outsideSubgroup(engine))],
    ['alpha tau^3 G off the curve', replaced(4, 3, 64, offCurve)],
    ['beta tau^3 G off the curve', replaced(5, 3, 64, offCurve)],
    ['an alpha Lagrange point off the curve', replaced(14, 63, 64, offCurve)],
    ['a beta Lagrange point off the curve', replaced(15, 126, 64, offCurve)],
  ] as [string, () => Promise<Uint8Array>][])('malformed: %s', async (_, make) => {
    const ptau = await make();
    expect(await codeOf(() => importing(ptau))).toBe('PARAMETERS_MALFORMED');
    expect(await readdir(dir)).toEqual([]);
  });

  test.each([
    ['tau^0 G is no generator', replaced(2, 0, 64, () => point(5n))],
    ['tau G is another', replaced(2, 1, 64, () => point(5n))],
    ['tau^2 G is another', replaced(2, 2, 64, () => point(5n))],
    ['the last power is another', replaced(2, 514, 64, () => point(5n))],
    ['two powers swapped', swapped(2, 300, 301, 64)],
    ['all powers of another tau', foreign(2, 0, 64)],
    ['powers from the third of another tau', foreign(2, 2, 64)],
    ['tau^0 G2 is no generator', replaced(3, 0, 128, () => pointG2(5n))],
    ['tau G2 of another tau', replaced(3, 1, 128, () => pointG2(5n))],
    ['all G2 powers of another tau', foreign(3, 0, 128)],
    ['G2 powers from the third of another tau', foreign(3, 2, 128)],
    ['the last G2 power that keys need', replaced(3, 63, 128, () => pointG2(5n))],
    ['another alpha', replaced(4, 0, 64, () => point(5n))],
    ['alpha powers of another tau', foreign(4, 1, 64)],
    ['another beta', replaced(5, 0, 64, () => point(5n))],
    ['beta powers of another tau', foreign(5, 1, 64)],
    ['another beta G2', replaced(6, 0, 128, () => pointG2(5n))],
    ['the Lagrange section of another tau', foreign(12, 0, 64)],
    ['the G2 Lagrange section of another tau', foreign(13, 0, 128)],
    ['the alpha Lagrange section of another tau', foreign(14, 0, 64)],
    ['the beta Lagrange section of another tau', foreign(15, 0, 64)],
    ['the first Lagrange point is another', replaced(12, 511, 64, () => point(5n))],
    ['the last Lagrange point is another', replaced(12, 1022, 64, () => point(5n))],
    ['Lagrange points in another order', swapped(12, 511 + 1, 511 + 511, 64)],
    ['a circuit Lagrange point is another', replaced(12, 63 + 7, 64, () => point(5n))],
    [
      'alpha and beta Lagrange sections exchanged',
      () => {
        const beta = sectionOf(known, 15);
        const alpha = sectionOf(known, 14);
        return withSection(
          withSection(known, 14, () => beta),
          15,
          () => alpha,
        );
      },
    ],
    [
      'contributions to other secrets',
      async () => {
        const section = await contributionSection(engine, knownSecrets('another'), POWER);
        return withSection(known, 7, () => section);
      },
    ],
    [
      'contributions of a ceremony of another power',
      () => withSection(known, 1, (data) => overwritten(data, 40, u32le(10))),
    ],
  ] as [string, () => Uint8Array | Promise<Uint8Array>][])('of several secrets: %s', async (_, make) => {
    const ptau = await make();
    expect(await codeOf(() => importing(ptau))).toBe('PARAMETERS_MISMATCH');
    expect(await readdir(dir)).toEqual([]);
  });

  test('no contribution', async () => {
    const ptau = withSection(known, 7, () => u32le(0));
    expect(await codeOf(() => importing(ptau))).toBe('CEREMONY_INCOMPLETE');
  });

  test('a point that nothing needs is left to the whole-file check', async () => {
    const ptau = await replaced(2, 515, 64, () => point(5n))();
    expect(await codeOf(() => importing(ptau))).toBe('no error');
    // a file of a known contributor lacks the digests of a real one
    expect(await codeOf(() => importing(ptau, { extent: 'whole-file' }))).toBe('PARAMETERS_MISMATCH');
    expect(await readdir(dir)).toEqual([]);
  });
});

describe('sizes', () => {
  test.each([
    ['a domain larger than the file', { domains: [1024] }],
    ['a domain below 512', { domains: [256] }],
    ['a domain that is no power of two', { domains: [513] }],
    ['a domain that is no number', { domains: [Number.NaN] }],
    ['no domain', { domains: [] }],
    ['a circuit larger than the file', { pairs: [255] }],
    ['a circuit that is not built', { pairs: [16] }],
    ['no circuit', { pairs: [] }],
    ['a source of two lines', { source: 'a\nb' }],
    ['a source of 901 characters', { source: 'a'.repeat(901) }],
  ] as [string, Partial<ImportOptions>][])('refuses %s', async (_, options) => {
    expect(await codeOf(() => importing(known, options))).toBe('USAGE');
    expect(await readdir(parent)).not.toContain('ceremony');
  });

  test('a file of power 8 serves no adapter', async () => {
    const small = await knownPtau(engine, secrets, 8);
    expect(await codeOf(() => importing(small))).toBe('USAGE');
  });

  test('does not touch a folder that holds something', async () => {
    await writeFile(path, known);
    const full = join(parent, 'full');
    await mkdir(full);
    await writeFile(join(full, 'notes.txt'), 'mine');
    expect(await codeOf(() => importPowersOfTau({ ptau: path, dir: full }))).toBe('FILE_EXISTS');
    expect(await readdir(full)).toEqual(['notes.txt']);
  });
});

import { execFile } from 'node:child_process';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { powersOfTau } from 'snarkjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import { concatBytes, equalBytes, utf8ToBytes } from '../../src/bytes.js';
import { groupOfSection, openPtau, type PointSection } from '../../src/ceremony/ptauFile.js';
import { parseBinFile, serializeBinFile } from '../../src/circuit/binfile.js';
import { PTAU_SECTION } from '../../src/circuit/ptau.js';
import { codeOf } from '../circuit/helpers.js';
import { knownPtau, knownSecrets, overwritten, sectionOf, u32le, withSection } from './support.js';

const POWER = 2;
let engine: Engine;
let ptau: Uint8Array;
let dir: string;
let path: string;

beforeAll(async () => {
  engine = await loadEngine();
  ptau = await knownPtau(engine, knownSecrets('structure'), POWER);
  dir = await mkdtemp(join(tmpdir(), 'zklora-ptau-'));
  path = join(dir, 'test.ptau');
});
afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
  await engine.terminate();
});

async function codeFor(bytes: Uint8Array): Promise<string> {
  await writeFile(path, bytes);
  return codeOf(async () => (await openPtau(path)).close());
}

const header = (change: (data: Uint8Array) => Uint8Array | null) => withSection(ptau, 1, change);
const at = (offset: number, part: Uint8Array) => overwritten(ptau, offset, part);
/** Offset of the length of the first section, the header. */
const FIRST_LENGTH = 12 + 4;

describe('openPtau', () => {
  test('reads any points by position', async () => {
    await writeFile(path, ptau);
    const file = await openPtau(path);
    expect({ power: file.power, ceremonyPower: file.ceremonyPower }).toEqual({
      power: POWER,
      ceremonyPower: POWER,
    });
    for (const name of Object.keys(PTAU_SECTION) as (keyof typeof PTAU_SECTION)[]) {
      const section = sectionOf(ptau, PTAU_SECTION[name]);
      if (name === 'header') expect(file.header).toEqual(section);
      else if (name === 'contributions') expect(await file.readContributions()).toEqual(section);
      else {
        const size = groupOfSection(name as PointSection) === 'G1' ? 64 : 128;
        const count = section.length / size;
        expect(await file.readPoints(name as PointSection, 0, count)).toEqual(section);
        const last = section.slice(-size);
        expect(await file.readPoints(name as PointSection, count - 1, 1)).toEqual(last);
        const beyond = () => file.readPoints(name as PointSection, count, 1);
        expect(await codeOf(beyond)).toBe('INTERNAL');
      }
    }
    expect(await file.readReduced(POWER)).toEqual(ptau);
    await file.close();
  });

  test('takes the part of a file that a smaller circuit needs', async () => {
    await writeFile(path, ptau);
    const file = await openPtau(path);
    const reduced = await file.readReduced(1);
    await writeFile(join(dir, 'reduced.ptau'), reduced);
    const small = await openPtau(join(dir, 'reduced.ptau'));
    expect({ power: small.power, ceremonyPower: small.ceremonyPower }).toEqual({
      power: 1,
      ceremonyPower: POWER,
    });
    await powersOfTau.truncate(path, join(dir, 'by-snarkjs-'));
    expect(equalBytes(await readFile(join(dir, 'by-snarkjs-01.ptau')), reduced)).toBe(true);
    await small.close();
    await file.close();
  });

  test.each([
    ['empty', () => new Uint8Array()],
    ['a header in part', () => ptau.slice(0, 11)],
    ['another kind', () => at(0, utf8ToBytes('zkey'))],
    ['a kind in capitals', () => at(0, utf8ToBytes('PTAU'))],
    ['version 0', () => at(4, u32le(0))],
    ['version 2', () => at(4, u32le(2))],
    ['no sections', () => ptau.slice(0, 8)],
    ['0 sections declared', () => at(8, u32le(0))],
    ['a section less declared', () => at(8, u32le(10))],
    ['a section more declared', () => at(8, u32le(12))],
    ['17 sections declared', () => at(8, u32le(17))],
    ['2^32 - 1 sections declared', () => at(8, u32le(0xffffffff))],
    ['a section of 2^32 bytes', () => at(FIRST_LENGTH + 4, u32le(1))],
    ['a section of 2^53 bytes', () => at(FIRST_LENGTH + 4, u32le(2 ** 21))],
    ['a section of 2^64 - 1 bytes', () => at(FIRST_LENGTH, new Uint8Array(8).fill(0xff))],
    ['a section longer than it is', () => at(FIRST_LENGTH, u32le(45))],
    ['a section shorter than it is', () => at(FIRST_LENGTH, u32le(43))],
    ['an id twice', () => at(12, u32le(2))],
    ['truncated', () => ptau.slice(0, -1)],
    ['truncated to half', () => ptau.slice(0, ptau.length / 2)],
    ['trailing bytes', () => concatBytes(ptau, new Uint8Array(1))],
    ['a header of one more byte', () => header((data) => concatBytes(data, new Uint8Array(1)))],
    ['a header of a kilobyte', () => header(() => new Uint8Array(1024))],
    ['an empty header', () => header(() => new Uint8Array())],
    ['fields of 31 bytes', () => header((data) => overwritten(data, 0, u32le(31)))],
    ['another prime', () => header((data) => overwritten(data, 4, Uint8Array.of(0)))],
    [
      'the prime of another byte order',
      () => header((data) => overwritten(data, 4, data.slice(4, 36).reverse())),
    ],
    ['power 0', () => header((data) => overwritten(data, 36, u32le(0)))],
    ['a smaller power', () => header((data) => overwritten(data, 36, u32le(1)))],
    ['a larger power', () => header((data) => overwritten(data, 36, concatBytes(u32le(3), u32le(3))))],
    ['power 29', () => header((data) => overwritten(data, 36, concatBytes(u32le(29), u32le(29))))],
    ['power 2^32 - 1', () => header((data) => overwritten(data, 36, new Uint8Array(8).fill(0xff)))],
    ['a power above that of its ceremony', () => header((data) => overwritten(data, 40, u32le(1)))],
    ['a ceremony of power 29', () => header((data) => overwritten(data, 40, u32le(29)))],
    ...Object.values(PTAU_SECTION).flatMap((id): [string, () => Uint8Array][] => [
      [`section ${id} missing`, () => withSection(ptau, id, () => null)],
      ...(id === PTAU_SECTION.contributions
        ? []
        : ([
            [`section ${id} empty`, () => withSection(ptau, id, () => new Uint8Array())],
            [`section ${id} short of a byte`, () => withSection(ptau, id, (data) => data.slice(1))],
            [
              `section ${id} with a byte more`,
              () => withSection(ptau, id, (data) => concatBytes(data, data.slice(0, 1))),
            ],
          ] as [string, () => Uint8Array][])),
    ]),
    ['contributions of 5 MB', () => withSection(ptau, 7, () => new Uint8Array(5_000_000))],
    [
      'an unknown section',
      () =>
        serializeBinFile('ptau', 1, [
          ...[...parseBinFile(ptau, 'ptau', 1, 'INTERNAL')].map(([id, data]) => ({ id, data })),
          { id: 99, data: new Uint8Array(3) },
        ]),
    ],
  ] as [string, () => Uint8Array][])('refuses: %s', async (_, make) => {
    expect(await codeFor(make())).toBe('PARAMETERS_MALFORMED');
  });

  test('says how to prepare a file that is not', async () => {
    await writeFile(
      path,
      withSection(ptau, PTAU_SECTION.lagrangeTauG2, () => null),
    );
    await expect(openPtau(path)).rejects.toThrow('snarkjs powersoftau prepare phase2');
  });

  test('any changed byte of the structure gives a file or a refusal', async () => {
    const structure = 12 + 12 + 44 + 12;
    await fc.assert(
      fc.asyncProperty(fc.nat(structure - 1), fc.integer({ min: 1, max: 255 }), async (position, mask) => {
        const code = await codeFor(at(position, Uint8Array.of(ptau[position]! ^ mask)));
        expect(['PARAMETERS_MALFORMED', 'no error']).toContain(code);
      }),
      { numRuns: 200 },
    );
  });

  test('no file, a folder, a pipe', async () => {
    expect(await codeOf(() => openPtau(join(dir, 'nowhere')))).toBe('FILE_NOT_FOUND');
    expect(await codeOf(() => openPtau(dir))).toBe('FILE_UNREADABLE');
    const pipe = join(dir, 'pipe');
    await promisify(execFile)('mkfifo', [pipe]);
    expect(await codeOf(() => openPtau(pipe))).toBe('FILE_UNREADABLE');
  });

  test('a file that shrinks while it is open', async () => {
    await writeFile(path, ptau);
    const file = await openPtau(path);
    const handle = await open(path, 'r+');
    await handle.truncate(100);
    await handle.close();
    expect(await codeOf(() => file.readPoints('lagrangeBetaTauG1', 0, 1))).toBe('FILE_UNREADABLE');
    await file.close();
  });
});

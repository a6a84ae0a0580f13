import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MemoryFile, powersOfTau } from 'snarkjs';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadEngine } from '../../src/algebra/index.js';
import { equalBytes } from '../../src/bytes.js';
import { parseBinFile } from '../../src/circuit/binfile.js';
import { type DevelopmentOptions, makeDevelopmentParameters } from '../../src/circuit/development.js';
import { openParameters } from '../../src/circuit/parameterFiles.js';
import { PTAU_SECTION, ptauFromSecrets } from '../../src/circuit/ptau.js';
import { codeOf, DEVELOPMENT_DIR, scalars } from './helpers.js';

const engine = await loadEngine();
let parent: string;
let dir: string;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'zklora-development-'));
  dir = join(parent, 'set');
});
afterEach(() => rm(parent, { recursive: true, force: true }));
afterAll(() => engine.terminate());

const SMALL = { maxDomain: 512, pairs: [15] };

async function sameFile(name: string): Promise<boolean> {
  return equalBytes(await readFile(join(dir, name)), await readFile(join(DEVELOPMENT_DIR, name)));
}

describe('makeDevelopmentParameters', () => {
  test('remakes the committed files, byte for byte', async () => {
    const steps: string[] = [];
    // a second, larger circuit: the largest of a set has its H points from a basis that lacks one power of tau,
    // so its proving key depends on being the largest
    const options = { ...SMALL, pairs: [63, 15, 15], dir };
    const set = await makeDevelopmentParameters({ ...options, onProgress: (step) => steps.push(step) });
    expect((await readdir(parent)).sort()).toEqual(['set']);
    expect((await readdir(dir)).sort()).toEqual([
      'lagrange-512.g1',
      'params.json',
      'powers.g1',
      'rank_check_15.vkey',
      'rank_check_15.zkey',
      'rank_check_63.vkey',
      'rank_check_63.zkey',
    ]);
    for (const name of [
      'lagrange-512.g1',
      'rank_check_15.vkey',
      'rank_check_15.zkey',
      'rank_check_63.vkey',
    ]) {
      expect(await sameFile(name)).toBe(true);
    }
    const powers = await readFile(join(dir, 'powers.g1'));
    const committed = await readFile(join(DEVELOPMENT_DIR, 'powers.g1'));
    expect(equalBytes(powers, committed.subarray(0, 515 * 64))).toBe(true);
    expect(steps).toEqual(['domain 512', 'powers of tau', 'keys for 15 pairs', 'keys for 63 pairs']);
    expect(set.kind).toBe('development');
    expect(set.contributions).toHaveLength(2);
    expect((await openParameters(dir)).set).toEqual(set);
  });

  test('another seed shares nothing', async () => {
    const set = await makeDevelopmentParameters({ ...SMALL, dir, seed: 'another' });
    const committed = (await openParameters(DEVELOPMENT_DIR)).set;
    expect(set.tauG2).not.toBe(committed.tauG2);
    for (const name of ['lagrange-512.g1', 'rank_check_15.vkey', 'rank_check_15.zkey']) {
      expect(await sameFile(name)).toBe(false);
    }
    expect(set.source).toContain('another');
  });

  test('does not touch a folder that holds something', async () => {
    await mkdir(dir);
    await writeFile(join(dir, 'notes.txt'), 'mine');
    expect(await codeOf(() => makeDevelopmentParameters({ ...SMALL, dir }))).toBe('FILE_EXISTS');
    expect(await readdir(dir)).toEqual(['notes.txt']);
    expect(await readdir(parent)).toEqual(['set']);
  });

  test.each([
    ['a domain that is no power of two', { maxDomain: 1000 }],
    ['a domain below 512', { maxDomain: 256, domains: [256] }],
    ['a domain above 2^20', { maxDomain: 2 ** 21 }],
    ['a domain above the maximum', { domains: [1024] }],
    ['a good domain and one that is no power of two', { domains: [512, 511] }],
    ['no domain', { domains: [] }],
    ['no circuit', { pairs: [] }],
    ['an empty seed', { seed: '' }],
    ['a seed of two lines', { seed: 'a\nb' }],
  ] as [string, Partial<DevelopmentOptions>][])('refuses %s and writes nothing', async (_, wrong) => {
    expect(await codeOf(() => makeDevelopmentParameters({ ...SMALL, ...wrong, dir }))).toBe('USAGE');
    expect(await readdir(parent)).toEqual([]);
  });

  test('refuses a circuit size that is not built', async () => {
    const call = () => makeDevelopmentParameters({ ...SMALL, pairs: [15, 16], dir });
    expect(await codeOf(call)).toBe('PARAMETERS_MISMATCH');
    expect(await readdir(parent)).toEqual([]);
  });
});

describe('ptauFromSecrets', () => {
  test.each([1, 3, 5])('is what snarkjs prepares from the same powers, power %i', async (power) => {
    const [tau, alpha, beta] = scalars('ptau', 3) as [bigint, bigint, bigint];
    const ours = await ptauFromSecrets(engine, { tau, alpha, beta }, power);
    const prepared: MemoryFile = { type: 'mem' };
    await powersOfTau.preparePhase2(ours, prepared);
    expect(equalBytes(prepared.data!, ours)).toBe(true);
  });

  test('has the sections of a prepared file', async () => {
    const ptau = await ptauFromSecrets(engine, { tau: 5n, alpha: 6n, beta: 7n }, 2);
    const sections = parseBinFile(ptau, 'ptau', 1, 'INTERNAL');
    const lengths = Object.fromEntries([...sections].map(([id, data]) => [id, data.length]));
    expect(lengths).toEqual({
      [PTAU_SECTION.header]: 44,
      [PTAU_SECTION.tauG1]: 7 * 64,
      [PTAU_SECTION.tauG2]: 4 * 128,
      [PTAU_SECTION.alphaTauG1]: 4 * 64,
      [PTAU_SECTION.betaTauG1]: 4 * 64,
      [PTAU_SECTION.betaG2]: 128,
      [PTAU_SECTION.contributions]: 4,
      [PTAU_SECTION.lagrangeTauG1]: 15 * 64,
      [PTAU_SECTION.lagrangeTauG2]: 7 * 128,
      [PTAU_SECTION.lagrangeAlphaTauG1]: 7 * 64,
      [PTAU_SECTION.lagrangeBetaTauG1]: 7 * 64,
    });
  });
});

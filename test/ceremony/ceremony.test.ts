import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bn254 } from '@noble/curves/bn254.js';
import { type MemoryFile, zKey } from 'snarkjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import { bytesToHex, sha256 } from '../../src/bytes.js';
import {
  applyBeacon,
  type Check,
  type CheckCeremonyOptions,
  checkCeremony,
  checkParameters,
  contributeToKeys,
  finishCeremony,
  importPowersOfTau,
  parseCeremonyState,
  readCeremony,
  startPhaseTwo,
} from '../../src/ceremony/index.js';
import { parseTranscriptFile } from '../../src/ceremony/transcript.js';
import { circuitR1cs } from '../../src/circuit/circuitFiles.js';
import { openParameters } from '../../src/circuit/parameterFiles.js';
import { type ParameterSet, parameterSetId, parseParameterSet } from '../../src/circuit/parameters.js';
import { PTAU_SECTION } from '../../src/circuit/ptau.js';
import { proveSession, verifyProof } from '../../src/protocol/index.js';
import { codeOf, DEVELOPMENT_DIR } from '../circuit/helpers.js';
import { developmentParameters, makeScenario } from '../support/scenario.js';
import {
  BEACON,
  knownPtau,
  knownSecrets,
  overwritten,
  sectionOf,
  snarkjsPtau,
  withSection,
} from './support.js';

const POWER = 9;
/** Preparing the file takes snarkjs some 10 s of two cores. */
const SLOW = 300_000;

let engine: Engine;
let root: string;
let ptau: string;
let foreignPtau: string;
let ptauBytes: Uint8Array;
let responseHashes: readonly Uint8Array[];
let set: ParameterSet;
const folder = (name: string) => join(root, name);

// One ceremony, as people would hold it: the folders of each step stay for the tests.
beforeAll(async () => {
  engine = await loadEngine();
  root = await mkdtemp(join(tmpdir(), 'zklora-ceremony-'));
  ptau = folder('snarkjs.ptau');
  foreignPtau = folder('foreign.ptau');
  const made = await snarkjsPtau(engine, POWER);
  ptauBytes = made.ptau;
  responseHashes = made.hashes;
  await writeFile(ptau, ptauBytes);
  await writeFile(foreignPtau, await knownPtau(engine, knownSecrets('foreign'), POWER));

  const options = { domains: [512], pairs: [15, 31], source: 'a test', extent: 'whole-file' } as const;
  await importPowersOfTau({ ptau, dir: folder('imported'), ...options });
  await cp(folder('imported'), folder('started'), { recursive: true });
  await startPhaseTwo({ dir: folder('started'), ptau, pairs: [31, 15] });
  await cp(folder('started'), folder('contributed'), { recursive: true });
  await contributeToKeys({ dir: folder('contributed'), name: 'Carol' });
  await cp(folder('contributed'), folder('ready'), { recursive: true });
  const beacon = { name: 'drand', beacon: BEACON, iterationsExponent: 10 };
  await applyBeacon({ dir: folder('ready'), ...beacon });
  set = await finishCeremony({ dir: folder('ready'), ptau, out: folder('params') });
}, SLOW);
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
  await engine.terminate();
});

/** A copy of a folder that a test may spoil. */
async function copyOf(name: string): Promise<string> {
  const copy = await mkdtemp(folder('copy-'));
  await cp(folder(name), copy, { recursive: true });
  return copy;
}

async function edit(path: string, change: (bytes: Uint8Array) => Uint8Array): Promise<void> {
  await writeFile(path, change(new Uint8Array(await readFile(path))));
}

async function editJson(path: string, change: (value: Record<string, never>) => void): Promise<void> {
  const value = JSON.parse(await readFile(path, 'utf8'));
  change(value);
  await writeFile(path, JSON.stringify(value));
}

const digestOf = async (path: string) => bytesToHex(sha256(await readFile(path)));

/** Names and codes of the checks that failed. */
const failures = (checks: readonly Check[]) =>
  checks.filter(({ outcome }) => outcome === 'failed').map(({ name, code }) => `${name}: ${code}`);

describe('import of a file made with the commands of snarkjs', () => {
  test('writes points, history and state, and no parameter set', async () => {
    const dir = folder('imported');
    expect((await readdir(dir)).sort()).toEqual([
      'ceremony.json',
      'lagrange-512.g1',
      'powers.g1',
      'transcript.ptau',
    ]);
    const state = await readCeremony(dir);
    expect(state).toMatchObject({ source: 'a test', circuits: [], powers: { count: 515 } });
    expect(state.powers.sha256).toBe(await digestOf(join(dir, 'powers.g1')));
    expect(state.domains).toEqual([{ size: 512, sha256: await digestOf(join(dir, 'lagrange-512.g1')) }]);
    expect(state.transcript.sha256).toBe(await digestOf(join(dir, 'transcript.ptau')));
    expect(await codeOf(() => openParameters(dir))).toBe('FILE_NOT_FOUND');
  });

  test('takes the points of the file', async () => {
    const read = async (name: string) =>
      engine.curve.G1.batchUtoLEM(new Uint8Array(await readFile(join(folder('imported'), name))));
    expect(await read('powers.g1')).toEqual(sectionOf(ptauBytes, PTAU_SECTION.tauG1).slice(0, 515 * 64));
    const bases = sectionOf(ptauBytes, PTAU_SECTION.lagrangeTauG1);
    expect(await read('lagrange-512.g1')).toEqual(bases.slice(511 * 64, 1023 * 64));
  });

  test('keeps the contributions', async () => {
    const bytes = await readFile(join(folder('imported'), 'transcript.ptau'));
    const { contributions } = await parseTranscriptFile(engine, new Uint8Array(bytes));
    expect(contributions.map(({ responseHash }) => responseHash)).toEqual(responseHashes);
  });
});

describe('the finished set', () => {
  test('is a ceremony with all contributions, and opens', async () => {
    expect(set.kind).toBe('ceremony');
    expect(set.contributions.map(({ phase, pairs, kind, name }) => [phase, pairs, kind, name])).toEqual([
      ['powers-of-tau', null, 'participant', 'Alice'],
      ['powers-of-tau', null, 'participant', 'B?b'],
      ['powers-of-tau', null, 'beacon', 'final beacon'],
      ['phase2', 15, 'participant', 'Carol'],
      ['phase2', 15, 'beacon', 'drand'],
      ['phase2', 31, 'participant', 'Carol'],
      ['phase2', 31, 'beacon', 'drand'],
    ]);
    expect(set.contributions.slice(0, 3).map(({ hash }) => hash)).toEqual(responseHashes.map(bytesToHex));
    const store = await openParameters(folder('params'));
    expect(store.set).toEqual(set);
    expect(store.id).toBe(parameterSetId(set));
    expect((await readdir(folder('params'))).sort()).toEqual([
      'lagrange-512.g1',
      'params.json',
      'powers.g1',
      'rank_check_15.vkey',
      'rank_check_15.zkey',
      'rank_check_31.vkey',
      'rank_check_31.zkey',
      'transcript.ptau',
    ]);
  });

  test('passes every check, with and without the .ptau file', async () => {
    const seen: string[] = [];
    const report = await checkParameters({
      dir: folder('params'),
      ptau,
      development: 'refused',
      onCheck: ({ name }) => seen.push(name),
    });
    expect(report).toMatchObject({ passed: true, id: parameterSetId(set) });
    expect(report.checks.filter(({ outcome }) => outcome !== 'ok')).toEqual([]);
    expect(seen).toEqual([
      'params.json',
      'kind',
      'powers.g1',
      'lagrange-512.g1',
      'transcript.ptau',
      'contributions of phase 1',
      '.ptau file',
      'rank_check_15.zkey',
      'rank_check_15.zkey, contributions',
      'rank_check_15.zkey, snarkjs',
      'rank_check_15.vkey',
      'rank_check_31.zkey',
      'rank_check_31.zkey, contributions',
      'rank_check_31.zkey, snarkjs',
      'rank_check_31.vkey',
    ]);
    const alone = await checkParameters({ dir: folder('params'), development: 'refused' });
    expect(alone.passed).toBe(true);
    expect(alone.checks.filter(({ outcome }) => outcome !== 'ok')).toEqual([]);
  });

  test('proves and verifies a session, without leave for development parameters', async () => {
    const parameters = await openParameters(folder('params'));
    const scenario = await makeScenario(engine, parameters, {
      shapes: [
        { rank: 8, inFeatures: 40, outFeatures: 512 },
        { rank: 13, inFeatures: 512, outFeatures: 7 },
      ],
      calls: [3, 2],
    });
    const proof = await proveSession({ ...scenario });
    const verify = (verifying: typeof parameters) =>
      verifyProof({
        engine,
        parameters: verifying.set,
        verificationKeys: verifying.vkey,
        adapter: scenario.adapter,
        session: scenario.session,
        proof,
        allowDevelopmentParameters: false,
      });
    expect(await verify(parameters)).toMatchObject({ valid: true, tokens: 5 });
    // under other parameters it is no proof
    const development = await developmentParameters();
    expect(await codeOf(() => verify(development))).toBe('no error');
    expect(await verify(development)).toMatchObject({ valid: false });
  });
});

describe('phase 2 step by step', () => {
  const check = (name: string, options: Omit<CheckCeremonyOptions, 'dir'> = {}) =>
    checkCeremony({ dir: folder(name), ...options });

  test('nothing can be done before it starts', async () => {
    const dir = folder('imported');
    expect(await codeOf(() => contributeToKeys({ dir, name: 'x' }))).toBe('USAGE');
    expect(await codeOf(() => checkCeremony({ dir }))).toBe('USAGE');
    expect(await codeOf(() => finishCeremony({ dir, ptau, out: folder('never') }))).toBe('USAGE');
    expect(await codeOf(() => contributeToKeys({ dir: root, name: 'x' }))).toBe('FILE_NOT_FOUND');
  });

  test('it starts once', async () => {
    expect(await codeOf(() => startPhaseTwo({ dir: folder('started'), ptau }))).toBe('USAGE');
  });

  test.each([
    ['a circuit that the import has no powers for', [255]],
    ['a circuit that is not built', [16]],
    ['no circuit', []],
  ])('refuses %s', async (_, pairs) => {
    expect(await codeOf(() => startPhaseTwo({ dir: folder('imported'), ptau, pairs }))).toBe('USAGE');
  });

  test('it starts with the imported file only', async () => {
    const start = (path: string) => codeOf(() => startPhaseTwo({ dir: folder('imported'), ptau: path }));
    expect(await start(foreignPtau)).toBe('PARAMETERS_MISMATCH');
    // the same contributions around other points
    const other = new Uint8Array(await readFile(foreignPtau));
    const mixed = folder('mixed.ptau');
    await writeFile(
      mixed,
      withSection(other, 7, () => sectionOf(ptauBytes, 7)),
    );
    expect(await start(mixed)).toBe('PARAMETERS_MISMATCH');
    // a wrong point in what only keys need
    await writeFile(
      mixed,
      withSection(ptauBytes, PTAU_SECTION.lagrangeAlphaTauG1, (data) =>
        overwritten(data, 63 * 64, data.slice(64 * 64, 65 * 64)),
      ),
    );
    expect(await start(mixed)).toBe('PARAMETERS_MISMATCH');
    expect(await start(folder('nowhere.ptau'))).toBe('FILE_NOT_FOUND');
  });

  test('a key without contribution is refused', async () => {
    const { checks, passed } = await check('started', { ptau });
    expect(passed).toBe(false);
    expect(failures(checks)).toEqual([
      'rank_check_15.zkey, contributions: CEREMONY_INCOMPLETE',
      'rank_check_31.zkey, contributions: CEREMONY_INCOMPLETE',
    ]);
    const finish = () => finishCeremony({ dir: folder('started'), ptau, out: folder('never') });
    expect(await codeOf(finish)).toBe('CEREMONY_INCOMPLETE');
    expect(await readdir(root)).not.toContain('never');
  });

  test('so is one with a beacon only', async () => {
    const dir = await copyOf('started');
    await applyBeacon({ dir, name: 'beacon', beacon: BEACON, iterationsExponent: 10 });
    const finish = () => finishCeremony({ dir, ptau, out: folder('never') });
    expect(await codeOf(finish)).toBe('CEREMONY_INCOMPLETE');
  });

  test('and one key among others', async () => {
    const dir = await copyOf('ready');
    await cp(join(folder('started'), 'rank_check_31.zkey'), join(dir, 'rank_check_31.zkey'));
    const finish = () => finishCeremony({ dir, ptau, out: folder('never') });
    expect(await codeOf(finish)).toBe('CEREMONY_INCOMPLETE');
  });

  test('contributions differ each time, and each says its hash', async () => {
    const dir = await copyOf('contributed');
    const again = await contributeToKeys({ dir, name: 'Dave' });
    expect(again.map(({ pairs, name, kind }) => [pairs, name, kind])).toEqual([
      [15, 'Dave', 'participant'],
      [31, 'Dave', 'participant'],
    ]);
    const { keys, passed } = await checkCeremony({ dir, previous: folder('contributed') });
    expect(passed).toBe(true);
    expect(keys.map(({ key }) => key.contributions.map(({ name }) => name))).toEqual([
      ['Carol', 'Dave'],
      ['Carol', 'Dave'],
    ]);
    const other = await copyOf('contributed');
    const hashes = (await contributeToKeys({ dir: other, name: 'Dave' })).map(({ hash }) => hash);
    expect(hashes).not.toEqual(again.map(({ hash }) => hash));
    // two that were made side by side do not follow from each other
    const { checks } = await checkCeremony({ dir: other, previous: dir });
    expect(failures(checks)).toEqual([
      'rank_check_15.zkey: PARAMETERS_MISMATCH',
      'rank_check_31.zkey: PARAMETERS_MISMATCH',
    ]);
  });

  test('a folder that lost contributions is noticed', async () => {
    expect((await check('ready', { previous: folder('contributed') })).passed).toBe(true);
    const { checks } = await check('contributed', { previous: folder('ready') });
    expect(failures(checks)).toEqual([
      'rank_check_15.zkey: PARAMETERS_MISMATCH',
      'rank_check_31.zkey: PARAMETERS_MISMATCH',
    ]);
  });

  test.each(['', 'a'.repeat(65), 'a\nb', 'B\u00f3b'])('refuses the name %j', async (name) => {
    expect(await codeOf(() => contributeToKeys({ dir: folder('started'), name }))).toBe('USAGE');
  });

  test.each([
    ['no hex', 'xy'.repeat(32), 10],
    ['half a byte', 'a'.repeat(33), 10],
    ['capitals', 'AB'.repeat(32), 10],
    ['8 bytes', 'ab'.repeat(8), 10],
    ['65 bytes', 'ab'.repeat(65), 10],
    ['2^9 iterations', BEACON, 9],
    ['2^21 iterations', BEACON, 21],
    ['2^10.5 iterations', BEACON, 10.5],
  ])('refuses a beacon: %s', async (_, beacon, iterationsExponent) => {
    const call = () => applyBeacon({ dir: folder('started'), name: 'b', beacon, iterationsExponent });
    expect(await codeOf(call)).toBe('USAGE');
  });
});

describe('keys that do not belong here', () => {
  async function withKey(pairs: number, key: Uint8Array): Promise<readonly string[]> {
    const dir = await copyOf('ready');
    const path = join(dir, `rank_check_${pairs}.zkey`);
    const before = await readFile(path);
    await writeFile(path, key);
    expect(before.equals(key)).toBe(false);
    // without the file: what snarkjs makes of the other key is tested with the honest ones
    const { checks } = await checkCeremony({ dir });
    const failed = failures(checks);
    // whoever is asked to build on it refuses as well
    const code = failed[0]!.split(': ')[1]!;
    expect(await codeOf(() => contributeToKeys({ dir, name: 'x' }))).toBe(code);
    expect(await codeOf(() => finishCeremony({ dir, ptau, out: folder('never') }))).toBe(code);
    return failed;
  }

  async function newKey(file: Uint8Array, pairs: number): Promise<Uint8Array> {
    const bare: MemoryFile = { type: 'mem' };
    const after: MemoryFile = { type: 'mem' };
    await zKey.newZKey(await circuitR1cs(pairs), file, bare);
    await zKey.contribute(bare.data!, after, 'Carol', 'entropy of a test');
    return after.data!;
  }

  test('a key of other powers of tau', async () => {
    const key = await newKey(new Uint8Array(await readFile(foreignPtau)), 15);
    expect(await withKey(15, key)).toEqual(['rank_check_15.zkey: PARAMETERS_MISMATCH']);
  });

  test('a key for another circuit', async () => {
    const key = await newKey(ptauBytes, 63);
    expect(await withKey(31, key)).toEqual(['rank_check_31.zkey: PARAMETERS_MALFORMED']);
  });

  test('a key with delta = gamma that lists contributions', async () => {
    const bare = new Uint8Array(await readFile(join(folder('started'), 'rank_check_15.zkey')));
    const ready = new Uint8Array(await readFile(join(folder('ready'), 'rank_check_15.zkey')));
    const forged = withSection(bare, 10, () => sectionOf(ready, 10));
    expect(await withKey(15, forged)).toEqual(['rank_check_15.zkey: PARAMETERS_MISMATCH']);
  });

  test('a key that began as another', async () => {
    // without contributions nothing else depends on the circuit hash
    const bare = new Uint8Array(await readFile(join(folder('started'), 'rank_check_15.zkey')));
    const renamed = withSection(bare, 10, (data) => overwritten(data, 0, Uint8Array.of(1, 2, 3)));
    expect(await withKey(15, renamed)).toEqual(['rank_check_15.zkey: PARAMETERS_MISMATCH']);
  });

  test('a missing key', async () => {
    const dir = await copyOf('ready');
    await rm(join(dir, 'rank_check_15.zkey'));
    const { checks } = await checkCeremony({ dir });
    expect(failures(checks)).toEqual(['rank_check_15.zkey: FILE_NOT_FOUND']);
  });

  test('finishing with another .ptau file', async () => {
    const finish = () => finishCeremony({ dir: folder('ready'), ptau: foreignPtau, out: folder('never') });
    expect(await codeOf(finish)).toBe('PARAMETERS_MISMATCH');
    const full = () => finishCeremony({ dir: folder('ready'), ptau, out: folder('params') });
    expect(await codeOf(full)).toBe('FILE_EXISTS');
  });
});

describe('params verify', () => {
  const verify = (dir: string, path?: string) =>
    checkParameters({ dir, development: 'refused', ...(path === undefined ? {} : { ptau: path }) });

  /** Changes a file and the digest that params.json has of it, so that only the checks can tell. */
  async function forged(
    name: string,
    change: (bytes: Uint8Array) => Uint8Array,
    digestIn: (set: { [key: string]: never }, digest: string) => void,
  ): Promise<readonly string[]> {
    const dir = await copyOf('params');
    await edit(join(dir, name), change);
    const digest = await digestOf(join(dir, name));
    await editJson(join(dir, 'params.json'), (description) => digestIn(description, digest));
    return failures((await verify(dir)).checks);
  }
  type Loose = {
    powers: { sha256: string };
    transcript: { sha256: string };
    domains: { sha256: string }[];
    circuits: { zkeySha256: string; vkeySha256: string }[];
    contributions: { name: string; hash: string; kind: string }[];
    tauG2: string;
  };
  const loose = (change: (set: Loose, digest: string) => void) => change as never;

  test('a changed byte in each file', async () => {
    const dir = await copyOf('params');
    const names = ['lagrange-512.g1', 'transcript.ptau', 'rank_check_15.zkey', 'rank_check_31.vkey'];
    const flip = (name: string) =>
      edit(join(dir, name), (bytes) => overwritten(bytes, 200, Uint8Array.of(bytes[200]! ^ 1)));
    for (const name of names.filter((name) => name !== 'transcript.ptau')) await flip(name);
    expect(failures((await verify(dir)).checks)).toEqual([
      'lagrange-512.g1: PARAMETERS_MISMATCH',
      'rank_check_15.zkey: PARAMETERS_MISMATCH',
      // the proving key is read together with its verification key
      'rank_check_31.zkey: PARAMETERS_MISMATCH',
      'rank_check_31.vkey: PARAMETERS_MISMATCH',
    ]);
    // keys can be checked only where powers and phase 1 are in order
    await flip('transcript.ptau');
    const { checks } = await verify(dir);
    expect(failures(checks)).toEqual([
      'lagrange-512.g1: PARAMETERS_MISMATCH',
      'transcript.ptau: PARAMETERS_MISMATCH',
    ]);
    expect(checks.filter(({ outcome }) => outcome === 'not checked').map(({ name }) => name)).toEqual([
      'contributions of phase 1',
      'rank_check_15.zkey',
      'rank_check_31.zkey',
    ]);
    await flip('powers.g1');
    expect(failures((await verify(dir)).checks)).toEqual([
      'powers.g1: PARAMETERS_MISMATCH',
      'transcript.ptau: PARAMETERS_MISMATCH',
    ]);
  });

  test('powers of another tau with a fitting digest', async () => {
    const other = new Uint8Array(await readFile(join(DEVELOPMENT_DIR, 'powers.g1'))).slice(0, 515 * 64);
    const failed = await forged(
      'powers.g1',
      () => other,
      loose((description, digest) => {
        description.powers.sha256 = digest;
      }),
    );
    expect(failed).toEqual(['powers.g1: PARAMETERS_MISMATCH']);
  });

  test.each([
    ['off the curve', (bytes: Uint8Array) => overwritten(bytes, 64, new Uint8Array(32).fill(1))],
    ['the identity', (bytes: Uint8Array) => overwritten(bytes, 64, new Uint8Array(64))],
    ['not canonical', (bytes: Uint8Array) => overwritten(bytes, 64, plusModulus(bytes.slice(64, 96)))],
    ['too many', (bytes: Uint8Array) => new Uint8Array([...bytes, ...bytes.slice(0, 64)])],
    ['too few', (bytes: Uint8Array) => bytes.slice(64)],
  ])('points that are %s', async (_, change) => {
    const failed = await forged(
      'powers.g1',
      change,
      loose((description, digest) => {
        description.powers.sha256 = digest;
      }),
    );
    expect(failed).toHaveLength(1);
    expect(failed[0]).toMatch(/^powers.g1: (PARAMETERS_MALFORMED|FILE_UNREADABLE)$/);
  });

  test('a Lagrange point off the curve', async () => {
    const failed = await forged(
      'lagrange-512.g1',
      (bytes) => overwritten(bytes, 64, new Uint8Array(32).fill(1)),
      loose((description, digest) => {
        description.domains[0]!.sha256 = digest;
      }),
    );
    expect(failed).toEqual(['lagrange-512.g1: PARAMETERS_MALFORMED']);
  });

  test('a Lagrange basis of another tau', async () => {
    const other = new Uint8Array(await readFile(join(DEVELOPMENT_DIR, 'lagrange-512.g1')));
    const failed = await forged(
      'lagrange-512.g1',
      () => other,
      loose((description, digest) => {
        description.domains[0]!.sha256 = digest;
      }),
    );
    expect(failed).toEqual(['lagrange-512.g1: PARAMETERS_MISMATCH']);
  });

  test('another tauG2', async () => {
    const dir = await copyOf('params');
    const change = (tauG2: string) =>
      editJson(
        join(dir, 'params.json'),
        loose((description) => {
          description.tauG2 = tauG2;
        }),
      );
    const { x, y } = bn254.G2.Point.BASE.multiply(5n).toAffine();
    await change([x.c1, x.c0, y.c1, y.c0].map((value) => value.toString(16).padStart(64, '0')).join(''));
    expect(failures((await verify(dir)).checks)).toEqual([
      'powers.g1: PARAMETERS_MISMATCH',
      'transcript.ptau: PARAMETERS_MISMATCH',
    ]);
    await change((await developmentParameters()).set.tauG2);
    expect(await codeOf(() => verify(dir))).toBe('PARAMETERS_MALFORMED');
  });

  test('contributions other than those in the files', async () => {
    const dir = await copyOf('params');
    const change = (index: number, field: 'name' | 'hash' | 'kind', value: string) =>
      editJson(
        join(dir, 'params.json'),
        loose((description) => {
          description.contributions[index]![field] = value;
        }),
      );
    await change(3, 'name', 'Mallory');
    await change(5, 'hash', '00'.repeat(64));
    const keys = ['rank_check_15.zkey: PARAMETERS_MISMATCH', 'rank_check_31.zkey: PARAMETERS_MISMATCH'];
    expect(failures((await verify(dir)).checks)).toEqual(keys);
    await change(1, 'name', 'Mallory');
    await change(6, 'kind', 'participant');
    const all = ['contributions of phase 1: PARAMETERS_MISMATCH', ...keys];
    expect(failures((await verify(dir)).checks)).toEqual(all);
  });

  test('a key that nobody contributed to, dressed up as a ceremony', async () => {
    const dir = await copyOf('params');
    const bare = new Uint8Array(await readFile(join(folder('started'), 'rank_check_15.zkey')));
    await writeFile(join(dir, 'rank_check_15.zkey'), bare);
    const digest = await digestOf(join(dir, 'rank_check_15.zkey'));
    await editJson(
      join(dir, 'params.json'),
      loose((description) => {
        description.circuits[0]!.zkeySha256 = digest;
      }),
    );
    expect(failures((await verify(dir)).checks)).toEqual(['rank_check_15.zkey: PARAMETERS_MISMATCH']);
  });

  test('another .ptau file', async () => {
    const { checks, passed } = await verify(folder('params'), foreignPtau);
    expect(passed).toBe(false);
    expect(failures(checks)).toEqual(['.ptau file: PARAMETERS_MISMATCH']);
  });

  test('a missing file, a missing set', async () => {
    const dir = await copyOf('params');
    await rm(join(dir, 'transcript.ptau'));
    expect(failures((await verify(dir)).checks)).toEqual(['transcript.ptau: FILE_NOT_FOUND']);
    await rm(join(dir, 'params.json'));
    expect(await codeOf(() => verify(dir))).toBe('FILE_NOT_FOUND');
  });

  test('the development set is what it says, and refused unless allowed', async () => {
    const refused = await verify(DEVELOPMENT_DIR);
    expect(failures(refused.checks)).toEqual(['kind: PARAMETERS_DEVELOPMENT']);
    const allowed = await checkParameters({ dir: DEVELOPMENT_DIR, development: 'allowed' });
    expect(allowed.passed).toBe(true);
    expect(allowed.id).toBe('a42056532ea0b8acd7d5a7449823df5b805f772779c59e42b4fb7900a3d3694f');
    expect(allowed.checks.filter(({ outcome }) => outcome === 'not checked').map(({ name }) => name)).toEqual(
      ['contributions of phase 1', 'rank_check_255.zkey, H'],
    );
  });

  test('a development set that calls itself a ceremony', async () => {
    const dir = await mkdtemp(folder('dressed-'));
    await cp(DEVELOPMENT_DIR, dir, { recursive: true });
    await editJson(join(dir, 'params.json'), (description: Record<string, unknown>) => {
      description.kind = 'ceremony';
    });
    expect(await codeOf(() => verify(dir))).toBe('PARAMETERS_MALFORMED');
  });
});

describe('ceremony.json', () => {
  const changed = async (change: (state: Record<string, unknown>) => void): Promise<string> => {
    const state = JSON.parse(await readFile(join(folder('started'), 'ceremony.json'), 'utf8'));
    change(state);
    return JSON.stringify(state);
  };

  test('is read', async () => {
    const state = parseCeremonyState(await changed(() => undefined));
    expect(state.circuits.map(({ pairs }) => pairs)).toEqual([15, 31]);
  });

  test.each([
    ['no JSON', () => '{'],
    ['null', () => 'null'],
    ['too long', () => ' '.repeat(2 ** 20 + 1)],
    ['a parameter set', () => JSON.stringify(set)],
    ['another format', () => changed((state) => Object.assign(state, { format: 'zklora/ceremony/v2' }))],
    ['an unknown key', () => changed((state) => Object.assign(state, { kind: 'ceremony' }))],
    ['no transcript', () => changed((state) => delete state.transcript)],
    ['circuits descending', () => changed((state) => (state.circuits as unknown[]).reverse())],
    [
      'a circuit twice',
      () => changed((state) => (state.circuits as unknown[]).fill((state.circuits as unknown[])[0])),
    ],
    ['too few powers', () => changed((state) => Object.assign(state.powers as object, { count: 514 }))],
    ['10^9 powers', () => changed((state) => Object.assign(state.powers as object, { count: 10 ** 9 }))],
    ['tauG2 the identity', () => changed((state) => Object.assign(state, { tauG2: '0'.repeat(256) }))],
    ['a source of two lines', () => changed((state) => Object.assign(state, { source: 'a\nb' }))],
  ] as [string, () => string | Promise<string>][])('refuses: %s', async (_, make) => {
    const json = await make();
    expect(await codeOf(() => parseCeremonyState(json))).toBe('PARAMETERS_MALFORMED');
  });

  test('is no parameter set', async () => {
    const json = await readFile(join(folder('started'), 'ceremony.json'), 'utf8');
    expect(await codeOf(() => parseParameterSet(json))).toBe('PARAMETERS_MALFORMED');
  });
});

/** The big-endian coordinate plus Q. */
function plusModulus(coordinate: Uint8Array): Uint8Array {
  const Q = 21888242871839275222246405745257275088696311157297823662689037894645226208583n;
  const value = BigInt(`0x${bytesToHex(coordinate)}`) + Q;
  return Uint8Array.from(value.toString(16).padStart(64, '0').match(/../g)!, (byte) =>
    Number.parseInt(byte, 16),
  );
}

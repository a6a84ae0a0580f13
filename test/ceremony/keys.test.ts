import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { type MemoryFile, zKey } from 'snarkjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Engine, loadEngine, vectorFromScalars } from '../../src/algebra/index.js';
import { bytesToHex, concatBytes } from '../../src/bytes.js';
import { contributionHash, requireDeltaChain } from '../../src/ceremony/deltaChain.js';
import { requireKey, requireParticipant, requireSnarkjsAgrees } from '../../src/ceremony/keyChecks.js';
import { requireKeyOfCircuit } from '../../src/ceremony/keyEquations.js';
import { parseKeyFile } from '../../src/ceremony/keyFile.js';
import { openPtau } from '../../src/ceremony/ptauFile.js';
import { circuitR1cs } from '../../src/circuit/circuitFiles.js';
import { ptauFromSecrets } from '../../src/circuit/ptau.js';
import { parseR1cs } from '../../src/circuit/r1cs.js';
import { parseVerificationKey } from '../../src/circuit/verificationKey.js';
import { exportVerificationKey } from '../../src/circuit/zkey.js';
import { multiplyGenerator } from '../../src/kzg/fixedBase.js';
import { srsFromSecret } from '../../src/kzg/srs.js';
import { codeOf } from '../circuit/helpers.js';
import {
  BEACON,
  knownPtau,
  knownSecrets,
  nonCanonical,
  outsideSubgroup,
  overwritten,
  sectionOf,
  u32le,
  withSection,
} from './support.js';

const PAIRS = 15;
/** RankCheck(15) takes 64 rows: this file is just large enough, so that H lacks the highest power. */
const POWER = 6;
const secrets = knownSecrets('keys');
let engine: Engine;
let ptau: Uint8Array;
/** tau^i G for i < 127. */
let powers: Uint8Array;
let bare: Uint8Array;
/** A key of other secrets. */
let foreign: Uint8Array;
let zkey: Uint8Array;
/** A file of the same secrets with powers to spare, and a key for 63 pairs from it. */
let large: Uint8Array;
let keyOf63: Uint8Array;
let hashes: Uint8Array[];

beforeAll(async () => {
  engine = await loadEngine();
  ptau = await knownPtau(engine, secrets, POWER);
  powers = sectionOf(ptau, 2);
  bare = await newKey(ptau, PAIRS);
  foreign = await newKey(await ptauFromSecrets(engine, knownSecrets('others'), POWER), PAIRS);
  large = await ptauFromSecrets(engine, secrets, 8);
  keyOf63 = await newKey(large, 63);
  hashes = [];
  zkey = bare;
  for (const name of ['Alice', 'Bob']) {
    const after: MemoryFile = { type: 'mem' };
    hashes.push(await zKey.contribute(zkey, after, name, 'entropy of a test'));
    zkey = after.data!;
  }
  const after: MemoryFile = { type: 'mem' };
  hashes.push((await zKey.beacon(zkey, after, 'beacon', BEACON, 10)) as Uint8Array);
  zkey = after.data!;
});
afterAll(() => engine.terminate());

async function newKey(file: Uint8Array, pairs: number): Promise<Uint8Array> {
  const key: MemoryFile = { type: 'mem' };
  await zKey.newZKey(await circuitR1cs(pairs), file, key);
  return key.data!;
}

const check = (bytes: Uint8Array, pairs = PAIRS) =>
  requireKey(engine, bytes, pairs, { powers, phaseOne: null });
const point = (scalar: bigint) => multiplyGenerator(engine, 'G1', vectorFromScalars(engine, [scalar]));
const pointG2 = (scalar: bigint) => multiplyGenerator(engine, 'G2', vectorFromScalars(engine, [scalar]));

describe('honest keys', () => {
  test('with contributions: names and hashes as snarkjs gave them', async () => {
    const { key, unchecked } = await check(zkey);
    expect(unchecked).toEqual([]);
    expect(key.contributions.map(({ name, beacon }) => [name, beacon && bytesToHex(beacon.value)])).toEqual([
      ['Alice', null],
      ['Bob', null],
      ['beacon', BEACON],
    ]);
    expect(key.contributions.map(contributionHash)).toEqual(hashes);
    requireParticipant(key);
    parseVerificationKey(exportVerificationKey(zkey, PAIRS), PAIRS);
  });

  test('before the first contribution they are right, and useless', async () => {
    const { key } = await check(bare);
    expect(key.contributions).toEqual([]);
    expect(await codeOf(() => requireParticipant(key))).toBe('CEREMONY_INCOMPLETE');
    expect(await codeOf(() => parseVerificationKey(exportVerificationKey(bare, PAIRS), PAIRS))).toBe(
      'PARAMETERS_MALFORMED',
    );
  });

  test('a beacon alone is no contribution: everybody knows it', async () => {
    const after: MemoryFile = { type: 'mem' };
    await zKey.beacon(bare, after, 'beacon', BEACON, 10);
    const { key } = await check(after.data!);
    expect(await codeOf(() => requireParticipant(key))).toBe('CEREMONY_INCOMPLETE');
  });

  test('of several sizes from a file with powers to spare', async () => {
    for (const pairs of [15, 31, 63]) {
      const key = pairs === 63 ? keyOf63 : await newKey(large, pairs);
      const origin = { powers: sectionOf(large, 2), phaseOne: null };
      expect((await requireKey(engine, key, pairs, origin)).unchecked).toEqual([]);
    }
  });

  test('with fewer powers, what cannot be checked is named', async () => {
    const few = (count: number) =>
      requireKey(engine, zkey, PAIRS, { powers: powers.slice(0, count * 64), phaseOne: null });
    expect((await few(126)).unchecked).toEqual(['H']);
    expect((await few(64)).unchecked).toEqual(['H']);
    expect((await few(63)).unchecked).toEqual(['A, B, C, IC', 'H']);
  });

  test('snarkjs agrees', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'zklora-keys-'));
    try {
      const path = join(dir, 'test.ptau');
      await writeFile(path, ptau);
      const file = await openPtau(path);
      await requireSnarkjsAgrees(zkey, PAIRS, file);
      const foreignPath = join(dir, 'foreign.ptau');
      await writeFile(foreignPath, await knownPtau(engine, knownSecrets('others'), POWER));
      const other = await openPtau(foreignPath);
      expect(await codeOf(() => requireSnarkjsAgrees(zkey, PAIRS, other))).toBe('PARAMETERS_MISMATCH');
      // the file does not reach so far
      expect(await codeOf(() => requireSnarkjsAgrees(zkey, 63, file))).not.toBe('no error');
      await other.close();
      await file.close();
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
});

describe('keys that are not those of circuit and powers', () => {
  const replaced = (id: number, offset: number, part: () => Uint8Array | Promise<Uint8Array>) => async () => {
    const bytes = await part();
    return withSection(zkey, id, (data) => overwritten(data, offset, bytes));
  };
  const swapped = (id: number, i: number, j: number) => () =>
    withSection(zkey, id, (data) => {
      const [a, b] = [i, j].map((n) => data.slice(n * 64, (n + 1) * 64));
      return overwritten(overwritten(data, i * 64, b!), j * 64, a!);
    });
  const ofOthers = (id: number) => () => withSection(zkey, id, () => sectionOf(foreign, id));
  // header points: alpha1 84, beta1 148, beta2 212, gamma2 340, delta1 468, delta2 532
  test.each([
    ['another alpha', replaced(2, 84, () => point(5n))],
    ['another beta in G1', replaced(2, 148, () => point(5n))],
    ['another beta in G2', replaced(2, 212, () => pointG2(5n))],
    ['another gamma', replaced(2, 340, () => pointG2(5n))],
    ['another delta in G1', replaced(2, 468, () => point(5n))],
    ['another delta in G2', replaced(2, 532, () => pointG2(5n))],
    ['IC of y and mu exchanged', swapped(3, 1, 2)],
    ['IC of two p exchanged', swapped(3, 4, 5)],
    ['the last IC point', replaced(3, 33 * 64, () => point(5n))],
    ['the last A point that is used', replaced(5, 33 * 64, () => point(5n))],
    ['an A point that is not used', replaced(5, 49 * 64, () => point(5n))],
    ['A points exchanged', swapped(5, 4, 5)],
    ['a B1 point', replaced(6, 19 * 64, () => point(5n))],
    ['a B1 point that is not used', replaced(6, 0, () => point(5n))],
    ['a B2 point', replaced(7, 19 * 128, () => pointG2(5n))],
    ['a B2 point that is not used', replaced(7, 49 * 128, () => pointG2(5n))],
    ['a B2 point missing', replaced(7, 19 * 128, () => new Uint8Array(128))],
    ['C points exchanged', swapped(8, 0, 1)],
    ['the last C point', replaced(8, 15 * 64, () => point(5n))],
    ['C without division by delta', () => withSection(zkey, 8, () => sectionOf(bare, 8))],
    ['H points exchanged', swapped(9, 10, 20)],
    ['the first H point', replaced(9, 0, () => point(5n))],
    ['the last H point', replaced(9, 63 * 64, () => point(5n))],
    ['H without division by delta', () => withSection(zkey, 9, () => sectionOf(bare, 9))],
    ['a coefficient', replaced(4, 4 + 12, () => Uint8Array.of(1))],
    ['a coefficient of another wire', replaced(4, 4 + 8, () => Uint8Array.of(9))],
    ['a coefficient of another row', replaced(4, 4 + 4, () => Uint8Array.of(9))],
    ['a coefficient of the other matrix', replaced(4, 4, () => Uint8Array.of(1))],
    ...[3, 5, 6, 7, 8, 9].map((id) => [`section ${id} of other powers`, ofOthers(id)]),
  ] as [string, () => Uint8Array | Promise<Uint8Array>][])('%s', async (_, make) => {
    const changed = await make();
    expect(await codeOf(() => check(changed))).toBe('PARAMETERS_MISMATCH');
  });

  test('a whole key of other powers, whatever their file', async () => {
    expect(await codeOf(() => check(foreign))).toBe('PARAMETERS_MISMATCH');
  });

  test('a key of the same tau with another alpha and beta', async () => {
    const mixed = { ...knownSecrets('others'), tau: secrets.tau };
    const other = await newKey(await ptauFromSecrets(engine, mixed, POWER), PAIRS);
    // right by itself: only phase 1 says which alpha and beta it must have
    await check(other);
    const { alphaG1, betaG1, betaG2 } = (await check(zkey)).key;
    const phaseOne = { alphaG1, betaG1, betaG2 };
    await requireKey(engine, zkey, PAIRS, { powers, phaseOne });
    const call = () => requireKey(engine, other, PAIRS, { powers, phaseOne });
    expect(await codeOf(call)).toBe('PARAMETERS_MISMATCH');
  });

  test('a key for another circuit', async () => {
    const srs = await srsFromSecret(engine, secrets.tau, 256);
    expect(await codeOf(() => check(keyOf63))).toBe('PARAMETERS_MALFORMED');
    expect(await codeOf(() => check(zkey, 63))).toBe('PARAMETERS_MALFORMED');
    // the system of the same size with one coefficient changed
    const key = await parseKeyFile(engine, keyOf63, 63);
    const system = parseR1cs(await circuitR1cs(63));
    await requireKeyOfCircuit(engine, key, system, srs.powers);
    const [first, ...rest] = system.rows;
    const changed = { ...system, rows: [{ ...first!, c: [[4 + 2 * 63, 1n] as const] }, ...rest] };
    const call = () => requireKeyOfCircuit(engine, key, changed, srs.powers);
    expect(await codeOf(call)).toBe('PARAMETERS_MISMATCH');
  });
});

describe('contributions that do not follow from one another', () => {
  // section 10: hash 64 | count 4 | contributions: after 64, s 64, sx 64, spx 128, transcript 64, type, length, note
  const START = 68;
  const LENGTH = 64 * 3 + 128 + 64 + 8;
  const lengths = [LENGTH + 7, LENGTH + 5, LENGTH + 8 + 2 + 2 + 32];
  const starts = [START, START + lengths[0]!, START + lengths[0]! + lengths[1]!];
  const at = (i: number, offset: number, part: () => Uint8Array | Promise<Uint8Array>) => async () => {
    const bytes = await part();
    return withSection(zkey, 10, (data) => overwritten(data, starts[i]! + offset, bytes));
  };
  const order = (indices: readonly number[]) => () =>
    withSection(zkey, 10, (data) =>
      concatBytes(
        data.slice(0, 64),
        u32le(indices.length),
        ...indices.map((i) => data.slice(starts[i]!, starts[i]! + lengths[i]!)),
      ),
    );

  test.each([
    ...[0, 1, 2].flatMap((i) => [
      [`contribution ${i}, another delta`, at(i, 0, () => point(5n))],
      [`contribution ${i}, another s`, at(i, 64, () => point(5n))],
      [`contribution ${i}, another x s`, at(i, 128, () => point(5n))],
      [`contribution ${i}, another x s'`, at(i, 192, () => pointG2(5n))],
      [`contribution ${i}, another transcript`, at(i, 320, () => Uint8Array.of(1, 2, 3))],
    ]),
    [
      'another circuit hash',
      () => withSection(zkey, 10, (data) => overwritten(data, 0, Uint8Array.of(1, 2))),
    ],
    ['the first left out', order([1, 2])],
    ['the second left out', order([0, 2])],
    ['the last left out', order([0, 1])],
    ['all left out', order([])],
    ['two exchanged', order([1, 0, 2])],
    ['one twice', order([0, 1, 1, 2])],
    ['another beacon', at(2, lengths[2]! - 1, () => Uint8Array.of(0))],
    ['another number of iterations', at(2, LENGTH + 8 + 1, () => Uint8Array.of(11))],
    ['the key without the contributions it lists', () => withSection(bare, 10, () => sectionOf(zkey, 10))],
  ] as [string, () => Uint8Array | Promise<Uint8Array>][])('%s', async (_, make) => {
    const changed = await make();
    const key = await parseKeyFile(engine, changed, PAIRS);
    expect(await codeOf(() => requireDeltaChain(engine, key))).toBe('PARAMETERS_MISMATCH');
    expect(await codeOf(() => check(changed))).toBe('PARAMETERS_MISMATCH');
  });

  test.each([
    [
      '2^32 - 1 contributions',
      () => withSection(zkey, 10, (data) => overwritten(data, 64, new Uint8Array(4).fill(0xff))),
    ],
    ['1025 contributions', () => withSection(zkey, 10, (data) => overwritten(data, 64, u32le(1025)))],
    ['one more than there are', () => withSection(zkey, 10, (data) => overwritten(data, 64, u32le(4)))],
    ['one fewer than there are', () => withSection(zkey, 10, (data) => overwritten(data, 64, u32le(2)))],
    ['no section content', () => withSection(zkey, 10, () => new Uint8Array())],
    ['a byte more', () => withSection(zkey, 10, (data) => concatBytes(data, new Uint8Array(1)))],
    ['type 2', at(0, 384, () => u32le(2))],
    ['a participant turned beacon', at(0, 384, () => u32le(1))],
    ['a beacon turned participant', at(2, 384, () => u32le(0))],
    ['a beacon of 2^63 iterations', at(2, LENGTH + 8 + 1, () => Uint8Array.of(63))],
    ['a note of 2^32 - 1 bytes', at(0, 388, () => new Uint8Array(4).fill(0xff))],
    ['delta off the curve', at(0, 0, () => new Uint8Array(64).fill(1))],
    ['delta the identity', at(0, 0, () => new Uint8Array(64))],
    ['s not canonical', at(0, 64, () => nonCanonical(sectionOf(zkey, 10).slice(START + 64, START + 128)))],
    ["x s' outside the subgroup", at(0, 192, () => outsideSubgroup(engine))],
    [
      'delta in G2 outside the subgroup',
      () => withSection(zkey, 2, (data) => overwritten(data, 532, outsideSubgroup(engine))),
    ],
    [
      'IC off the curve',
      () => withSection(zkey, 3, (data) => overwritten(data, 64, new Uint8Array(64).fill(1))),
    ],
    ['IC the identity', () => withSection(zkey, 3, (data) => overwritten(data, 64, new Uint8Array(64)))],
    [
      'B2 outside the subgroup',
      () => withSection(zkey, 7, (data) => overwritten(data, 0, outsideSubgroup(engine))),
    ],
    [
      'H off the curve',
      () => withSection(zkey, 9, (data) => overwritten(data, 64, new Uint8Array(64).fill(1))),
    ],
  ] as [string, () => Uint8Array | Promise<Uint8Array>][])('malformed: %s', async (_, make) => {
    const changed = await make();
    expect(await codeOf(() => check(changed))).toBe('PARAMETERS_MALFORMED');
  });
});

test('any changed byte of a key is refused with a named code, but for names and the circuit hash', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(zkey.length - 1), fc.integer({ min: 1, max: 255 }), async (position, mask) => {
      const changed = overwritten(zkey, position, Uint8Array.of(zkey[position]! ^ mask));
      const code = await codeOf(() => check(changed));
      if (code !== 'no error') expect(['PARAMETERS_MALFORMED', 'PARAMETERS_MISMATCH']).toContain(code);
      else
        expect((await check(changed)).key.contributions.map(({ name }) => name)).not.toEqual([
          'Alice',
          'Bob',
          'beacon',
        ]);
    }),
    { numRuns: 25 },
  );
});

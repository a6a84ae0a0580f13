import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { concatBytes, utf8ToBytes } from '../../src/bytes.js';
import { parseBinFile, serializeBinFile } from '../../src/circuit/binfile.js';
import {
  circuitFiles,
  type ParameterSet,
  parseParameterSet,
  requireDigest,
} from '../../src/circuit/parameters.js';
import { IC_INDEX, parseVerificationKey } from '../../src/circuit/verificationKey.js';
import {
  exportVerificationKey,
  POINTS_OFFSET,
  readProvingKey,
  ZKEY_SECTION,
} from '../../src/circuit/zkey.js';
import { ZkLoraError } from '../../src/errors.js';
import { DEVELOPMENT_DIR } from './helpers.js';

// What a refusal says is part of the interface: it names what is wrong and what to do.

function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof ZkLoraError) return error.message;
    throw error;
  }
  throw new Error('nothing was refused');
}

let zkey: Uint8Array;
let vkey: Uint8Array;
let set: ParameterSet;
beforeAll(async () => {
  const read = async (name: string) => new Uint8Array(await readFile(join(DEVELOPMENT_DIR, name)));
  zkey = await read('rank_check_15.zkey');
  vkey = await read('rank_check_15.vkey');
  set = parseParameterSet(new TextDecoder().decode(await read('params.json')));
});

function withU32(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice();
  new DataView(copy.buffer).setUint32(at, value, true);
  return copy;
}

describe('a container', () => {
  const sample = serializeBinFile('ptau', 1, [
    { id: 2, data: Uint8Array.of(1, 2, 3) },
    { id: 1, data: new Uint8Array() },
  ]);
  const say = (bytes: Uint8Array) => messageOf(() => parseBinFile(bytes, 'ptau', 1, 'PARAMETERS_MALFORMED'));
  const full = (reason: string) => `.ptau file refused: ${reason}; fetch it again or make a new one`;

  test('says what is wrong', () => {
    expect(say(sample.slice(0, 11))).toBe(full('it is shorter than its header'));
    expect(say(concatBytes(utf8ToBytes('zkey'), sample.slice(4)))).toBe(full('it is a file of another kind'));
    expect(say(withU32(sample, 4, 0))).toBe(full('version 0 is not supported'));
    expect(say(withU32(sample, 4, 2))).toBe(full('version 2 is not supported'));
    expect(say(withU32(sample, 8, 17))).toBe(full('it declares 17 sections, at most 16 are allowed'));
    expect(say(withU32(sample, 8, 3))).toBe(full('it ends inside a section header'));
    expect(say(withU32(sample, 16, 100))).toBe(full('section 2 is longer than the file'));
    expect(say(withU32(sample, 20, 1))).toBe(full('section 2 is longer than the file'));
    expect(say(withU32(sample, 27, 2))).toBe(full('section 2 occurs twice'));
    expect(say(concatBytes(sample, Uint8Array.of(0)))).toBe(full('bytes follow the last section'));
  });

  test('of sixteen sections is read, and of none', () => {
    const sections = Array.from({ length: 16 }, (_, id) => ({ id, data: new Uint8Array(id) }));
    expect(parseBinFile(serializeBinFile('ptau', 2, sections), 'ptau', 2, 'INTERNAL').size).toBe(16);
    expect(parseBinFile(serializeBinFile('ptau', 1, []), 'ptau', 1, 'INTERNAL').size).toBe(0);
  });

  test('a header without its sections ends too early', () => {
    expect(say(withU32(sample.slice(0, 12), 8, 1))).toBe(full('it ends inside a section header'));
    expect(say(withU32(sample.slice(0, 23), 8, 1))).toBe(full('it ends inside a section header'));
  });
});

describe('a verification key', () => {
  const say = (bytes: Uint8Array, pairs = 15) => messageOf(() => parseVerificationKey(bytes, pairs));
  const full = (reason: string, pairs = 15) =>
    `verification key for ${pairs} pairs refused: ${reason}; fetch the parameter set again or make a new one`;
  const at = { alpha: 0, beta: 64, gamma: 192, delta: 320, ic: 448 };
  const put = (offset: number, part: Uint8Array) => {
    const copy = vkey.slice();
    copy.set(part, offset);
    return copy;
  };

  test('says what is wrong', () => {
    for (const pairs of [0, -1, 1.5, 4096]) {
      expect(say(vkey, pairs)).toBe(full('K must lie between 1 and 4095', pairs));
    }
    expect(say(vkey, 1)).toBe(full('expected 832 bytes, got 2624', 1));
    expect(say(vkey, 4095)).toBe(full('expected 524864 bytes, got 2624', 4095));
    expect(say(vkey.slice(1))).toBe(full('expected 2624 bytes, got 2623'));
    for (const name of ['alpha', 'beta', 'gamma', 'delta'] as const) {
      expect(say(put(at[name], new Uint8Array(64)))).toBe(full(`${name} is no valid point`));
    }
    expect(say(put(at.ic + 64 * 33, new Uint8Array(64)))).toBe(full('IC[33] is no valid point'));
    const beta = vkey.slice(at.beta, at.beta + 128);
    expect(say(put(at.gamma, beta))).toBe(full('gamma is not the generator'));
    const gamma = vkey.slice(at.gamma, at.gamma + 128);
    expect(say(put(at.delta, gamma))).toBe(
      full('delta equals gamma up to sign: the key has no phase-2 contribution and proves nothing'),
    );
    const first = vkey.slice(at.ic, at.ic + 64);
    expect(say(put(at.ic + 64 * 20, first))).toBe(full('two IC points are equal up to sign'));
  });

  test('keeps the reason of a point', () => {
    try {
      parseVerificationKey(put(0, new Uint8Array(64)), 15);
    } catch (error) {
      expect((error as ZkLoraError).cause).toMatchObject({ code: 'POINT_INVALID' });
    }
  });

  test('has its points at fixed places', () => {
    expect(IC_INDEX).toEqual({ constant: 0, y: 1, mu: 2, b: 3, p: 4 });
    const key = parseVerificationKey(vkey, 15);
    expect([key.pairs, key.ic.length]).toEqual([15, 34 * 64]);
  });
});

describe('a proving key', () => {
  const say = (bytes: Uint8Array, pairs = 15) => messageOf(() => readProvingKey(bytes, pairs));
  const full = (reason: string, pairs = 15) =>
    `proving key for ${pairs} pairs refused: ${reason}; fetch the parameter set again or make a new one`;
  const withSection = (id: number, change: (data: Uint8Array) => Uint8Array | null) =>
    serializeBinFile(
      'zkey',
      1,
      [...parseBinFile(zkey, 'zkey', 1, 'INTERNAL')].flatMap(([own, data]) => {
        const next = own === id ? change(data.slice()) : data;
        return next === null ? [] : [{ id: own, data: next }];
      }),
    );

  test('has its sections and points at fixed places', () => {
    expect(ZKEY_SECTION).toEqual({
      protocol: 1,
      header: 2,
      ic: 3,
      coefficients: 4,
      a: 5,
      b1: 6,
      b2: 7,
      c: 8,
      h: 9,
      contributions: 10,
    });
    expect(POINTS_OFFSET).toBe(84);
    expect(exportVerificationKey(zkey, 15)).toEqual(vkey);
  });

  test('says what is wrong', () => {
    for (let id = 1; id <= 10; id++) {
      expect(say(withSection(id, () => null))).toBe(full(`section ${id} is missing`));
    }
    const needs = { 1: 4, 2: 660, 3: 2176, 5: 3200, 6: 3200, 7: 6400, 8: 1024, 9: 4096 };
    for (const [id, length] of Object.entries(needs)) {
      const longer = withSection(Number(id), (data) => concatBytes(data, Uint8Array.of(0)));
      expect(say(longer)).toBe(full(`section ${id} has ${length + 1} bytes, RankCheck(15) needs ${length}`));
    }
    expect(say(withSection(1, (data) => withU32(data, 0, 2)))).toBe(full('it is no Groth16 key'));
    for (const [at, needed] of [
      [72, 50],
      [76, 33],
      [80, 64],
    ] as const) {
      expect(say(withSection(2, (data) => withU32(data, at, 7)))).toBe(
        full(`it declares 7, RankCheck(15) needs ${needed}`),
      );
    }
    const lengthReason = full('the coefficient section has the wrong length');
    expect(say(withSection(4, () => new Uint8Array(3)))).toBe(lengthReason);
    expect(say(withSection(4, (data) => concatBytes(data, Uint8Array.of(0))))).toBe(lengthReason);
    const rangeReason = full('a coefficient lies outside its matrix');
    for (const [at, value] of [
      [4, 2],
      [8, 64],
      [12, 50],
    ] as const) {
      expect(say(withSection(4, (data) => withU32(data, at, value)))).toBe(rangeReason);
      expect(say(withSection(4, (data) => withU32(data, data.length - 44 + at - 4, value)))).toBe(
        rangeReason,
      );
      expect(() =>
        readProvingKey(
          withSection(4, (data) => withU32(data, at, value - 1)),
          15,
        ),
      ).not.toThrow();
    }
    expect(say(zkey, 63)).toMatch(
      /^proving key for 63 pairs refused: section 3 has 2176 bytes, RankCheck\(63\) needs/,
    );
  });

  test('without coefficients is still a container of the right lengths', () => {
    expect(() =>
      readProvingKey(
        withSection(4, () => new Uint8Array(4)),
        15,
      ),
    ).not.toThrow();
  });
});

describe('a description', () => {
  const say = (change: object) => messageOf(() => parseParameterSet(JSON.stringify({ ...set, ...change })));
  const full = (reason: string) =>
    `params.json refused: ${reason}; fetch the parameter set again or make a new one`;

  test('says what is wrong', () => {
    expect(messageOf(() => parseParameterSet('{'))).toMatch(
      /^params\.json refused: the file is not valid JSON; /,
    );
    expect(messageOf(() => parseParameterSet('{"a":1,"a":1}'))).toMatch(
      /refused: the file repeats an object key; /,
    );
    expect(messageOf(() => parseParameterSet(' '.repeat(2 ** 20 + 1)))).toBe(
      full('longer than 1048576 characters'),
    );
    expect(messageOf(() => parseParameterSet(' '.repeat(2 ** 20)))).toMatch(/not valid JSON/);
    expect(messageOf(() => parseParameterSet('[]'))).toMatch(/refused: top level: \S/);
    expect(say({ domains: [...set.domains].reverse() })).toBe(full('domains are not ascending'));
    expect(say({ domains: [set.domains[0], set.domains[0]] })).toBe(full('domains are not ascending'));
    expect(say({ domains: [{ ...set.domains[0], size: 768 }] })).toBe(full('a domain is no power of two'));
    expect(say({ powers: { ...set.powers, count: 1026 } })).toBe(
      full('too few powers for the largest domain'),
    );
    expect(say({ tauG2: '00'.repeat(128) })).toBe(full('tauG2 is no valid point of G2'));
    expect(say({ circuits: [...set.circuits].reverse() })).toBe(full('circuits are not ascending'));
    const [first, ...rest] = set.circuits;
    expect(say({ circuits: [{ ...first, constraints: 18 }, ...rest] })).toBe(
      full('a circuit has another number of constraints than RankCheck'),
    );
    const [one, ...others] = set.contributions;
    expect(say({ contributions: [{ ...one, pairs: 31 }, ...others] })).toBe(
      full('a contribution belongs to no circuit of the set'),
    );
    expect(say({ contributions: [...set.contributions, { ...one, phase: 'powers-of-tau' }] })).toBe(
      full('a contribution belongs to no circuit of the set'),
    );
    expect(say({ contributions: others })).toBe(full('a circuit has no phase-2 contribution'));
    expect(say({ salt: 1 })).toMatch(/refused: top level: Unrecognized key/);
    expect(say({ source: 'a\nb' })).toBe(full('source: expected printable ASCII in one line'));
    expect(say({ source: 'x'.repeat(1025) })).toMatch(/refused: source: \S/);
    expect(say({ powers: { ...set.powers, sha256: 'AA'.repeat(32) } })).toBe(
      full('powers.sha256: expected 64 hex digits in lower case'),
    );
    expect(say({ tauG2: 'zz' })).toBe(full('tauG2: expected 256 hex digits in lower case'));
    expect(say({ contributions: [{ ...one, hash: 'a' }, ...others] })).toBe(
      full('contributions.0.hash: expected 128 hex digits in lower case'),
    );
  });

  test('hex and printable text have nothing around them', () => {
    const [one, ...others] = set.contributions;
    for (const around of [(text: string) => `x${text}`, (text: string) => `${text}x`]) {
      expect(say({ powers: { ...set.powers, sha256: around('a'.repeat(64)) } })).toMatch(/powers\.sha256/);
      expect(say({ tauG2: around(set.tauG2) })).toMatch(/tauG2/);
      expect(say({ contributions: [{ ...one, hash: around('a'.repeat(128)) }, ...others] })).toMatch(/hash/);
    }
    for (const source of ['\na', 'a\n', '\u00e9a', 'a\u00e9', '\u007f']) {
      expect(say({ source })).toBe(full('source: expected printable ASCII in one line'));
    }
  });

  test('a file with another digest, a size that is not there', () => {
    expect(messageOf(() => requireDigest('a file', Uint8Array.of(1), '00'.repeat(32)))).toBe(
      'a file does not belong to this parameter set (its SHA-256 differs from params.json); fetch the set again',
    );
    expect(messageOf(() => circuitFiles(set, 31))).toBe(
      'the parameter set has no circuit for 31 pairs (it has 15, 63, 255); use a larger set',
    );
    expect(circuitFiles(set, 63).constraints).toBe(65);
  });
});

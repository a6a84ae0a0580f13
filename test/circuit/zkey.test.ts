import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { parseBinFile, serializeBinFile } from '../../src/circuit/binfile.js';
import { parseVerificationKey, type VerificationKey } from '../../src/circuit/verificationKey.js';
import { exportVerificationKey, matchesVerificationKey, readProvingKey } from '../../src/circuit/zkey.js';
import { codeOf, DEVELOPMENT_DIR } from './helpers.js';

const PAIRS = 15;
let zkey: Uint8Array;
let vkeyBytes: Uint8Array;
let vkey: VerificationKey;

beforeAll(async () => {
  zkey = await fixture('rank_check_15.zkey');
  vkeyBytes = await fixture('rank_check_15.vkey');
  vkey = parseVerificationKey(vkeyBytes, PAIRS);
});

async function fixture(name: string): Promise<Uint8Array> {
  return new Uint8Array(await readFile(join(DEVELOPMENT_DIR, name)));
}

/** The key with one section rewritten; null drops it. */
function withSection(id: number, change: (data: Uint8Array) => Uint8Array | null): Uint8Array {
  const sections = [...parseBinFile(zkey, 'zkey', 1, 'INTERNAL')].flatMap(([sectionId, data]) => {
    const next = sectionId === id ? change(data.slice()) : data;
    return next === null ? [] : [{ id: sectionId, data: next }];
  });
  return serializeBinFile('zkey', 1, sections);
}

function withU32(id: number, at: number, value: number): Uint8Array {
  return withSection(id, (data) => {
    new DataView(data.buffer).setUint32(at, value, true);
    return data;
  });
}

describe('readProvingKey', () => {
  test.each([15, 63, 255])(
    'the committed key for K = %i holds the committed verification key',
    async (pairs) => {
      const key = await fixture(`rank_check_${pairs}.zkey`);
      const expected = await fixture(`rank_check_${pairs}.vkey`);
      expect(exportVerificationKey(key, pairs)).toEqual(expected);
      expect(matchesVerificationKey(key, parseVerificationKey(expected, pairs))).toBe(true);
    },
  );

  test.each([
    ['nVars one more', () => withU32(2, 72, 51)],
    ['nVars 2^32 - 1', () => withU32(2, 72, 0xffffffff)],
    ['nPublic one less: a public signal dropped', () => withU32(2, 76, 32)],
    ['nPublic 0', () => withU32(2, 76, 0)],
    ['domain twice as large', () => withU32(2, 80, 128)],
    ['domain 2^31', () => withU32(2, 80, 2 ** 31)],
    ['PLONK', () => withU32(1, 0, 2)],
    ['2^32 - 1 coefficients', () => withU32(4, 0, 0xffffffff)],
    ['a coefficient of a third matrix', () => withU32(4, 4, 2)],
    ['a coefficient below the domain', () => withU32(4, 8, 64)],
    ['a coefficient of no wire', () => withU32(4, 12, 50)],
    ['no coefficient section', () => withSection(4, () => new Uint8Array())],
    ['IC one point short', () => withSection(3, (data) => data.slice(64))],
    ['H one point long', () => withSection(9, (data) => new Uint8Array(data.length + 64))],
    ['A empty', () => withSection(5, () => new Uint8Array())],
    ['header one byte long', () => withSection(2, (data) => new Uint8Array([...data, 0]))],
    ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((id) => [
      `section ${id} missing`,
      () => withSection(id, () => null),
    ]),
    ['truncated', () => zkey.slice(0, -1)],
    ['half', () => zkey.slice(0, zkey.length / 2)],
    ['empty', () => new Uint8Array()],
    ['trailing bytes', () => new Uint8Array([...zkey, 0])],
  ] as [string, () => Uint8Array][])('refuses: %s', async (_, make) => {
    expect(await codeOf(() => readProvingKey(make(), PAIRS))).toBe('PARAMETERS_MALFORMED');
  });

  test.each([14, 31, 63])('is no key for K = %i', async (pairs) => {
    expect(await codeOf(() => readProvingKey(zkey, pairs))).toBe('PARAMETERS_MALFORMED');
  });

  test('a point changed anywhere in header or IC no longer matches the verification key', () => {
    fc.assert(
      fc.property(fc.nat(448 + 34 * 64 - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        // header: counts end at 84, then alpha1, beta1, beta2, gamma2, delta1, delta2; beta1 and delta1 are the prover's
        const changed = withSection(at < 448 ? 2 : 3, (data) => {
          const position = at < 64 ? 84 + at : at < 448 ? 84 + headerPoint(at - 64) : at - 448;
          data[position]! ^= mask;
          return data;
        });
        expect(matchesVerificationKey(changed, vkey)).toBe(false);
      }),
      { seed: 3, numRuns: 100 },
    );
  });

  test('any changed byte gives a result or a refusal, never another error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(zkey.length - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
        const wrong = zkey.slice();
        wrong[at]! ^= mask;
        const code = await codeOf(() => readProvingKey(wrong, PAIRS));
        expect(['PARAMETERS_MALFORMED', 'no error']).toContain(code);
      }),
      { seed: 4, numRuns: 500 },
    );
  });
});

/** Offset, behind alpha1 and beta1, of byte i of beta2 | gamma2 | delta2. */
function headerPoint(i: number): number {
  return i < 256 ? 128 + i : 128 + i + 64;
}

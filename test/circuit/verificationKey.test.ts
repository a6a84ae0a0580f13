import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bn254 } from '@noble/curves/bn254.js';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeG1, decodeG2, encodeG2, loadEngine, Q } from '../../src/algebra/index.js';
import { concatBytes, equalBytes, hexToBytes } from '../../src/bytes.js';
import {
  encodeVerificationKey,
  IC_INDEX,
  icCount,
  parseVerificationKey,
  verificationKeyBytes,
} from '../../src/circuit/verificationKey.js';
import { codeOf, DEVELOPMENT_DIR } from './helpers.js';

const PAIRS = 15;
const OFFSET = { alpha: 0, beta: 64, gamma: 192, delta: 320, ic: 448 };
let bytes: Uint8Array;

beforeAll(async () => {
  bytes = new Uint8Array(await readFile(join(DEVELOPMENT_DIR, 'rank_check_15.vkey')));
});

function part(at: number, length: number): Uint8Array {
  return bytes.slice(at, at + length);
}

function replaced(at: number, data: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy.set(data, at);
  return copy;
}

function be(value: bigint): Uint8Array {
  return hexToBytes(value.toString(16).padStart(64, '0'));
}

function number(data: Uint8Array): bigint {
  return data.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

/** Replaces y by -y in the coordinates from `at` on, 32 bytes each. */
function negatedAt(at: number, coordinates: number): Uint8Array {
  let copy = bytes.slice();
  for (let i = 0; i < coordinates; i++) {
    const y = number(copy.slice(at + 32 * i, at + 32 * (i + 1)));
    copy = copy.slice();
    copy.set(be((Q - y) % Q), at + 32 * i);
  }
  return copy;
}

/** A point on the twist outside the subgroup of order R. */
function outsideSubgroup(): Uint8Array {
  const { Fp2 } = bn254.fields;
  const twistB = Fp2.div(Fp2.create({ c0: 3n, c1: 0n }), Fp2.create({ c0: 9n, c1: 1n }));
  for (let c0 = 1n; ; c0++) {
    const x = Fp2.create({ c0, c1: 0n });
    const rhs = Fp2.add(Fp2.mul(Fp2.sqr(x), x), twistB);
    try {
      const y = Fp2.sqrt(rhs);
      return concatBytes(be(x.c1), be(x.c0), be(y.c1), be(y.c0));
    } catch {
      // no square: next x
    }
  }
}

describe('parseVerificationKey', () => {
  test.each([15, 63, 255])('reads the committed key for K = %i and writes it back', async (pairs) => {
    const file = new Uint8Array(await readFile(join(DEVELOPMENT_DIR, `rank_check_${pairs}.vkey`)));
    expect(file).toHaveLength(verificationKeyBytes(pairs));
    const key = parseVerificationKey(file, pairs);
    expect(key.pairs).toBe(pairs);
    expect(key.ic).toHaveLength((2 * pairs + 4) * 64);
    expect(encodeVerificationKey(key)).toEqual(file);
  });

  test('an engine changes nothing: the same key, and the same point named', async () => {
    const engine = await loadEngine();
    try {
      expect(parseVerificationKey(bytes, PAIRS, engine)).toEqual(parseVerificationKey(bytes, PAIRS));
      const wrong = replaced(OFFSET.ic + 64, be(1n));
      for (const helper of [undefined, engine]) {
        expect(() => parseVerificationKey(wrong, PAIRS, helper)).toThrow(/IC\[1\] is no valid point/);
      }
      const broken = new Proxy(engine, {
        get() {
          throw new Error('an engine that was ended');
        },
      });
      expect(() => parseVerificationKey(bytes, PAIRS, broken)).toThrow('an engine that was ended');
    } finally {
      await engine.terminate();
    }
  });

  test('points stand where the format says', () => {
    const key = parseVerificationKey(bytes, PAIRS);
    expect(key.alpha).toEqual(decodeG1(part(OFFSET.alpha, 64)));
    expect(key.beta).toEqual(decodeG2(part(OFFSET.beta, 128)));
    expect(key.gamma).toEqual(decodeG2(part(OFFSET.gamma, 128)));
    expect(key.delta).toEqual(decodeG2(part(OFFSET.delta, 128)));
    const last = icCount(PAIRS) - 1;
    expect(last).toBe(IC_INDEX.p + 2 * PAIRS - 1);
    for (const i of [IC_INDEX.constant, IC_INDEX.y, IC_INDEX.mu, IC_INDEX.b, last]) {
      expect(key.ic.slice(i * 64, (i + 1) * 64)).toEqual(decodeG1(part(OFFSET.ic + i * 64, 64)));
    }
    const { x, y } = bn254.G2.Point.BASE.toAffine();
    expect(encodeG2(key.gamma)).toEqual(concatBytes(be(x.c1), be(x.c0), be(y.c1), be(y.c0)));
  });

  test.each([
    ['empty', () => new Uint8Array()],
    ['one byte short', () => bytes.slice(0, -1)],
    ['one byte long', () => concatBytes(bytes, new Uint8Array(1))],
    ['the key of another size', () => concatBytes(bytes, bytes)],
    ['delta = gamma (no contribution)', () => replaced(OFFSET.delta, part(OFFSET.gamma, 128))],
    [
      'delta = -gamma',
      () => {
        const negative = replaced(OFFSET.delta, part(OFFSET.gamma, 128));
        const y = (i: number) =>
          be(Q - number(negative.slice(OFFSET.delta + 64 + 32 * i, OFFSET.delta + 96 + 32 * i)));
        negative.set(concatBytes(y(0), y(1)), OFFSET.delta + 64);
        return negative;
      },
    ],
    ['delta the identity', () => replaced(OFFSET.delta, new Uint8Array(128))],
    ['gamma other than the generator', () => replaced(OFFSET.gamma, part(OFFSET.beta, 128))],
    ['gamma = -generator', () => negatedAt(OFFSET.gamma + 64, 2)],
    ['gamma = delta, both other than the generator', () => replaced(OFFSET.gamma, part(OFFSET.delta, 128))],
    ['alpha the identity', () => replaced(OFFSET.alpha, new Uint8Array(64))],
    ['beta outside the subgroup', () => replaced(OFFSET.beta, outsideSubgroup())],
    ['delta outside the subgroup', () => replaced(OFFSET.delta, outsideSubgroup())],
    ['an IC point the identity', () => replaced(OFFSET.ic + 64 * IC_INDEX.mu, new Uint8Array(64))],
    [
      'two IC points equal',
      () => replaced(OFFSET.ic + 64 * IC_INDEX.b, part(OFFSET.ic + 64 * IC_INDEX.mu, 64)),
    ],
    [
      'two IC points opposite',
      () => {
        const copy = negatedAt(OFFSET.ic + 64 * IC_INDEX.p + 32, 1);
        copy.set(part(OFFSET.ic + 64 * IC_INDEX.p, 64), OFFSET.ic + 64 * (icCount(PAIRS) - 1));
        return copy;
      },
    ],
    ['IC of y equal to the constant', () => replaced(OFFSET.ic + 64, part(OFFSET.ic, 64))],
    ['x of alpha not below Q', () => replaced(OFFSET.alpha, be(number(part(OFFSET.alpha, 32)) + Q))],
    [
      'y of an IC point not below Q',
      () => replaced(OFFSET.ic + 32, be(number(part(OFFSET.ic + 32, 32)) + Q)),
    ],
    ['c1 of delta not below Q', () => replaced(OFFSET.delta, be(number(part(OFFSET.delta, 32)) + Q))],
    ['coordinates of alpha swapped', () => replaced(OFFSET.alpha, concatBytes(part(32, 32), part(0, 32)))],
  ] as [string, () => Uint8Array][])('refuses: %s', async (_, make) => {
    const wrong = make();
    expect(equalBytes(wrong, bytes)).toBe(false);
    expect(await codeOf(() => parseVerificationKey(wrong, PAIRS))).toBe('PARAMETERS_MALFORMED');
  });

  test('another order of the IC points parses, and is another key', () => {
    const swapped = replaced(
      OFFSET.ic + 64,
      concatBytes(part(OFFSET.ic + 128, 64), part(OFFSET.ic + 64, 64)),
    );
    expect(parseVerificationKey(swapped, PAIRS).ic).not.toEqual(parseVerificationKey(bytes, PAIRS).ic);
  });

  test.each([0, -1, 4096, 2 ** 31, 1.5, Number.NaN, Number.POSITIVE_INFINITY])(
    'refuses K = %d',
    async (pairs) => {
      expect(await codeOf(() => parseVerificationKey(bytes, pairs))).toBe('PARAMETERS_MALFORMED');
    },
  );

  test('any changed byte is refused or gives another key', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
        const wrong = replaced(at, Uint8Array.of(bytes[at]! ^ mask));
        expect(await codeOf(() => parseVerificationKey(wrong, PAIRS))).toBe('PARAMETERS_MALFORMED');
      }),
      { seed: 7, numRuns: 60 },
    );
  });

  test('arbitrary bytes of the right length are refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: bytes.length, maxLength: bytes.length }), async (wrong) => {
        expect(await codeOf(() => parseVerificationKey(wrong, PAIRS))).toBe('PARAMETERS_MALFORMED');
      }),
      { seed: 8, numRuns: 50 },
    );
  });
});

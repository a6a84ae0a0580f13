import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { expandBits } from '../../../src/protocol/registration/bits.js';
import {
  COMBINATIONS,
  SKETCH_BOUND,
  SKETCHES,
  SKETCHES_EACH,
} from '../../../src/protocol/registration/sizes.js';
import { statementOf } from './statements.js';

const seed = Uint8Array.from({ length: 32 }, (_, i) => i);

/** The definition of docs/protocol.md once more, on Node's SHA-256: bit n of stream (kind, index). */
function reference(kind: number, index: number, n: number): number {
  const u32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };
  const block = createHash('sha256')
    .update(Buffer.from('zklora/registration-bits/v1\0'))
    .update(Buffer.concat([seed, Buffer.of(kind), u32(index), u32(Math.floor(n / 256))]))
    .digest();
  return (block[Math.floor((n % 256) / 8)]! >> (n % 8)) & 1;
}

describe('random bits', () => {
  const statement = statementOf([
    { rank: 3, offset: 0, length: 300 },
    { rank: 270, offset: 7, length: 12 },
  ]);
  const bits = expandBits(seed, statement);

  it('follow their definition', () => {
    const rows = statement.rowCount;
    for (const k of [0, 1, 77, COMBINATIONS - 1]) {
      for (const row of [0, 1, 7, 8, 255, 256, rows - 1]) {
        expect(bits.rows[k * rows + row]).toBe(reference(0, k, row));
      }
      const places = bits.places(k);
      for (const place of [0, 9, 255, 256, 511]) {
        const expected = [0, 1, 2].map((q) => reference(1, 3 * k + q, place) << q);
        expect(places[place]).toBe(expected.reduce((sum, bit) => sum + bit));
      }
    }
  });

  it('are balanced', () => {
    const ones = bits.rows.reduce((sum, bit) => sum + bit, 0);
    expect(ones / bits.rows.length).toBeCloseTo(0.5, 1);
    const patterns = new Float64Array(8);
    for (let k = 0; k < COMBINATIONS; k++) for (const pattern of bits.places(k)) patterns[pattern]!++;
    for (const count of patterns) expect((count * 8) / (COMBINATIONS * 512)).toBeCloseTo(1, 1);
  });

  it('change with the seed', () => {
    const other = expandBits(
      seed.map((byte) => byte ^ 1),
      statement,
    );
    expect(other.rows).not.toEqual(bits.rows);
    expect(other.places(5)).not.toEqual(bits.places(5));
  });
});

describe('sizes', () => {
  it('give 128 bits, fit the smallest domain and the field', () => {
    expect(-COMBINATIONS * Math.log2(1 / 2 + 2 ** -(SKETCHES_EACH + 1))).toBeGreaterThan(128);
    expect(SKETCHES).toBe(465);
    expect(SKETCHES).toBeLessThanOrEqual(512);
    expect(SKETCH_BOUND).toBe(2n ** 101n);
  });
});

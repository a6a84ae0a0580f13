import { hexToBytes as portable } from '@noble/hashes/utils.js';
import { describe, expect, it } from 'vitest';
import { bytesToHex, hexToBytes, u16, u32 } from '../src/bytes.js';
import { refusal } from './adapter/refusal.js';

describe('unsigned integers', () => {
  it.each([
    [0, '00000000'],
    [1, '00000001'],
    [0x01020304, '01020304'],
    [2 ** 31, '80000000'],
    [2 ** 32 - 1, 'ffffffff'],
  ])('u32 of %i', (value, hex) => {
    expect(bytesToHex(u32(value))).toBe(hex);
  });

  it.each([
    [0, '0000'],
    [0x0102, '0102'],
    [65_535, 'ffff'],
  ])('u16 of %i', (value, hex) => {
    expect(bytesToHex(u16(value))).toBe(hex);
  });

  it('what does not fit is not cut short', () => {
    for (const value of [-1, 0.5, 2 ** 32, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(refusal(() => u32(value)).code).toBe('INTERNAL');
    }
    for (const value of [-1, 0.5, 2 ** 16, Number.NaN]) {
      expect(refusal(() => u16(value)).code).toBe('INTERNAL');
    }
  });
});

describe('hex digits', () => {
  it.each(['', '00', 'ff00Aa', '0123456789abcdef'.repeat(300)])(
    'are read as the portable decoder does',
    (hex) => {
      const bytes = hexToBytes(hex);
      expect(bytes).toEqual(portable(hex));
      // memory of its own, not a part of a pool
      expect(bytes.buffer.byteLength).toBe(bytes.length);
    },
  );

  it.each(['0', 'abc', '0g', 'zz', '00 0', '12\u0130f', '\u0661\u0661'])(
    'what is none is refused: %j',
    (text) => {
      expect(() => portable(text)).toThrow();
      expect(() => hexToBytes(text)).toThrow();
    },
  );
});

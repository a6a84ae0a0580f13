import { describe, expect, it } from 'vitest';
import { bytesToHex, u16, u32 } from '../src/bytes.js';
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

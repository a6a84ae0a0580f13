import { describe, expect, it } from 'vitest';
import { DTYPE_BYTES, type Dtype, tensorToFloat32 } from '../../src/adapter/dtype.js';
import { refusal } from './refusal.js';

/** A one-dimensional tensor of the given 16-bit patterns, at an odd address. */
function words(dtype: Dtype, values: readonly number[]) {
  const file = new Uint8Array(2 * values.length + 1);
  const view = new DataView(file.buffer, 1);
  for (const [i, value] of values.entries()) view.setUint16(2 * i, value, true);
  return { dtype, shape: [values.length], data: file.subarray(1) };
}

describe('tensorToFloat32', () => {
  it('reads F32 from unaligned little-endian bytes, into a copy', () => {
    const data = Uint8Array.of(9, 0x00, 0x00, 0x80, 0x3f, 0x01, 0x00, 0x00, 0x00).subarray(1);
    const floats = tensorToFloat32({ dtype: 'F32', shape: [2], data });
    expect([...floats]).toEqual([1, 2 ** -149]);
    data[0] = 1;
    expect(floats[0]).toBe(1);
  });

  // Values of IEEE 754-2019 binary16.
  it.each([
    [0x0000, 0],
    [0x8000, -0],
    [0x3c00, 1],
    [0xc000, -2],
    [0x7bff, 65504],
    [0x0400, 2 ** -14],
    [0x0001, 2 ** -24],
    [0x83ff, -1023 * 2 ** -24],
    [0x3555, 0.333251953125],
    [0x7c00, Infinity],
    [0xfc00, -Infinity],
    [0x7e00, NaN],
  ])('reads binary16 %i as %d', (bits, value) => {
    expect(tensorToFloat32(words('F16', [bits]))[0]).toBe(value);
  });

  it('rounds every finite binary16 back to itself', () => {
    // 11 significant bits from 2^-14 up, multiples of 2^-24 below.
    const patterns = Array.from({ length: 0x7c00 }, (_, bits) => bits);
    const floats = tensorToFloat32(words('F16', patterns));
    for (let bits = 1; bits < patterns.length; bits++) expect(floats[bits]! > floats[bits - 1]!).toBe(true);
    expect(new Set(floats).size).toBe(0x7c00);
  });

  it.each([
    [0x3f80, 1],
    [0xc020, -2.5],
    [0x0001, 2 ** -133],
    [0x7f7f, 255 * 2 ** 120],
    [0xff80, -Infinity],
    [0x7fc0, NaN],
  ])('reads bfloat16 %i as %d', (bits, value) => {
    expect(tensorToFloat32(words('BF16', [bits]))[0]).toBe(value);
  });

  it('refuses every other dtype by name', () => {
    for (const dtype of Object.keys(DTYPE_BYTES) as Dtype[]) {
      if (['F32', 'F16', 'BF16'].includes(dtype)) continue;
      const error = refusal(() => tensorToFloat32({ dtype, shape: [0], data: new Uint8Array(0) }));
      expect(error.code).toBe('ADAPTER_UNSUPPORTED');
      expect(error.message).toContain(dtype);
    }
  });
});

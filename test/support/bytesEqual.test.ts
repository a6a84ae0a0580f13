import { describe, expect, it } from 'vitest';

describe('comparison of typed arrays in tests', () => {
  it('takes the same bytes of one class for equal, alone and within', () => {
    const bytes = Uint8Array.of(9, 1, 2, 9).subarray(1, 3);
    expect(bytes).toEqual(Uint8Array.of(1, 2));
    expect({ list: [Int32Array.of(-1)] }).toStrictEqual({ list: [Int32Array.of(-1)] });
  });

  it.each([
    ['a byte', Uint8Array.of(1, 2), Uint8Array.of(1, 3)],
    ['the length', Uint8Array.of(1, 2), Uint8Array.of(1, 2, 0)],
    ['the class', Uint8Array.of(1), Int8Array.of(1)],
    ['a Buffer', Uint8Array.of(1), Buffer.from([1])],
    ['the sign of zero', Float64Array.of(0), Float64Array.of(-0)],
    ['an element of another size', Uint16Array.of(1), Uint8Array.of(1, 0)],
  ])('sees %s', (_, left, right) => {
    expect(left).not.toEqual(right);
    expect([{ left }]).not.toEqual([{ left: right }]);
    expect(left).not.toStrictEqual(right);
  });
});

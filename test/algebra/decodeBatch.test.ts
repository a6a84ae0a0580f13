import { bn254 } from '@noble/curves/bn254.js';
import { concatBytes, numberToBytesBE } from '@noble/curves/utils.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as al from '../../src/algebra/index.js';

const { Q } = al;
let engine: al.Engine;
beforeAll(async () => {
  engine = await al.loadEngine();
});
afterAll(() => engine.terminate());

const bytes = (...values: bigint[]) => concatBytes(...values.map((value) => numberToBytesBE(value, 32)));
const point = (k: bigint) => {
  const { x, y } = bn254.G1.Point.BASE.multiply(k).toAffine();
  return bytes(x, y);
};
const invalid = expect.objectContaining({ code: 'POINT_INVALID' });

describe('decoding many points', () => {
  it('gives what decoding one by one gives', () => {
    const encoded = Array.from({ length: 50 }, (_, i) => point(BigInt(i * i + 1)));
    expect(al.decodeG1Batch(engine, concatBytes(...encoded))).toEqual(
      concatBytes(...encoded.map((one) => al.decodeG1(one))),
    );
    expect(al.decodeG1Batch(engine, new Uint8Array())).toEqual(new Uint8Array());
  });

  it('refuses what decoding one by one refuses, wherever it stands', () => {
    const { x, y } = bn254.G1.Point.BASE.multiply(7n).toAffine();
    const wrong = [
      bytes(0n, 0n),
      bytes(x + Q, y),
      bytes(x, y + Q),
      bytes(Q, y),
      bytes(x, Q),
      bytes(x, Q - y - 1n),
      bytes(x, y + 1n),
      bytes(0n, y),
      bytes(x, 0n),
      new Uint8Array(64).fill(255),
    ];
    const good = [point(3n), point(4n), point(5n)];
    for (const one of wrong) {
      expect(() => al.decodeG1(one)).toThrow(invalid);
      for (const at of [0, 1, 2]) {
        const list = good.map((other, i) => (i === at ? one : other));
        expect(() => al.decodeG1Batch(engine, concatBytes(...list))).toThrow(invalid);
      }
    }
  });

  it('refuses bytes that are no whole points', () => {
    expect(() => al.decodeG1Batch(engine, point(3n).subarray(0, 63))).toThrow(invalid);
  });
});

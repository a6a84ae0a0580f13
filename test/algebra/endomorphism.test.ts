import { bn254 } from '@noble/curves/bn254.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CUBE_ROOT,
  type Eisenstein,
  shortForm,
  unitDigits,
  EIGENVALUE as W,
} from '../../src/algebra/endomorphism.js';
import { Fr, R } from '../../src/algebra/index.js';
import '../support/deterministic.js';

const toScalar = ([a, b]: Eisenstein) => Fr.create(a + b * W);
const scalar = fc.oneof(
  fc.bigInt({ min: 0n, max: R - 1n }),
  fc.constantFrom(0n, 1n, 2n, R - 1n, W, Fr.neg(W), Fr.mul(W, W), 2n ** 128n, Fr.inv(2n)),
);
const bits = (number: Eisenstein) =>
  Math.max(...number.map((part) => (part < 0n ? -part : part).toString(2).length));

describe('the endomorphism', () => {
  it('is the multiplication by W', () => {
    const { x, y } = bn254.G1.Point.BASE.toAffine();
    const image = bn254.G1.Point.fromAffine({ x: bn254.fields.Fp.mul(x, CUBE_ROOT), y });
    expect(image.equals(bn254.G1.Point.BASE.multiply(W))).toBe(true);
    expect(Fr.add(Fr.add(Fr.mul(W, W), W), 1n)).toBe(0n);
  });

  it('halves the bits of every scalar', () => {
    fc.assert(
      fc.property(scalar, (k) => {
        expect(toScalar(shortForm(k))).toBe(k);
        expect(bits(shortForm(k))).toBeLessThanOrEqual(128);
      }),
    );
  });

  it('has digits that are zero or units and add up, half of them zero', () => {
    let [places, additions] = [0, 0];
    fc.assert(
      fc.property(scalar, (k) => {
        const digits = unitDigits(shortForm(k));
        places += digits.length;
        additions += digits.filter((digit) => digit !== 0).length;
        const sum = digits.reduceRight((high, digit) => {
          if (digit === 0) return Fr.add(high, high);
          const unit = Fr.pow(W, BigInt((digit - 1) >> 1));
          return Fr.add(Fr.add(high, high), (digit - 1) % 2 === 0 ? unit : Fr.neg(unit));
        }, 0n);
        expect(sum).toBe(k);
      }),
    );
    expect(additions / places).toBeLessThan(0.56);
  });
});

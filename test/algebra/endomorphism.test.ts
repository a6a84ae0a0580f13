import { bn254 } from '@noble/curves/bn254.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CUBE_ROOT,
  type Digit,
  type Eisenstein,
  MULTIPLES,
  octalDigits,
  shortForm,
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

  const unitsOf = ([a, b]: Eisenstein): Eisenstein[] => {
    const turned: Eisenstein[] = [
      [a, b],
      [-b, a - b],
      [b - a, -a],
    ];
    return turned.flatMap(([c, d]) => [[c, d] as const, [-c, -d] as const]);
  };
  const sizes: Eisenstein[] = [[1n, 0n]];
  const numberOf = ({ multiple, unit, negative }: Digit): Eisenstein =>
    unitsOf(sizes[multiple]!)[2 * unit + (negative ? 1 : 0)]!;
  for (const { left, right } of MULTIPLES) {
    const [[a, b], [c, d]] = [sizes[left]!, numberOf(right)];
    sizes.push([a + c, b + d]);
  }

  it('has digits that add up, as many as the scalar has bits in thirds', () => {
    fc.assert(
      fc.property(scalar, (k) => {
        const short = shortForm(k);
        const digits = octalDigits(short);
        expect(digits.length).toBeLessThanOrEqual(Math.ceil(bits(short) / 3) + 1);
        const sum = digits.reduceRight<Eisenstein>(
          ([a, b], digit) => {
            const [c, d] = digit ? numberOf(digit) : [0n, 0n];
            return [8n * a + c, 8n * b + d];
          },
          [0n, 0n],
        );
        expect(sum).toEqual(short);
      }),
    );
  });

  it('has the smallest digit of each residue class', () => {
    const norm = ([a, b]: Eisenstein) => a * a - a * b + b * b;
    const near = Array.from({ length: 17 }, (_, i) => BigInt(i - 8));
    for (let a = -4n; a < 4n; a++) {
      for (let b = -4n; b < 4n; b++) {
        const [digit, ...rest] = octalDigits([a, b]);
        expect(digit === undefined).toBe(a === 0n && b === 0n);
        if (!digit) continue;
        expect(rest.length).toBeLessThanOrEqual(1);
        const least = near.flatMap((c) => near.map((d) => norm([a + 8n * c, b + 8n * d])));
        expect(norm(numberOf(digit))).toBe(least.reduce((x, y) => (x < y ? x : y)));
      }
    }
  });
});

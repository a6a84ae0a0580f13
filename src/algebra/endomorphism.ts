/**
 * The endomorphism of BN254's G1, (x, y) to (CUBE_ROOT x, y), which multiplies a point by a cube root of unity W in F:
 * scalars as a + b W with short a and b, which are Eisenstein integers (W^2 = -1 - W).
 */
import { R } from './scalar.js';

/** a + b W */
export type Eisenstein = readonly [a: bigint, b: bigint];

/** W */
export const EIGENVALUE = 4407920970296243842393367215006156084916469457145843978461n;

/** Cube root of unity mod Q that belongs to W. */
export const CUBE_ROOT = 2203960485148121921418603742825762020974279258880205651966n;

const UNITS: readonly [Eisenstein, Eisenstein, Eisenstein] = [
  [1n, 0n],
  [0n, 1n],
  [-1n, -1n],
];

/** A number of norm R that W is a zero of. */
const PRIME = divisor([R, 0n], [-EIGENVALUE, 1n]);

/** A scalar as a + b W with |a|, |b| below 2^128. */
export function shortForm(scalar: bigint): Eisenstein {
  return remainder([scalar, 0n], PRIME);
}

/** W^unit times one of the numbers of {@link MULTIPLES}, or minus that */
export interface Digit {
  readonly multiple: number;
  readonly unit: 0 | 1 | 2;
  readonly negative: boolean;
}

/**
 * Numbers of which one, times a unit, is in each residue class mod 8 but 0, as small as the class has: number 0 is 1,
 * and number i + 1 is `left` plus `right`, both from the ones before.
 */
export const MULTIPLES: readonly { readonly left: number; readonly right: Digit }[] = (
  [
    [0, 0, '-', 1],
    [1, 0, '+', 2],
    [1, 0, '+', 0],
    [1, 0, '-', 1],
    [1, 1, '-', 1],
    [2, 2, '-', 1],
    [2, 1, '+', 0],
    [2, 1, '-', 1],
    [3, 1, '-', 2],
    [3, 1, '+', 0],
  ] as const
).map(([left, multiple, sign, unit]) => ({ left, right: { multiple, unit, negative: sign === '-' } }));

/** Bits of a digit. */
export const DIGIT_BITS = 3;

const RADIX = 1n << BigInt(DIGIT_BITS);

/** By residue class mod 8 of a + b W: 8 (a mod 8) + b mod 8. */
export const DIGITS = digitTable();

/** Digits, lowest first: number = sum_i digit_i 8^i; undefined is zero. */
export function octalDigits(number: Eisenstein): (Digit | undefined)[] {
  const digits: (Digit | undefined)[] = [];
  let rest = number;
  while (rest[0] !== 0n || rest[1] !== 0n) {
    const found = DIGITS.get(residue(rest));
    digits.push(found?.digit);
    const [a, b] = found ? subtract(rest, found.value) : rest;
    rest = [a / RADIX, b / RADIX];
  }
  return digits;
}

function residue([a, b]: Eisenstein): number {
  return Number(BigInt.asUintN(DIGIT_BITS, a)) * 2 ** DIGIT_BITS + Number(BigInt.asUintN(DIGIT_BITS, b));
}

function digitTable(): ReadonlyMap<number, { readonly digit: Digit; readonly value: Eisenstein }> {
  const values: Eisenstein[] = [[1n, 0n]];
  const numberOf = ({ multiple, unit, negative }: Digit): Eisenstein => {
    const [a, b] = multiply(UNITS[unit], values[multiple]!);
    return negative ? [-a, -b] : [a, b];
  };
  for (const { left, right } of MULTIPLES) {
    const [[a, b], [c, d]] = [values[left]!, numberOf(right)];
    values.push([a + c, b + d]);
  }
  const table = new Map<number, { readonly digit: Digit; readonly value: Eisenstein }>();
  for (const multiple of values.keys()) {
    for (const unit of [0, 1, 2] as const) {
      for (const negative of [false, true]) {
        const digit = { multiple, unit, negative };
        const value = numberOf(digit);
        table.set(residue(value), { digit, value });
      }
    }
  }
  return table;
}

function subtract([a, b]: Eisenstein, [c, d]: Eisenstein): Eisenstein {
  return [a - c, b - d];
}

function multiply([a, b]: Eisenstein, [c, d]: Eisenstein): Eisenstein {
  return [a * c - b * d, a * d + b * c - b * d];
}

function norm([a, b]: Eisenstein): bigint {
  return a * a - a * b + b * b;
}

/** x less a multiple of y, with a norm below that of y. */
function remainder(x: Eisenstein, y: Eisenstein): Eisenstein {
  const size = norm(y);
  const [a, b] = multiply(x, [y[0] - y[1], -y[1]]);
  return subtract(x, multiply([nearest(a, size), nearest(b, size)], y));
}

/** n / d to the nearest integer, d positive. */
function nearest(n: bigint, d: bigint): bigint {
  const twice = 2n * n + d;
  const quotient = twice / (2n * d);
  return twice < 0n && quotient * 2n * d !== twice ? quotient - 1n : quotient;
}

function divisor(x: Eisenstein, y: Eisenstein): Eisenstein {
  let [a, b] = [x, y];
  while (norm(b) !== 0n) [a, b] = [b, remainder(a, b)];
  return a;
}

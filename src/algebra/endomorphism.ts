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

const UNITS: readonly Eisenstein[] = [
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

/**
 * Digits, lowest first: number = sum_i digit_i 2^i with digits 0 and +-W^u, about half of them 0. The digit W^u is given
 * as 1 + 2 u, and -W^u as 2 + 2 u.
 */
export function unitDigits(number: Eisenstein): number[] {
  const digits: number[] = [];
  let rest = number;
  while (rest[0] !== 0n || rest[1] !== 0n) {
    if (isEven(rest)) {
      digits.push(0);
      rest = half(rest);
      continue;
    }
    const u = UNITS.findIndex((unit) => isEven(subtract(rest, unit)));
    const plus = half(subtract(rest, UNITS[u]!));
    const minus = half(subtract(rest, negate(UNITS[u]!)));
    const takesPlus = zerosAfter(plus) >= zerosAfter(minus);
    digits.push(1 + 2 * u + (takesPlus ? 0 : 1));
    rest = takesPlus ? plus : minus;
  }
  return digits;
}

/** 2 if the next digit is 0, 1 if the one after it can be. */
function zerosAfter(number: Eisenstein): number {
  if (isEven(number)) return 2;
  const isUnit = UNITS.some(
    (unit) => isFourfold(subtract(number, unit)) || isFourfold(subtract(number, negate(unit))),
  );
  return isUnit ? 1 : 0;
}

function isEven([a, b]: Eisenstein): boolean {
  return ((a | b) & 1n) === 0n;
}

function isFourfold([a, b]: Eisenstein): boolean {
  return ((a | b) & 3n) === 0n;
}

function half([a, b]: Eisenstein): Eisenstein {
  return [a >> 1n, b >> 1n];
}

function negate([a, b]: Eisenstein): Eisenstein {
  return [-a, -b];
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

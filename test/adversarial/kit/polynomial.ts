import { inverse, mod, power, powers, rootOfUnity } from '../../reference/field.js';

/** Coefficients, lowest first, below R. */
export type Polynomial = readonly bigint[];

/** Values at the powers of the root of unity of the length, which is a power of two. */
function transform(coefficients: Polynomial, root: bigint): bigint[] {
  const size = coefficients.length;
  if (size === 1) return [...coefficients];
  const square = mod(root * root);
  const even = transform(
    coefficients.filter((_, i) => i % 2 === 0),
    square,
  );
  const odd = transform(
    coefficients.filter((_, i) => i % 2 === 1),
    square,
  );
  const result = new Array<bigint>(size);
  let point = 1n;
  for (let i = 0; i < size / 2; i++) {
    const term = mod(point * odd[i]!);
    result[i] = mod(even[i]! + term);
    result[i + size / 2] = mod(even[i]! - term);
    point = mod(point * root);
  }
  return result;
}

/** Values on H of any polynomial. */
export function valuesOn(size: number, polynomial: Polynomial): bigint[] {
  const folded = new Array<bigint>(size).fill(0n);
  polynomial.forEach((coefficient, i) => {
    folded[i % size] = mod(folded[i % size]! + coefficient);
  });
  return transform(folded, rootOfUnity(size));
}

/** The polynomial of degree below N with the given values on H. */
export function interpolate(values: readonly bigint[]): bigint[] {
  const size = values.length;
  const scale = inverse(BigInt(size));
  return transform(values, inverse(rootOfUnity(size))).map((value) => mod(value * scale));
}

/** a + factor * b */
export function plus(a: Polynomial, b: Polynomial, factor = 1n): bigint[] {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, i) =>
    mod((a[i] ?? 0n) + factor * (b[i] ?? 0n)),
  );
}

/** a * b */
export function times(a: Polynomial, b: Polynomial): bigint[] {
  let size = 1;
  while (size < a.length + b.length) size *= 2;
  const left = valuesOn(size, a);
  const right = valuesOn(size, b);
  return interpolate(left.map((value, i) => mod(value * right[i]!)));
}

/** factor * (X^N - 1) * a */
export function timesVanishing(a: Polynomial, size: number, factor = 1n): bigint[] {
  return plus([...new Array<bigint>(size).fill(0n), ...a.map((c) => mod(factor * c))], a, -factor);
}

/** a(X) at a point. */
export function evaluate(a: Polynomial, point: bigint): bigint {
  return a.reduceRight((value, coefficient) => mod(value * point + coefficient), 0n);
}

/** a(factor * X) */
export function stretched(a: Polynomial, factor: bigint): bigint[] {
  const weights = powers(factor, a.length);
  return a.map((coefficient, i) => mod(coefficient * weights[i]!));
}

/** (a(X) - a(point)) / (X - point) */
export function openedAt(a: Polynomial, point: bigint): bigint[] {
  const quotient = new Array<bigint>(Math.max(a.length - 1, 1)).fill(0n);
  let carry = 0n;
  for (let i = a.length - 1; i > 0; i--) {
    carry = mod(carry * point + a[i]!);
    quotient[i - 1] = carry;
  }
  return quotient;
}

/** Quotient by X^N - 1; the remainder is dropped, as a cheating prover does. */
export function overVanishing(a: Polynomial, size: number): bigint[] {
  const rest = [...a];
  for (let i = rest.length - 1; i >= size; i--) rest[i - size] = mod(rest[i - size]! + rest[i]!);
  const quotient = rest.slice(size);
  while (quotient.at(-1) === 0n) quotient.pop();
  return quotient;
}

/** Z_H(z) */
export function vanishingAt(point: bigint, size: number): bigint {
  return mod(power(point, BigInt(size)) - 1n);
}

import { inverse, mod, power, powers, R, rootOfUnity } from '../../reference/field.js';

/** Coefficients, lowest first, below R. */
export type Polynomial = readonly bigint[];

/** The first half of the powers of a root of unity, by the root. */
const rootPowers = new Map<bigint, bigint[]>();

/** Values at the powers of a root of unity whose order is the length, a power of two. */
function transform(coefficients: Polynomial, root: bigint): bigint[] {
  const size = coefficients.length;
  const known = rootPowers.get(root) ?? powers(root, Math.max(size / 2, 1));
  rootPowers.set(root, known);
  // decimation in time: places in the order of their reversed bits
  const values = [...coefficients];
  for (let i = 1, j = 0; i < size; i++) {
    let bit = size >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [values[i], values[j]] = [values[j]!, values[i]!];
  }
  for (let half = 1; half < size; half *= 2) {
    const step = size / 2 / half;
    for (let start = 0; start < size; start += 2 * half) {
      for (let i = 0; i < half; i++) {
        const even = values[start + i]!;
        const odd = values[start + half + i]!;
        const term = odd === 0n ? 0n : (odd * known[i * step]!) % R;
        const sum = even + term;
        const difference = even - term;
        values[start + i] = sum >= R ? sum - R : sum;
        values[start + half + i] = difference < 0n ? difference + R : difference;
      }
    }
  }
  return values;
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

/** The sum of a * b over pairs of polynomials. */
export function sumOfProducts(pairs: readonly (readonly [Polynomial, Polynomial])[]): bigint[] {
  const longest = Math.max(1, ...pairs.map(([a, b]) => a.length + b.length));
  const size = 2 ** Math.ceil(Math.log2(longest));
  const sums = new Array<bigint>(size).fill(0n);
  for (const [a, b] of pairs) {
    const right = valuesOn(size, b);
    valuesOn(size, a).forEach((value, i) => {
      sums[i]! += value * right[i]!;
    });
  }
  return interpolate(sums.map(mod));
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

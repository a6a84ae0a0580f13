/** Order of BN254's groups; the scalar field F. */
export const R = 21888242871839275222246405745257275088548364400416034343698204186575808495617n;

/** Order of BN254's base field. */
export const Q = 21888242871839275222246405745257275088696311157297823662689037894645226208583n;

/** Representative of `value` in [0, R). */
export function mod(value: bigint): bigint {
  const reduced = value % R;
  return reduced < 0n ? reduced + R : reduced;
}

/** base^exponent mod R. */
export function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  let square = mod(base);
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = mod(result * square);
    square = mod(square * square);
  }
  return result;
}

/** Inverse mod R of a value that is not 0. */
export function inverse(value: bigint): bigint {
  return power(value, R - 2n);
}

/** [1, base, base^2, ...] with `count` entries. */
export function powers(base: bigint, count: number): bigint[] {
  const result: bigint[] = [];
  for (let i = 0, value = 1n; i < count; i++) {
    result.push(value);
    value = mod(value * base);
  }
  return result;
}

/** Inner product of equally long vectors, or of the first entries of the longer one. */
export function inner(a: readonly bigint[], b: readonly bigint[]): bigint {
  let sum = 0n;
  for (let i = 0; i < Math.min(a.length, b.length); i++) sum += a[i]! * b[i]!;
  return mod(sum);
}

/** Generator w = 5^((R-1)/N) of the domain H. */
export function rootOfUnity(size: number): bigint {
  return power(5n, (R - 1n) / BigInt(size));
}

/** Inverses of values that are not 0, with one exponentiation. */
export function inverses(values: readonly bigint[]): bigint[] {
  const before: bigint[] = [];
  let product = 1n;
  for (const value of values) {
    before.push(product);
    product = mod(product * value);
  }
  const result = new Array<bigint>(values.length);
  let rest = inverse(product);
  for (let i = values.length - 1; i >= 0; i--) {
    result[i] = mod(rest * before[i]!);
    rest = mod(rest * values[i]!);
  }
  return result;
}

/** L_s(z) = (z^N - 1)/N * w^s / (z - w^s) for s = 0 .. N-1; z not in H. */
export function lagrangeAt(z: bigint, size: number): bigint[] {
  const front = mod((power(z, BigInt(size)) - 1n) * inverse(BigInt(size)));
  const domain = powers(rootOfUnity(size), size);
  const inverted = inverses(domain.map((point) => mod(z - point)));
  return domain.map((point, s) => mod(front * mod(point * inverted[s]!)));
}

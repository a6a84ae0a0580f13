/** A rational number over bigints; the denominator is positive. */
interface Fraction {
  readonly top: bigint;
  readonly bottom: bigint;
}

const dot = (a: readonly bigint[], b: readonly bigint[]) =>
  a.reduce((sum, value, i) => sum + value * b[i]!, 0n);

/** Nearest integer. */
function rounded({ top, bottom }: Fraction): bigint {
  const doubled = 2n * top + bottom;
  const quotient = doubled / (2n * bottom);
  return doubled < 0n && doubled % (2n * bottom) !== 0n ? quotient - 1n : quotient;
}

/** Determinants d_0 = 1, d_1, .. of the Gram matrices and d_(j+1) mu_ij, all integers (Cohen, Algorithm 2.6.7). */
function integralGramSchmidt(basis: readonly (readonly bigint[])[]): { d: bigint[]; lambda: bigint[][] } {
  const d = [1n];
  const lambda: bigint[][] = [];
  basis.forEach((row, i) => {
    lambda.push([]);
    for (let j = 0; j <= i; j++) {
      let value = dot(row, basis[j]!);
      for (let k = 0; k < j; k++) value = (d[k + 1]! * value - lambda[i]![k]! * lambda[j]![k]!) / d[k]!;
      if (j < i) lambda[i]!.push(value);
      else d.push(value);
    }
  });
  return { d, lambda };
}

/**
 * An LLL-reduced basis (delta = 3/4) of a lattice of small dimension; Lenstra, Lenstra, Lovasz 1982. The
 * orthogonalisation is made anew at each step.
 */
export function reduceLattice(basis: readonly (readonly bigint[])[]): bigint[][] {
  const reduced = basis.map((row) => [...row]);
  let k = 1;
  while (k < reduced.length) {
    for (let j = k - 1; j >= 0; j--) {
      const { d, lambda } = integralGramSchmidt(reduced);
      const factor = rounded({ top: lambda[k]![j]!, bottom: d[j + 1]! });
      reduced[k] = reduced[k]!.map((value, i) => value - factor * reduced[j]![i]!);
    }
    const { d, lambda } = integralGramSchmidt(reduced);
    const lovasz = 4n * d[k + 1]! * d[k - 1]! >= 3n * d[k]! * d[k]! - 4n * lambda[k]![k - 1]! ** 2n;
    if (lovasz) k++;
    else {
      [reduced[k - 1], reduced[k]] = [reduced[k]!, reduced[k - 1]!];
      k = Math.max(k - 1, 1);
    }
  }
  return reduced;
}

/** Short integers x, not all 0, with sum x_i weights_i = 0 modulo a prime; weights_0 is not 0. */
export function shortRelation(
  weights: readonly bigint[],
  prime: bigint,
  inverse: (value: bigint) => bigint,
): bigint[] {
  const ratio = inverse(weights[0]!);
  const basis = weights.map((weight, i) =>
    weights.map((_, j) => {
      if (j === 0) return i === 0 ? prime : (((-weight * ratio) % prime) + prime) % prime;
      return i === j ? 1n : 0n;
    }),
  );
  return reduceLattice(basis)[0]!;
}

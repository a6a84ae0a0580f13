/** Bits after the point: errors of the elimination are far below any distance that the tests ask for. */
const BITS = 512n;
const ONE = 1n << BITS;

/** D of L D L^T of the Gram matrix of integer rows: squared distances of the rows from the span of those before, with 512 bits after the point. */
function squaredDistances(rows: readonly (readonly number[])[]): bigint[] {
  const d: bigint[] = [];
  const l: bigint[][] = [];
  for (const [t, row] of rows.entries()) {
    // L D of this row, then L
    const products: bigint[] = [];
    const factors: bigint[] = [];
    for (let i = 0; i < t; i++) {
      let rest = product(row, rows[i]!) << (2n * BITS);
      for (let k = 0; k < i; k++) rest -= products[k]! * l[i]![k]!;
      products.push(rest >> BITS);
      factors.push(d[i] === 0n ? 0n : rest / d[i]!);
    }
    let rest = product(row, row) << (2n * BITS);
    for (let k = 0; k < t; k++) rest -= products[k]! * factors[k]!;
    // of dependent rows only rounding is left
    d.push(rest >> BITS < 1n << (BITS / 2n) ? 0n : rest >> BITS);
    l.push(factors);
  }
  return d;
}

function product(a: readonly number[], b: readonly number[]): bigint {
  return BigInt(a.reduce((sum, value, i) => sum + value * b[i]!, 0));
}

/** Distances of rows, scaled to length 1, from the span of those before; 0 for dependent ones. */
export function exactDistances(rows: readonly (readonly number[])[]): number[] {
  return squaredDistances(rows).map((square, t) => {
    return Math.sqrt(Number(square / product(rows[t]!, rows[t]!)) / Number(ONE));
  });
}

/** Rank over the rationals. */
export function exactRank(rows: readonly (readonly number[])[]): number {
  return squaredDistances(rows).filter((square) => square > 0n).length;
}

/** ||M P||_F^2 / ||M||_F^2, P the projector on the rows. @param matrix of integers */
export function exactFraction(
  matrix: readonly (readonly number[])[],
  rows: readonly (readonly number[])[],
): number {
  let outside = 0n;
  let all = 0n;
  for (const row of matrix) {
    outside += squaredDistances([...rows, row]).at(-1)!;
    all += product(row, row) << BITS;
  }
  return 1 - Number((outside << 100n) / all) / 2 ** 100;
}

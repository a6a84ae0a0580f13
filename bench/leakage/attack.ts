/** What a user makes of the rows it asked and the deltas it got, without anything of the meter. */

/** Rows of a matrix. */
export type Matrix = readonly Float64Array[];

/** Part of a row below which the attack takes it for dependent; float64 has nothing to say about it. */
const NEGLIGIBLE = 1e-9;

/**
 * The matrix of least norm that maps every x to its y: M = Y^T (X X^T)^-1 X, by Gram-Schmidt on the rows of X with the same
 * steps on those of Y.
 *
 * @param x `[tokens][inFeatures]` @param y `[tokens][outFeatures]`
 * @returns `[outFeatures][inFeatures]`
 */
export function leastSquares(x: Matrix, y: Matrix): Float64Array[] {
  const inFeatures = x[0]!.length;
  const found: { q: Float64Array; image: Float64Array }[] = [];
  for (const [t, asked] of x.entries()) {
    const q = asked.slice();
    const image = y[t]!.slice();
    const size = norm(q);
    for (const _pass of [1, 2]) {
      for (const known of found) {
        const part = product(known.q, q);
        addTo(q, known.q, -part);
        addTo(image, known.image, -part);
      }
    }
    const left = norm(q);
    if (left <= NEGLIGIBLE * size) continue;
    found.push({ q: q.map((value) => value / left), image: image.map((value) => value / left) });
  }
  return Array.from({ length: y[0]!.length }, (_, out) => {
    const row = new Float64Array(inFeatures);
    for (const { q, image } of found) addTo(row, q, image[out]!);
    return row;
  });
}

/** Best approximation of a rank, by orthogonal iteration. @returns a matrix of the same shape */
export function truncateRank(matrix: Matrix, rank: number, rounds = 30): Float64Array[] {
  // The rows with the largest norms to start with.
  let basis = orthonormal([...matrix].sort((a, b) => norm(b) - norm(a)).slice(0, 2 * rank)).slice(0, rank);
  for (let round = 0; round < rounds; round++) {
    const next = basis.map((v) => {
      const sum = new Float64Array(v.length);
      for (const row of matrix) addTo(sum, row, product(row, v));
      return sum;
    });
    basis = orthonormal(next);
  }
  return matrix.map((row) => {
    const sum = new Float64Array(row.length);
    for (const v of basis) addTo(sum, v, product(v, row));
    return sum;
  });
}

/** ||a - b||_F^2 / ||b||_F^2 */
export function relativeError(a: Matrix, b: Matrix): number {
  let wrong = 0;
  let all = 0;
  for (const [i, row] of b.entries()) {
    for (const [j, value] of row.entries()) wrong += (a[i]![j]! - value) ** 2;
    all += product(row, row);
  }
  return wrong / all;
}

export function product(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function norm(a: Float64Array): number {
  return Math.sqrt(product(a, a));
}

function addTo(a: Float64Array, b: Float64Array, factor: number): void {
  for (let i = 0; i < a.length; i++) a[i]! += factor * b[i]!;
}

function orthonormal(vectors: Matrix): Float64Array[] {
  const out: Float64Array[] = [];
  for (const vector of vectors) {
    const q = vector.slice();
    const size = norm(q);
    for (const _pass of [1, 2]) for (const known of out) addTo(q, known, -product(known, q));
    const left = norm(q);
    if (left > NEGLIGIBLE * size) out.push(q.map((value) => value / left));
  }
  return out;
}

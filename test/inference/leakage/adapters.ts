import { quantizeModule } from '../../../src/adapter/quantize.js';
import type { QuantizedModule } from '../../../src/adapter/types.js';
import { randomNumbers } from '../parties.js';

/** A module of random weights. */
export function randomAdapter(
  seed: number,
  { name = 'm', inFeatures = 12, outFeatures = 10, rank = 3 } = {},
): QuantizedModule {
  const next = randomNumbers(seed);
  const floats = (length: number) => Float32Array.from({ length }, () => next() - 0.5);
  return quantizeModule({
    name,
    rank,
    inFeatures,
    outFeatures,
    a: floats(rank * inFeatures),
    b: floats(outFeatures * rank),
    scaling: 1,
  });
}

/** Rows as int16, joined. */
export function rows(...values: readonly (readonly number[])[]): Int16Array {
  return Int16Array.from(values.flat());
}

/** Row `index` of an int16 matrix. */
export function rowOf(x: Int16Array, width: number, index: number): Int16Array {
  return x.slice(index * width, (index + 1) * width);
}

/** A unit vector, scaled. */
export function unit(width: number, index: number, scale = 1): number[] {
  return Array.from({ length: width }, (_, i) => (i === index ? scale : 0));
}

/** Delta W = B A as rows of float64, `[outFeatures][inFeatures]`. */
export function deltaWeights({ a, bT, rank, inFeatures, outFeatures }: QuantizedModule): Float64Array[] {
  return Array.from({ length: outFeatures }, (_, out) =>
    Float64Array.from({ length: inFeatures }, (_, column) => {
      let sum = 0;
      for (let j = 0; j < rank; j++) sum += bT[j * outFeatures + out]! * a[j * inFeatures + column]!;
      return sum;
    }),
  );
}

/**
 * ||M P||_F^2 / ||M||_F^2 by the definition: P = X^T (X X^T)^-1 X, solved row by row through Gaussian elimination with
 * pivoting. Rows have to be independent and well apart.
 */
export function plainFraction(matrix: readonly Float64Array[], x: readonly Float64Array[]): number {
  let inside = 0;
  let all = 0;
  for (const row of matrix) {
    const products = x.map((asked) => inner(asked, row));
    const solution = solve(
      x.map((p) => Float64Array.from(x, (q) => inner(p, q))),
      Float64Array.from(products),
    );
    solution.forEach((value, i) => {
      inside += value * products[i]!;
    });
    all += inner(row, row);
  }
  return inside / all;
}

export function inner(p: Float64Array, q: Float64Array): number {
  return p.reduce((sum, value, i) => sum + value * q[i]!, 0);
}

/** Solves a square system. */
export function solve(matrix: readonly Float64Array[], right: Float64Array): Float64Array {
  const size = right.length;
  const m = matrix.map((row, i) => Float64Array.of(...row, right[i]!));
  for (let column = 0; column < size; column++) {
    let pivot = column;
    for (let i = column; i < size; i++) {
      if (Math.abs(m[i]![column]!) > Math.abs(m[pivot]![column]!)) pivot = i;
    }
    [m[column], m[pivot]] = [m[pivot]!, m[column]!];
    for (let i = 0; i < size; i++) {
      if (i === column) continue;
      const factor = m[i]![column]! / m[column]![column]!;
      for (let k = column; k <= size; k++) m[i]![k]! -= factor * m[column]![k]!;
    }
  }
  return Float64Array.from(m, (row, i) => row[size]! / row[i]!);
}

/**
 * Products of a row with the vectors from one on, four in each sweep; zeros for those before. Vectors may be shorter than the row, and
 * none is shorter than the one before.
 */
export function productsWith(
  vectors: readonly Float64Array[],
  row: Float64Array,
  from: number,
): Float64Array {
  const parts = new Float64Array(vectors.length);
  const whole = vectors.length - ((vectors.length - from) % 4);
  for (let i = from; i < whole; i += 4) dotFour(vectors, i, row, parts);
  for (let i = whole; i < vectors.length; i++) parts[i] = dot(vectors[i]!, row);
  return parts;
}

/** Takes multiples of the vectors from one on, as long as in {@link productsWith}, off a row. */
export function subtractMultiples(
  row: Float64Array,
  vectors: readonly Float64Array[],
  factors: Float64Array,
  from = 0,
): void {
  const whole = vectors.length - ((vectors.length - from) % 4);
  for (let i = from; i < whole; i += 4) subtractFour(vectors, i, row, factors);
  for (let i = whole; i < vectors.length; i++) subtract(row, vectors[i]!, factors[i]!, 0);
}

function dotFour(vectors: readonly Float64Array[], at: number, row: Float64Array, parts: Float64Array): void {
  const [v0, v1, v2, v3] = [vectors[at]!, vectors[at + 1]!, vectors[at + 2]!, vectors[at + 3]!];
  const common = v0.length;
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  for (let j = 0; j < common; j++) {
    const value = row[j]!;
    s0 += v0[j]! * value;
    s1 += v1[j]! * value;
    s2 += v2[j]! * value;
    s3 += v3[j]! * value;
  }
  parts[at] = s0;
  parts[at + 1] = s1 + tail(v1, row, common);
  parts[at + 2] = s2 + tail(v2, row, common);
  parts[at + 3] = s3 + tail(v3, row, common);
}

function tail(vector: Float64Array, row: Float64Array, from: number): number {
  let sum = 0;
  for (let j = from; j < vector.length; j++) sum += vector[j]! * row[j]!;
  return sum;
}

function subtractFour(
  vectors: readonly Float64Array[],
  at: number,
  row: Float64Array,
  parts: Float64Array,
): void {
  const [v0, v1, v2, v3] = [vectors[at]!, vectors[at + 1]!, vectors[at + 2]!, vectors[at + 3]!];
  const [f0, f1, f2, f3] = [parts[at]!, parts[at + 1]!, parts[at + 2]!, parts[at + 3]!];
  const common = v0.length;
  for (let j = 0; j < common; j++) {
    row[j] = row[j]! - (f0 * v0[j]! + f1 * v1[j]! + (f2 * v2[j]! + f3 * v3[j]!));
  }
  subtract(row, v1, f1, common);
  subtract(row, v2, f2, common);
  subtract(row, v3, f3, common);
}

function subtract(row: Float64Array, vector: Float64Array, factor: number, from: number): void {
  for (let j = from; j < vector.length; j++) row[j]! -= factor * vector[j]!;
}

/** Over the length of `a`; four sums, so that additions do not wait for one another. */
export function dot(a: Float64Array, b: Float64Array): number {
  const whole = a.length - (a.length % 4);
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  for (let i = 0; i < whole; i += 4) {
    s0 += a[i]! * b[i]!;
    s1 += a[i + 1]! * b[i + 1]!;
    s2 += a[i + 2]! * b[i + 2]!;
    s3 += a[i + 3]! * b[i + 3]!;
  }
  for (let i = whole; i < a.length; i++) s0 += a[i]! * b[i]!;
  return s0 + s1 + (s2 + s3);
}

/** Euclidean. */
export function length(row: Float64Array): number {
  return Math.sqrt(dot(row, row));
}

/** A copy, times a factor. */
export function scaled(row: Float64Array, factor: number): Float64Array {
  const result = new Float64Array(row.length);
  for (let i = 0; i < row.length; i++) result[i] = row[i]! * factor;
  return result;
}

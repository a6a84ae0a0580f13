/** Order statistics of measured times. */

/** Times of one kind of step, milliseconds. */
export interface Distribution {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** The value below which the given share lies (nearest rank). */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export function distribution(values: readonly number[]): Distribution {
  const at = (share: number) => quantile(values, share);
  return { count: values.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Slope of the line through the points with the least squares, and how sure it is. */
export interface Slope {
  readonly perX: number;
  /** Standard error of the slope. */
  readonly error: number;
}

export function leastSquares(points: readonly (readonly [x: number, y: number])[]): Slope {
  const n = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n;
  let xx = 0;
  let xy = 0;
  for (const [x, y] of points) {
    xx += (x - meanX) ** 2;
    xy += (x - meanX) * (y - meanY);
  }
  const perX = xy / xx;
  const rest = points.reduce((sum, [x, y]) => sum + (y - meanY - perX * (x - meanX)) ** 2, 0);
  return { perX, error: Math.sqrt(rest / (n - 2) / xx) };
}

/** Sizes K of the compiled circuits RankCheck(K), ascending. */
export const CIRCUIT_SIZES: readonly number[] = [15, 31, 63, 127, 255, 511, 1023, 2047, 4095];

/** Largest K; bounds every count that a file derives from K. */
export const MAX_PAIRS = 4095;

/** Constraints after --O2: K products and the squares of mu and b. */
export function constraintCount(pairs: number): number {
  return pairs + 2;
}

/** Public signals y, mu, b, p[K], q[K]; the verification key holds one point more, the constant's. */
export function publicSignalCount(pairs: number): number {
  return 2 * pairs + 3;
}

/** Wires: the constant one, the public signals, K - 1 products (the last is replaced), two squares. */
export function wireCount(pairs: number): number {
  return 3 * pairs + 5;
}

/**
 * Size of Groth16's evaluation domain: snarkjs gives a row to each constraint, each public signal and the
 * constant.
 */
export function groth16DomainSize(pairs: number): number {
  let size = 1;
  while (size < constraintCount(pairs) + publicSignalCount(pairs) + 1) size *= 2;
  return size;
}

import { inverse, mod, rootOfUnity } from '../../reference/field.js';
import { randomVector } from './linearForm.js';
import {
  evaluate,
  interpolate,
  openedAt,
  overVanishing,
  type Polynomial,
  plus,
  stretched,
  sumOfProducts,
  timesVanishing,
  valuesOn,
  vanishingAt,
} from './polynomial.js';

/** A product in the sum: one polynomial that the verifier evaluates at z, and one under a commitment, as coefficients. */
export interface RunLane {
  readonly known: Polynomial;
  rows: Polynomial;
}

/** The prover's part of the sum argument, as it goes. */
export interface SumRun {
  lanes: RunLane[];
  /** S */
  total: bigint;
  phi: Polynomial;
  quotient: Polynomial;
  z: bigint;
  e: bigint;
  opening: Polynomial;
  shiftedOpening: Polynomial;
}

/** Before the first step. */
export function startSum(): SumRun {
  return { lanes: [], total: 0n, phi: [], quotient: [], z: 0n, e: 0n, opening: [], shiftedOpening: [] };
}

/** D' - S/N */
function summed(run: SumRun, size: number, mask: Polynomial): Polynomial {
  const share = mod(run.total * inverse(BigInt(size)));
  return plus(sumOfProducts(run.lanes.map(({ known, rows }) => [known, rows])), plus(mask, [-share]));
}

/** Q for the run's phi. */
export function quotientOf(
  run: SumRun,
  size: number,
  mask: Polynomial,
  product = summed(run, size, mask),
): Polynomial {
  const both = plus(product, run.phi);
  return overVanishing(plus(both, stretched(run.phi, rootOfUnity(size)), -1n), size);
}

/** phi and Q. */
export function prepareSum(run: SumRun, size: number, mask: Polynomial): void {
  const product = summed(run, size, mask);
  run.phi = runningSum(product, size);
  run.quotient = quotientOf(run, size, mask, product);
}

/** Lambda(X) = sum known(z) rows(X) + R(X) + phi(X) - Z_H(z) Q(X) */
export function lambdaOf(run: SumRun, size: number, mask: Polynomial): Polynomial {
  const rows = run.lanes.reduce<Polynomial>(
    (sum, lane) => plus(sum, lane.rows, evaluate(lane.known, run.z)),
    mask,
  );
  return plus(plus(rows, run.phi), run.quotient, -vanishingAt(run.z, size));
}

/** phi(w z) */
export function shiftedValue(run: SumRun, size: number): bigint {
  return evaluate(run.phi, mod(rootOfUnity(size) * run.z));
}

/** W and W' for the run's z; `beside` is opened at z together with Lambda. */
export function openSum(run: SumRun, size: number, mask: Polynomial, beside: Polynomial = []): void {
  run.opening = openedAt(plus(lambdaOf(run, size, mask), beside), run.z);
  run.shiftedOpening = openedAt(run.phi, mod(rootOfUnity(size) * run.z));
}

/** S/N + phi(w z): what Lambda should be at z. */
export function lambdaAtZ(run: SumRun, size: number): bigint {
  return mod(run.total * inverse(BigInt(size)) + shiftedValue(run, size));
}

/** phi: prefix sums of a polynomial's values on H, blinded. Where the values do not sum to 0, it jumps at the end. */
function runningSum(product: Polynomial, size: number): Polynomial {
  let sum = 0n;
  const prefix = valuesOn(size, product).map((value) => {
    const before = sum;
    sum = mod(sum + value);
    return before;
  });
  return plus(interpolate(prefix), timesVanishing(randomVector(3), size));
}

import { type Engine, Fr, PairingProduct } from '../algebra/index.js';
import type { Equation } from './sumVerify.js';

/** A product that some of a proof's equations have been added to before the others are known. */
export interface BegunProduct {
  readonly product: PairingProduct;
  /** The equations that it holds. */
  readonly held: ReadonlySet<Equation>;
}

/**
 * Adds some of a proof's equations to a product and starts its multiplications in the worker threads.
 *
 * @param equations by their number among all equations of the proof
 */
export function beginProduct(
  engine: Engine,
  equations: ReadonlyMap<number, Equation>,
  batch: bigint,
): BegunProduct {
  const product = new PairingProduct(engine);
  for (const [number, equation] of equations) equation.add(product, Fr.pow(batch, BigInt(number)));
  product.start();
  return { product, held: new Set(equations.values()) };
}

/**
 * Checks equations together, the i-th weighted by batch^i; looks for the false one only when they do not hold.
 *
 * @param batch challenge drawn after everything else in the proof
 * @param begun product that already holds some of the equations
 * @returns undefined when all hold
 */
export async function falseEquation(
  engine: Engine,
  equations: readonly Equation[],
  batch: bigint,
  begun?: BegunProduct,
): Promise<Pick<Equation, 'reason' | 'message'> | undefined> {
  const all = begun?.product ?? new PairingProduct(engine);
  let weight = 1n;
  for (const equation of equations) {
    if (!begun?.held.has(equation)) equation.add(all, weight);
    weight = Fr.mul(weight, batch);
  }
  if (await all.isOne()) return undefined;
  for (const equation of equations) {
    const single = new PairingProduct(engine);
    equation.add(single, 1n);
    if (!(await single.isOne())) return equation;
  }
  // the batched equation failed, so some single one does (up to 2^-250)
  return { reason: 'OPENING_INVALID', message: 'the equations of the proof do not hold together' };
}

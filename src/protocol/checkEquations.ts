import { type Engine, Fr, PairingProduct } from '../algebra/index.js';
import type { Equation } from './sumVerify.js';

/**
 * Checks equations together, the i-th weighted by batch^i; looks for the false one only when they do not hold.
 *
 * @param batch challenge drawn after everything else in the proof
 * @returns undefined when all hold
 */
export async function falseEquation(
  engine: Engine,
  equations: readonly Equation[],
  batch: bigint,
): Promise<Pick<Equation, 'reason' | 'message'> | undefined> {
  const all = new PairingProduct(engine);
  let weight = 1n;
  for (const equation of equations) {
    equation.add(all, weight);
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

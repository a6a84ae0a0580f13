import { type Engine, Fr, PairingProduct } from '../algebra/index.js';
import { ZkLoraError } from '../errors.js';
import { addEquation, type Equation } from './sumVerify.js';

/** A product that holds some of a proof's equations, but for their claims, before everything else is known. */
export class BegunProduct {
  readonly product: PairingProduct;
  readonly #held = new Set<Equation>();
  readonly #batch: bigint;
  #complete = false;

  /** @param batch challenge drawn after everything else in the proof: equation i counts batch^i times */
  constructor(engine: Engine, batch: bigint) {
    this.product = new PairingProduct(engine);
    this.#batch = batch;
  }

  /**
   * Adds the equations that it does not hold yet, the i-th weighted by batch^i.
   *
   * @param equations by their number among all equations of the proof
   */
  add(equations: Iterable<readonly [number, Equation]>): void {
    for (const [number, equation] of equations) {
      if (this.#held.has(equation)) continue;
      equation.add(this.product, Fr.pow(this.#batch, BigInt(number)));
      this.#held.add(equation);
    }
  }

  /**
   * Adds the claims of all equations of the proof; a product is checked once.
   *
   * @throws ZkLoraError `INTERNAL` the second time: it would be the product of another statement
   */
  addClaims(equations: readonly Equation[]): void {
    if (this.#complete) throw new ZkLoraError('INTERNAL', 'a begun product is checked a second time');
    this.#complete = true;
    equations.forEach((equation, number) => {
      equation.addClaim?.(this.product, Fr.pow(this.#batch, BigInt(number)));
    });
  }
}

/**
 * Checks equations together; looks for the false one only when they do not hold.
 *
 * @param begun product of the proof, which may hold some of the equations
 * @returns undefined when all hold
 */
export async function falseEquation(
  engine: Engine,
  equations: readonly Equation[],
  begun: BegunProduct,
): Promise<Pick<Equation, 'reason' | 'message'> | undefined> {
  begun.add(equations.entries());
  begun.addClaims(equations);
  if (await begun.product.isOne()) return undefined;
  for (const equation of equations) {
    const single = new PairingProduct(engine);
    addEquation(equation, single, 1n);
    if (!(await single.isOne())) return equation;
  }
  // the batched equation failed, so some single one does (up to 2^-250)
  return { reason: 'OPENING_INVALID', message: 'the equations of the proof do not hold together' };
}

import { Fr } from '../../src/algebra/index.js';

/**
 * Coefficients of the linear form on (mu, b, p_0.., q_0..), as docs/protocol.md, "Linear form", has them: 1, 0, then
 * rho^1 .. rho^(2P).
 */
export function formCoefficients(rho: bigint, pairs: number): bigint[] {
  const coefficients = [1n, 0n];
  let power = rho;
  for (let i = 0; i < 2 * pairs; i++) {
    coefficients.push(power);
    power = Fr.mul(power, rho);
  }
  return coefficients;
}

import { type Engine, Fr, type G1Point, type G2Point, PairingProduct } from '../algebra/index.js';

/** Whether b = x a in G1 and d = x c in G2 for one x: e(a, d) = e(b, c). */
export async function haveSameRatio(
  engine: Engine,
  [a, b]: readonly [G1Point, G1Point],
  [c, d]: readonly [G2Point, G2Point],
): Promise<boolean> {
  const product = new PairingProduct(engine);
  product.add(d, 1n, a);
  product.add(c, Fr.neg(1n), b);
  return product.isOne();
}

import { type Engine, Fr, R, vectorFromScalars, vectorToBytes } from '../algebra/index.js';
import { ZkLoraError } from '../errors.js';
import { type Groth16Proof, proveGroth16 } from './groth16Prove.js';
import { readProverKey } from './zkey.js';

/** Signals of RankCheck(K): sum_l p_l q_l = y. All secret but y. */
export interface RankCheckInputs {
  readonly y: bigint;
  readonly mu: bigint;
  readonly b: bigint;
  /** `[K]`. */
  readonly p: readonly bigint[];
  /** `[K]`. */
  readonly q: readonly bigint[];
}

/**
 * Proves RankCheck(K) with fresh randomness; K is the length of p and q.
 *
 * What Groth16 calls the public signals are (y, mu, b, p, q), which would show the weights: they never leave this
 * function. The wires are overwritten afterwards; copies that worker threads made are left to them.
 *
 * @param zkey proving key as `ParameterStore.zkey` gives it
 * @throws ZkLoraError `STATEMENT_INVALID` for values that do not satisfy the relation or are not below R,
 * `PARAMETERS_MALFORMED` for a key of another circuit.
 */
export async function proveRankCheck(
  engine: Engine,
  zkey: Uint8Array,
  inputs: RankCheckInputs,
): Promise<Groth16Proof> {
  requireSatisfied(inputs);
  const key = readProverKey(zkey, inputs.p.length);
  const wires = wiresOf(engine, inputs);
  try {
    return await proveGroth16(engine, key, wires);
  } finally {
    wires.fill(0);
  }
}

/**
 * All wires in the order of circom's program for RankCheck(K), canonical, 32 bytes each, little-endian: 1, y, mu, b,
 * p, q, the products but the last, which is what remains of y, and the squares of mu and b.
 */
export function wiresOf(engine: Engine, { y, mu, b, p, q }: RankCheckInputs): Uint8Array {
  const products = p.slice(0, -1).map((value, l) => Fr.mul(value, q[l]!));
  const vector = vectorFromScalars(engine, [1n, y, mu, b, ...p, ...q, ...products, Fr.sqr(mu), Fr.sqr(b)]);
  return vectorToBytes(engine, vector);
}

function requireSatisfied({ y, mu, b, p, q }: RankCheckInputs): void {
  const canonical = (value: bigint) => value >= 0n && value < R;
  if (p.length !== q.length || ![y, mu, b, ...p, ...q].every(canonical)) {
    throw new ZkLoraError('STATEMENT_INVALID', 'rank check: p and q must have K values each, all below R');
  }
  const sum = p.reduce((total, value, l) => Fr.add(total, Fr.mul(value, q[l]!)), 0n);
  if (sum !== y) {
    throw new ZkLoraError(
      'STATEMENT_INVALID',
      'rank check: the weights do not give these outputs; prove the session with the adapter that served it',
    );
  }
}

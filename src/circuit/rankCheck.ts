import { groth16, type MemoryFile, type ProofObject, wtns } from 'snarkjs';
import {
  decodeG1,
  decodeG2,
  type Engine,
  encodeScalar,
  Fr,
  type G1Point,
  type G2Point,
  R,
} from '../algebra/index.js';
import { concatBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { wireCount } from './size.js';
import { readProvingKey } from './zkey.js';

export { witnessWasm } from './circuitFiles.js';

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

/** A Groth16 proof. */
export interface Groth16Proof {
  readonly a: G1Point;
  readonly b: G2Point;
  readonly c: G1Point;
}

/** Bytes of a .wtns file before its values: container header, section 1 (n8 | R | count), section 2's header. */
const WITNESS_HEADER_BYTES = 12 + 12 + 4 + 32 + 4 + 12;

/** Pages that circom_runtime reserves for programs of circom 1; programs of circom 2 bring their own memory. */
const UNUSED_MEMORY_PAGES = 1;

/**
 * Proves RankCheck(K) with fresh randomness; K is the length of p and q.
 *
 * What snarkjs calls the public signals are (y, mu, b, p, q), which would show the weights: they are dropped here
 * and never leave this function. The witness buffer is overwritten; copies that snarkjs made are left to the
 * garbage collector.
 *
 * @param engine the running engine; snarkjs computes on the same curve object
 * @param zkey proving key as `ParameterStore.zkey` gives it
 * @param witnessWasm witness program as `witnessWasm` gives it
 * @throws ZkLoraError `STATEMENT_INVALID` for values that do not satisfy the relation or are not below R,
 * `PARAMETERS_MALFORMED` for a key of another circuit, `PARAMETERS_MISMATCH` if key and program do not fit.
 */
export async function proveRankCheck(
  _engine: Engine,
  zkey: Uint8Array,
  witnessWasm: Uint8Array,
  inputs: RankCheckInputs,
): Promise<Groth16Proof> {
  requireSatisfied(inputs);
  const pairs = inputs.p.length;
  readProvingKey(zkey, pairs);
  const witness: MemoryFile & { data?: Uint8Array } = {
    type: 'mem',
    initialSize: WITNESS_HEADER_BYTES + wireCount(pairs) * 32,
  };
  try {
    const { y, mu, b, p, q } = inputs;
    await wtns.calculate({ y, mu, b, p, q }, witnessWasm, witness, { memorySize: UNUSED_MEMORY_PAGES });
    const { proof } = await groth16.prove(zkey, witness.data!);
    return decodeProof(proof);
  } catch (cause) {
    if (cause instanceof ZkLoraError) throw cause;
    throw new ZkLoraError(
      'PARAMETERS_MISMATCH',
      `the keys and the witness program do not fit RankCheck(${pairs}); use the files of one parameter set`,
      { cause },
    );
  } finally {
    witness.data?.fill(0);
  }
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

/** Decimal coordinates to points; the decoders check curve and subgroup. */
function decodeProof({ pi_a: a, pi_b: b, pi_c: c }: ProofObject): Groth16Proof {
  const join = (...coordinates: readonly (string | undefined)[]) =>
    concatBytes(...coordinates.map((coordinate) => encodeScalar(BigInt(coordinate!))));
  return {
    a: decodeG1(join(a[0], a[1])),
    b: decodeG2(join(b[0]?.[1], b[0]?.[0], b[1]?.[1], b[1]?.[0])),
    c: decodeG1(join(c[0], c[1])),
  };
}

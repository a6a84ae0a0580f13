/**
 * Groth16's prover (Groth: "On the Size of Pairing-Based Non-interactive Arguments", EUROCRYPT 2016) over snarkjs's
 * proving keys. Its proofs are snarkjs's; all that can go side by side does.
 */
import {
  constantVector,
  type Engine,
  type FieldVector,
  Fr,
  type G1Point,
  type G2Point,
  mulVectors,
  R,
  randomScalar,
  rootOfUnity,
  sumOfProducts,
  vectorFromScalars,
  vectorToBytes,
} from '../algebra/index.js';
import { ZkLoraError } from '../errors.js';
import { COEFFICIENT_BYTES, type ProverKey } from './zkey.js';

/** A Groth16 proof. */
export interface Groth16Proof {
  readonly a: G1Point;
  readonly b: G2Point;
  readonly c: G1Point;
}

const ELEMENT_BYTES = 32;

/**
 * Proves with fresh randomness.
 *
 * @param key as `readProverKey` gives it, which has checked every index in it
 * @param wires all wires, canonical, 32 bytes each, little-endian; a constraint that they break makes a false proof
 */
export async function proveGroth16(engine: Engine, key: ProverKey, wires: Uint8Array): Promise<Groth16Proof> {
  const { G1, G2 } = engine.curve;
  const hidden = wires.subarray(key.firstPrivateWire * ELEMENT_BYTES);
  const multiplyQuotient = async () => {
    const quotient = await quotientValues(engine, key, wires);
    return G1.multiExpAffine(key.hPoints, vectorToBytes(engine, quotient));
  };
  // all at once: a task for each worker and product, while this thread prepares the quotient
  const multiplying = Promise.all([
    G1.multiExpAffine(key.aPoints, wires),
    multiplyQuotient(),
    G1.multiExpAffine(key.b1Points, wires),
    G1.multiExpAffine(key.cPoints, hidden),
    G2.multiExpAffine(key.b2Points, wires),
  ]);
  const r = randomScalar();
  const s = randomScalar();
  const times = (point: Uint8Array, scalar: bigint) =>
    G1.timesFr(G1.toJacobian(point), vectorFromScalars(engine, [scalar]));
  const sum = (...points: readonly Uint8Array[]) =>
    points.reduce((total, point) => G1.add(total, G1.toJacobian(point)), G1.zero);
  const blindA = sum(key.alpha1, times(key.delta1, r));
  const blindB1 = sum(key.beta1, times(key.delta1, s));
  const blindC = times(key.delta1, Fr.neg(Fr.mul(r, s)));
  const deltaS = G2.timesFr(G2.toJacobian(key.delta2), vectorFromScalars(engine, [s]));

  const [sumA, sumH, sumB1, sumC, sumB2] = await multiplying;
  const a = sum(sumA, blindA);
  const b1 = sum(sumB1, blindB1);
  const c = sum(sumC, sumH, times(a, s), times(b1, r), blindC);
  const b = G2.add(G2.add(sumB2, G2.toJacobian(key.beta2)), deltaS);
  if (G1.isZero(a) || G2.isZero(b) || G1.isZero(c)) {
    throw new ZkLoraError('INTERNAL', 'a point of a proof is the identity');
  }
  return { a: G1.toAffine(a) as G1Point, b: G2.toAffine(b) as G2Point, c: G1.toAffine(c) as G1Point };
}

/** (A w)(B w) - (C w) on the odd half of the domain of twice the size, where the key's points H belong. */
async function quotientValues(engine: Engine, key: ProverKey, wires: Uint8Array): Promise<FieldVector> {
  const { domainSize } = key;
  const [a, b] = evaluateRows(engine, key, wires);
  const products = [
    { a, b, blinder: 0n },
    { a: constantVector(engine, R - 1n, domainSize), b: mulVectors(engine, a, b), blinder: 0n },
  ];
  const { onCoset } = await sumOfProducts(engine, domainSize, products, rootOfUnity(engine, 2 * domainSize));
  return onCoset;
}

/** A w and B w, each `[domainSize]`. The key's coefficients are in Montgomery form twice over: products come out in it. */
function evaluateRows(
  engine: Engine,
  { coefficients, domainSize }: ProverKey,
  wires: Uint8Array,
): [FieldVector, FieldVector] {
  const view = new DataView(coefficients.buffer, coefficients.byteOffset, coefficients.byteLength);
  const bytes = domainSize * ELEMENT_BYTES;
  return engine.sync(({ call, put, alloc, clear, get }) => {
    const values = put(wires);
    const entries = put(coefficients);
    const product = alloc(ELEMENT_BYTES);
    const rows = alloc(2 * bytes);
    clear(rows, 2 * bytes);
    for (let at = 0; at < coefficients.length; at += COEFFICIENT_BYTES) {
      const [matrix, row, wire] = [0, 4, 8].map((offset) => view.getUint32(at + offset, true)) as [
        number,
        number,
        number,
      ];
      const sum = rows + matrix * bytes + row * ELEMENT_BYTES;
      call.frm_mul!(entries + at + 12, values + wire * ELEMENT_BYTES, product);
      call.frm_add!(sum, product, sum);
    }
    return [get(rows, bytes), get(rows + bytes, bytes)];
  });
}

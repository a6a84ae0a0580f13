import {
  constantVector,
  dotVectors,
  type Engine,
  type FieldVector,
  Fr,
  type G1Point,
  type G2Point,
  placeVector,
  scaleVector,
  subVector,
  vectorLength,
  zeroVector,
} from '../algebra/index.js';
import type { VerificationKey } from '../circuit/verificationKey.js';
import { absorbFinal, drawFold, drawResponse } from './challenges.js';
import { formBases, formPoint, formVector } from './linearForm.js';
import type { GroupProof } from './proof.js';
import type { PairingTerms } from './sumVerify.js';
import type { Transcript } from './transcript.js';

/** Challenges of one linear-form proof. */
export interface LinearFormChallenges {
  readonly x: bigint;
  readonly c: bigint;
  readonly folds: readonly bigint[];
}

/** Replays the transcript of one linear-form proof. */
export function replayLinearForm(transcript: Transcript, proof: GroupProof): LinearFormChallenges {
  const { linearForm } = proof;
  const { x, c } = drawResponse(transcript, linearForm);
  const folds = linearForm.rounds.map(({ left, right }) => drawFold(transcript, left, right));
  absorbFinal(transcript, linearForm.final);
  return { x, c, folds };
}

/**
 * Adds the final equation of a linear-form proof, times `weight`, to a pairing product.
 *
 * P_0 = D_r + x D + c (s_r + x S) U; P_i = left_i + f_i P_(i-1) + f_i^2 right_i; the last P must equal
 * final * (G + L U), where G and L are the bases and the scaled form folded by f_i low + high. docs/protocol.md,
 * "Linear form".
 *
 * @param pairs of the group
 * @param key whose points of mu, b, and p and q of the pairs are the bases: exactly these, not those of the constant,
 * of y, and of the circuit's other places, which are zero for that reason
 */
export function addLinearFormEquation(
  engine: Engine,
  product: PairingTerms,
  g2: G2Point,
  weight: bigint,
  proof: GroupProof,
  challenges: LinearFormChallenges & { readonly rho: bigint },
  pairs: number,
  key: VerificationKey,
): void {
  const { linearForm } = proof;
  const { rho, x, c, folds } = challenges;
  // scale = product of the folds still to come
  let scale = weight;
  for (let i = folds.length - 1; i >= 0; i--) {
    const { left, right } = linearForm.rounds[i]!;
    const fold = folds[i]!;
    product.add(g2, scale, left);
    product.add(g2, Fr.mul(scale, Fr.sqr(fold)), right);
    scale = Fr.mul(scale, fold);
  }
  product.add(g2, scale, linearForm.mask);
  product.add(g2, Fr.mul(scale, x), proof.committed);
  const value = Fr.mul(c, Fr.add(linearForm.maskValue, Fr.mul(x, proof.formValue)));

  const factor = Fr.neg(Fr.mul(weight, linearForm.final));
  // the padding behind them has no base, and a coefficient of zero in the form
  const coefficients = subVector(foldCoefficients(engine, folds, factor), 0, 2 * pairs + 2);
  const form = dotVectors(engine, coefficients, formVector(engine, rho, pairs));
  product.add(g2, Fr.add(Fr.mul(scale, value), Fr.mul(c, form)), formPoint() as G1Point);
  const [first, q] = formBases(key, pairs);
  product.addMany(g2, subVector(coefficients, 0, 2 + pairs), first);
  product.addMany(g2, subVector(coefficients, 2 + pairs, pairs), q);
}

/** `factor` times the weight of each original base in the folded one: the low half of round i takes fold i, the high half 1. */
function foldCoefficients(engine: Engine, folds: readonly bigint[], factor: bigint): FieldVector {
  let coefficients = constantVector(engine, factor, 1);
  for (let i = folds.length - 1; i >= 0; i--) {
    const half = vectorLength(coefficients);
    const doubled = zeroVector(2 * half);
    placeVector(doubled, scaleVector(engine, coefficients, folds[i]!), 0);
    placeVector(doubled, coefficients, half);
    coefficients = doubled;
  }
  return coefficients;
}

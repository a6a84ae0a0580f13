import {
  type Engine,
  type FieldVector,
  Fr,
  type G2Point,
  g1Generator,
  g2Generator,
  type PairingProduct,
  rootOfUnity,
  scaleVector,
} from '../algebra/index.js';
import type { SumProof } from './proof.js';

/** Why a well-formed proof is refused. */
export type InvalidReason =
  | 'PARAMETERS_DEVELOPMENT'
  | 'WRONG_PARAMETERS'
  | 'WRONG_ADAPTER'
  | 'WRONG_SESSION'
  | 'RANK_CHECK_REFUSED'
  | 'INCOMPLETE'
  | 'GROUP_STRUCTURE'
  | 'GROTH16_INVALID'
  | 'LINEAR_FORM_INVALID'
  | 'OPENING_INVALID';

/** Collects the terms of a pairing product; `PairingProduct` is one. */
export type PairingTerms = Pick<PairingProduct, 'add' | 'addMany'>;

/** One equation of a proof, as terms of a pairing product; both parts of it times the same weight. */
export interface Equation {
  readonly reason: InvalidReason;
  readonly message: string;
  /** Adds all terms but those of {@link Equation.addClaim}. */
  add(product: PairingTerms, weight: bigint): void;
  /** Adds what the outputs of the session say; with {@link Equation.add}, or later, when they have been folded. */
  addClaim?(product: PairingTerms, weight: bigint): void;
}

/** Adds a whole equation, times a weight, to a pairing product. */
export function addEquation(equation: Equation, product: PairingTerms, weight: bigint): void {
  equation.add(product, weight);
  equation.addClaim?.(product, weight);
}

/** Points, 64 bytes each, with their coefficients in a sum. */
export interface WeightedPoints {
  readonly scalars: FieldVector;
  readonly bases: Uint8Array;
}

/**
 * The two KZG openings of a sum argument.
 *
 * Lambda = (known) + phi - Z_H(z) Q opens at z to total/N + e, and phi at w z to e. docs/protocol.md, "The sum
 * argument".
 *
 * @param known the verifier's own part of [Lambda]: committed rows and masks with their coefficients
 * @param total the sum over H, or what gives it later: then `addClaim` adds it
 * @param falseSum message when the rows do not sum to the total
 * @param opened sum of the weighted values of what is opened at z beside Lambda; their points are among the known ones
 */
export function sumEquations(
  engine: Engine,
  domainSize: number,
  known: readonly WeightedPoints[],
  total: bigint | (() => bigint),
  proof: SumProof,
  z: bigint,
  tauG2: G2Point,
  falseSum: string,
  opened = 0n,
): Equation[] {
  const g2 = g2Generator(engine);
  const g1 = g1Generator(engine);
  const share = (sum: bigint) => Fr.div(sum, BigInt(domainSize));
  const later = typeof total === 'function' ? total : undefined;
  const early = typeof total === 'function' ? 0n : share(total);
  const value = Fr.add(Fr.add(early, proof.shifted), opened);
  const vanishing = Fr.sub(Fr.pow(z, BigInt(domainSize)), 1n);
  const shiftedPoint = Fr.mul(z, rootOfUnity(engine, domainSize));
  return [
    {
      reason: 'OPENING_INVALID',
      message: falseSum,
      add: (product, weight) => {
        for (const { scalars, bases } of known) {
          product.addMany(g2, weight === 1n ? scalars : scaleVector(engine, scalars, weight), bases);
        }
        product.add(g2, weight, proof.runningSum);
        product.add(g2, Fr.neg(Fr.mul(weight, vanishing)), proof.quotient);
        product.add(g2, Fr.neg(Fr.mul(weight, value)), g1);
        product.add(g2, Fr.mul(weight, z), proof.opening);
        product.add(tauG2, Fr.neg(weight), proof.opening);
      },
      ...(later && {
        addClaim: (product, weight) => product.add(g2, Fr.neg(Fr.mul(weight, share(later()))), g1),
      }),
    },
    {
      reason: 'OPENING_INVALID',
      message: 'the shifted opening of the running sum does not hold',
      add: (product, weight) => {
        product.add(g2, weight, proof.runningSum);
        product.add(g2, Fr.neg(Fr.mul(weight, proof.shifted)), g1);
        product.add(g2, Fr.mul(weight, shiftedPoint), proof.shiftedOpening);
        product.add(tauG2, Fr.neg(weight), proof.shiftedOpening);
      },
    },
  ];
}

import {
  type Engine,
  type FieldVector,
  Fr,
  placeVector,
  powersVector,
  zeroVector,
} from '../algebra/index.js';

/**
 * Last places of H that no pair takes: one blinds p where q is zero, two blind q where p is zero.
 * docs/protocol.md, "The KZG rank check".
 */
export const BLINDER_PLACES = 3;

/** Number of the first pair of each block of a proof, and how many pairs the block has. */
export function blocksOf(pairs: number, domainSize: number): { first: number; size: number }[] {
  const capacity = domainSize - BLINDER_PLACES;
  const count = Math.ceil(pairs / capacity);
  return Array.from({ length: count }, (_, g) => {
    const first = g * capacity;
    return { first, size: Math.min(capacity, pairs - first) };
  });
}

/** Public weights of one block on H, `[N]` each. */
export interface BlockWeights {
  /** r: ties p to the rows of A, and to zero where no pair stands, but at its blinder. */
  readonly r: FieldVector;
  /** s: ties q to the columns of B, and to zero at the blinder of p. */
  readonly s: FieldVector;
}

/**
 * Weights r and s of every block: powers of rho, each used once, above those of the rows.
 *
 * @param pairs of the whole proof
 */
export function blockWeights(engine: Engine, domainSize: number, pairs: number, rho: bigint): BlockWeights[] {
  const blinderOfP = domainSize - BLINDER_PLACES;
  const power = (exponent: number) => Fr.pow(rho, BigInt(exponent));
  return blocksOf(pairs, domainSize).map(({ first, size }, g) => {
    const powers = (from: number, length: number) => powersVector(engine, rho, length, power(from));
    const zeros = 2 * pairs + g * domainSize + 1;
    const r = zeroVector(domainSize);
    placeVector(r, powers(first + 1, size), 0);
    placeVector(r, powers(zeros + size, domainSize - size), size);
    placeVector(r, zeroVector(1), blinderOfP);
    const s = zeroVector(domainSize);
    placeVector(s, powers(pairs + first + 1, size), 0);
    placeVector(s, powers(zeros + blinderOfP, 1), blinderOfP);
    return { r, s };
  });
}

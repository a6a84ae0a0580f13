/**
 * Sizes of the registration proof. docs/protocol.md, "Registration proof".
 *
 * A row with an entry of 2^103 or more survives one combination and its three sketches with probability at most
 * 1/2 + 1/2 * 2^-3 = 9/16, and (9/16)^155 = (3/4)^310 < 2^-128.
 */

/** Random 0/1 combinations of all committed rows; each costs the prover one product of polynomials. */
export const COMBINATIONS = 155;

/** Random 0/1 sketches of each combination; each costs the proof 13 bytes. */
export const SKETCHES_EACH = 3;

/** Numbers v_i in a proof, and places of the mask row G: below the smallest domain, 512. */
export const SKETCHES = COMBINATIONS * SKETCHES_EACH;

/** Masks are uniform in [0, 2^100): they hide sums of 16-bit weights (below 2^53) up to 2^-38 for all sketches. */
export const MASK_BITS = 100;

/** The verifier accepts |v_i| < 2^101. */
export const SKETCH_BOUND = 2n ** 101n;

/** v_i in two's complement: 103 bits and a sign. */
export const SKETCH_BYTES = 13;

/**
 * rank * inFeatures of a module stays below this: with entries below 2^103 and int16 activations every output is
 * then below 2^(103 + 103 + 15 + 31) = 2^252 < R / 2, so that equality in F is equality of integers.
 */
export const MAX_MODULE_PRODUCTS = 2 ** 31;

/** Named maxima of everything about an adapter that is counted from outside, each with its reason. */

/** Rank of one module: so many pairs the largest circuit of the rank check by Groth16 holds. */
export const MAX_RANK = 4095;

/**
 * Input or output features of a module: the largest evaluation domain whose structured reference string
 * (64 MiB of points) is practical; larger than any vocabulary in use.
 */
export const MAX_FEATURES = 2 ** 20;

/** Modules of one adapter: 126 layers of 7 projections need 882. */
export const MAX_MODULES = 4096;

/** Sum of the ranks of one adapter; bounds the committed points to 2^17 and the commitment file to 32 MiB. */
export const MAX_TOTAL_RANK = 65_536;

/** Characters of a module's path; PyTorch paths of published models stay below 100. */
export const MAX_NAME_LENGTH = 256;

/** Size of an adapter commitment file: 2^17 points of 128 hex digits, with room for punctuation. */
export const MAX_COMMITMENT_BYTES = 32 * 2 ** 20;

/** Size of a registration proof: 465 sketches of 13 bytes, a few points and ids, with room to grow. */
export const MAX_REGISTRATION_PROOF_BYTES = 20_000;

/** Smallest evaluation domain: the registration proof places 465 sketches on it. */
export const MIN_DOMAIN_SIZE = 512;

/** Largest evaluation domain, see {@link MAX_FEATURES}. */
export const MAX_DOMAIN_SIZE = MAX_FEATURES;

/** Bits of a quantised magnitude: int16 without -32768. */
export const MAGNITUDE_BITS = 15;

/**
 * Fewest magnitude bits a matrix may be quantised with when 15 would overflow 64-bit outputs: rounding error
 * at most 2^-12 of the largest weight, what bfloat16 gives or better.
 */
export const MIN_MAGNITUDE_BITS = 12;

/** Exponent of the smallest float32 (2^-149) in 15 bits: -149 - 14. */
export const MIN_EXPONENT = -163;

/** Exponent of the largest float32 (just below 2^128) in 12 bits, after rounding up: 128 - 11. */
export const MAX_EXPONENT = 117;

/**
 * Range of |alpha / r|. Together with the exponents it keeps every factor of a delta a normal float64:
 * 2^(3 * 117 + 63 + 64) and 2^(3 * -163 - 64) are far inside.
 */
export const MAX_SCALING = 2 ** 64;
export const MIN_SCALING = 2 ** -64;

/** Paths of modules: dot-separated components of letters, digits, `_` and `-`, as PyTorch models have them. */
export const MODULE_NAME = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;

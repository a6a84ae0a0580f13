import type { Engine } from './engine.js';
import { Fr } from './scalar.js';
import {
  constantVector,
  type FieldVector,
  invertVector,
  mulVectors,
  powersVector,
  subVectors,
} from './vector.js';

/** Generator of the whole multiplicative group of F: 5 * H never meets H. Prover's choice, not in any proof. */
export const COSET_SHIFT = 5n;

/** Generator w of H, the subgroup of order `size`: ffjavascript's and snarkjs's choice, 5^((R-1)/2^28) squared down. */
export function rootOfUnity(engine: Engine, size: number): bigint {
  return engine.curve.Fr.toObject(engine.curve.Fr.w[Math.log2(size)]!);
}

/**
 * `(L_0(z), ..., L_(N-1)(z))`, the Lagrange basis of H at a point outside H; zeros for a point of H.
 *
 * L_i(z) = c / (z w^-i - 1), c = (z^N - 1) / N.
 */
export function lagrangeAt(engine: Engine, size: number, z: bigint): FieldVector {
  const c = Fr.div(Fr.sub(Fr.pow(z, BigInt(size)), 1n), BigInt(size));
  if (c === 0n) return constantVector(engine, 0n, size);
  const inverse = Fr.inv(c);
  const ratios = powersVector(engine, Fr.inv(rootOfUnity(engine, size)), size, Fr.mul(z, inverse));
  return invertVector(engine, subVectors(engine, ratios, constantVector(engine, inverse, size)));
}

/** Coefficients (lowest first) of the polynomial with the given values on H. */
export function interpolate(engine: Engine, values: FieldVector): FieldVector {
  return engine.sync(({ call, put, get }) => {
    const address = put(values);
    call.frm_ifft!(address, values.byteLength / 32);
    return get(address, values.byteLength);
  });
}

/** Values on the coset 5H of a polynomial with at most N coefficients. */
export function evaluateOnCoset(engine: Engine, coefficients: FieldVector): FieldVector {
  const size = coefficients.byteLength / 32;
  const shifted = mulVectors(engine, coefficients, powersVector(engine, COSET_SHIFT, size));
  return engine.sync(({ call, put, get }) => {
    const address = put(shifted);
    call.frm_fft!(address, size);
    return get(address, shifted.byteLength);
  });
}

/** Coefficients of the polynomial of degree below N with the given values on 5H. */
export function interpolateFromCoset(engine: Engine, values: FieldVector): FieldVector {
  const size = values.byteLength / 32;
  return mulVectors(engine, interpolate(engine, values), powersVector(engine, Fr.inv(COSET_SHIFT), size));
}

/** Z_H on a coset of H, 5H by default, where it is constant: shift^N - 1. */
export function vanishingOnCoset(size: number, shift = COSET_SHIFT): bigint {
  return Fr.sub(Fr.pow(shift, BigInt(size)), 1n);
}

import { bn254 } from '@noble/curves/bn254.js';
import { bytesToNumberBE, numberToBytesBE } from '@noble/curves/utils.js';
import { randomBytes } from '@noble/hashes/utils.js';
import { ZkLoraError } from '../errors.js';

/** Order of the scalar field of BN254: the field F of docs/protocol.md. */
export const R = bn254.fields.Fr.ORDER;

/** Order of the base field of BN254. */
export const Q = bn254.fields.Fp.ORDER;

/** Bytes of an encoded scalar or base-field element. */
export const SCALAR_BYTES = 32;

/** Arithmetic in F on bigints; for single values, never for arrays. */
export const Fr = bn254.fields.Fr;

/** Uniform non-zero scalar from the operating system's randomness (384 bits reduced: bias below 2^-128). */
export function randomScalar(): bigint {
  for (;;) {
    const value = scalarFromWideBytes(randomBytes(48));
    if (value !== 0n) return value;
  }
}

/** Big-endian bytes of any length as an integer reduced mod R. */
export function scalarFromWideBytes(bytes: Uint8Array): bigint {
  return bytesToNumberBE(bytes) % R;
}

/** A scalar as 32 bytes, big-endian. */
export function encodeScalar(scalar: bigint): Uint8Array {
  return numberToBytesBE(scalar, SCALAR_BYTES);
}

/**
 * Reads a scalar from 32 bytes, big-endian.
 *
 * @throws ZkLoraError `SCALAR_INVALID` for another length or a value that is not below R.
 */
export function decodeScalar(bytes: Uint8Array): bigint {
  if (bytes.length !== SCALAR_BYTES) throw new ZkLoraError('SCALAR_INVALID', 'a scalar takes 32 bytes');
  const value = bytesToNumberBE(bytes);
  if (value >= R) throw new ZkLoraError('SCALAR_INVALID', 'scalar is not below the field order');
  return value;
}

import { decodeG1Batch } from '../algebra/decodeBatch.js';
import type { Engine } from '../algebra/engine.js';
import {
  decodeG1,
  decodeG2,
  encodeG1,
  encodeG2,
  G1_BYTES,
  type G1Point,
  G2_BYTES,
  type G2Point,
} from '../algebra/points.js';
import { concatBytes, equalBytes, hexToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { MAX_PAIRS, publicSignalCount } from './size.js';

/** Groth16 verification key of RankCheck(K). */
export interface VerificationKey {
  /** K. */
  readonly pairs: number;
  readonly alpha: G1Point;
  readonly beta: G2Point;
  /** Always the generator of G2: snarkjs keeps gamma = 1 and re-randomises delta only. */
  readonly gamma: G2Point;
  readonly delta: G2Point;
  /**
   * The public-input points IC, `[2K + 4]`, affine in ffjavascript's form, 64 bytes each; order: the constant,
   * y, mu, b, p[0..K-1], q[0..K-1].
   */
  readonly ic: Uint8Array;
}

/** Positions in {@link VerificationKey.ic}; q starts at `p + K`. */
export const IC_INDEX = { constant: 0, y: 1, mu: 2, b: 3, p: 4 } as const;

/** Generator of G2 (EIP-197), x.c1 | x.c0 | y.c1 | y.c0, big-endian. */
const G2_GENERATOR_HEX =
  '198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2' +
  '1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed' +
  '090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b' +
  '12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa';

let generator: G2Point | undefined;

const HEADER_BYTES = G1_BYTES + 3 * G2_BYTES;

/** Number of points IC. */
export function icCount(pairs: number): number {
  return publicSignalCount(pairs) + 1;
}

/** Length of an encoded key. */
export function verificationKeyBytes(pairs: number): number {
  return HEADER_BYTES + icCount(pairs) * G1_BYTES;
}

/**
 * Reads a key: alpha (64 bytes) | beta | gamma | delta (128 each) | IC (64 each), uncompressed big-endian.
 *
 * Refuses keys under which anything verifies or under which D does not bind its opening:
 * gamma other than the generator; delta equal to gamma or its negative (a key without phase-2 contribution has
 * delta = gamma, and a proof for any statement is then C = -(IC sum) with alpha and beta); two IC points with
 * the same x (equal or opposite bases).
 *
 * @param pairs K, from the parameter set
 * @param engine makes the checks of the points some ten times as fast
 * @throws ZkLoraError `PARAMETERS_MALFORMED`.
 */
export function parseVerificationKey(bytes: Uint8Array, pairs: number, engine?: Engine): VerificationKey {
  if (!Number.isInteger(pairs) || pairs < 1 || pairs > MAX_PAIRS) {
    throw malformed(pairs, `K must lie between 1 and ${MAX_PAIRS}`);
  }
  const expected = verificationKeyBytes(pairs);
  if (bytes.length !== expected) throw malformed(pairs, `expected ${expected} bytes, got ${bytes.length}`);

  let at = 0;
  const next = <T>(length: number, decode: (part: Uint8Array) => T, name: string): T => {
    const part = bytes.subarray(at, at + length);
    at += length;
    try {
      return decode(part);
    } catch (cause) {
      throw malformed(pairs, `${name} is no valid point`, cause);
    }
  };
  const alpha = next(G1_BYTES, decodeG1, 'alpha');
  const beta = next(G2_BYTES, decodeG2, 'beta');
  const gamma = next(G2_BYTES, decodeG2, 'gamma');
  const delta = next(G2_BYTES, decodeG2, 'delta');
  generator ??= decodeG2(hexToBytes(G2_GENERATOR_HEX));
  if (!equalBytes(gamma, generator)) {
    throw malformed(pairs, 'gamma is not the generator');
  }
  if (sameAbscissa(delta, gamma, G2_BYTES)) {
    throw malformed(
      pairs,
      'delta equals gamma up to sign: the key has no phase-2 contribution and proves nothing',
    );
  }

  const ic = new Uint8Array(icCount(pairs) * G1_BYTES);
  const valid = engine && validPoints(engine, bytes.subarray(at));
  if (valid) ic.set(valid);
  else {
    for (let i = 0; i < icCount(pairs); i++) ic.set(next(G1_BYTES, decodeG1, `IC[${i}]`), i * G1_BYTES);
  }
  const abscissas = new Set<string>();
  for (let from = 0; from < ic.length; from += G1_BYTES) {
    abscissas.add(String.fromCharCode(...ic.subarray(from, from + G1_BYTES / 2)));
  }
  if (abscissas.size !== icCount(pairs)) throw malformed(pairs, 'two IC points are equal up to sign');
  return { pairs, alpha, beta, gamma, delta, ic };
}

/** Points in the engine's form; undefined if one of them is not valid, for the caller to find and name. */
function validPoints(engine: Engine, bytes: Uint8Array): Uint8Array | undefined {
  try {
    return decodeG1Batch(engine, bytes);
  } catch (error) {
    if (error instanceof ZkLoraError && error.code === 'POINT_INVALID') return undefined;
    throw error;
  }
}

/** Writes a key in the form that {@link parseVerificationKey} reads. */
export function encodeVerificationKey(key: Omit<VerificationKey, 'pairs'>): Uint8Array {
  const points: Uint8Array[] = [];
  for (let at = 0; at < key.ic.length; at += G1_BYTES) {
    points.push(encodeG1(key.ic.slice(at, at + G1_BYTES) as G1Point));
  }
  return concatBytes(
    encodeG1(key.alpha),
    encodeG2(key.beta),
    encodeG2(key.gamma),
    encodeG2(key.delta),
    ...points,
  );
}

/** P = Q or P = -Q. */
function sameAbscissa(a: Uint8Array, b: Uint8Array, pointBytes: number): boolean {
  return equalBytes(a.subarray(0, pointBytes / 2), b.subarray(0, pointBytes / 2));
}

function malformed(pairs: number, reason: string, cause?: unknown): ZkLoraError {
  return new ZkLoraError(
    'PARAMETERS_MALFORMED',
    `verification key for ${pairs} pairs refused: ${reason}; fetch the parameter set again or make a new one`,
    cause === undefined ? {} : { cause },
  );
}

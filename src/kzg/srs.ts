import {
  type Engine,
  G1_BYTES,
  type G2Point,
  g1Generator,
  g2Generator,
  lagrangeAt,
  powersVector,
} from '../algebra/index.js';
import { ZkLoraError } from '../errors.js';
import { arePowersInG1, isLagrangeBasis } from './consistency.js';
import { multiplyGenerator } from './fixedBase.js';

/**
 * Prover's part of a structured reference string for one domain size N.
 *
 * Buffers hold affine points in ffjavascript's form, 64 bytes each.
 */
export interface ProverSrs {
  /** N, a power of two. */
  readonly domainSize: number;
  /** tau^i G for i = 0..N+2, `[N + 3]`. */
  readonly powers: Uint8Array;
  /** L_i(tau) G for the Lagrange basis on H = {1, w, w^2, ..}, `[N]`; w as `rootOfUnity` gives it. */
  readonly lagrange: Uint8Array;
}

/**
 * Powers of tau beyond the domain size: a polynomial blinded with (b0 + b1 X + b2 X^2) Z_H has degree N + 2
 * (docs/protocol.md, the running sum phi).
 */
export const EXTRA_POWERS = 3;

/**
 * Reads the points of one domain.
 *
 * The bytes are trusted: their digests stand in the parameter set, and a set is checked when it is made or
 * imported ({@link srsIsConsistent}).
 *
 * @param powers uncompressed points, x | y big-endian; at least N + 3 of them, the rest is ignored
 * @param lagrange uncompressed points, exactly N
 * @throws ZkLoraError `PARAMETERS_MALFORMED` for buffers of another length.
 */
export async function decodeSrs(
  engine: Engine,
  domainSize: number,
  powers: Uint8Array,
  lagrange: Uint8Array,
): Promise<ProverSrs> {
  const powersBytes = (domainSize + EXTRA_POWERS) * G1_BYTES;
  if (powers.length < powersBytes || lagrange.length !== domainSize * G1_BYTES) {
    throw new ZkLoraError(
      'PARAMETERS_MALFORMED',
      `the points for domain ${domainSize} have the wrong length; fetch the parameter set again`,
    );
  }
  const { G1 } = engine.curve;
  return {
    domainSize,
    powers: await G1.batchUtoLEM(powers.subarray(0, powersBytes)),
    lagrange: await G1.batchUtoLEM(lagrange),
  };
}

/** Points in ffjavascript's form as uncompressed big-endian x | y, the form of the files. */
export function encodeSrsPoints(engine: Engine, points: Uint8Array): Promise<Uint8Array> {
  return engine.curve.G1.batchLEMtoU(points);
}

/**
 * Computes the string of a known tau. For development and tests: who knows tau can open any commitment to
 * any value.
 */
export async function srsFromSecret(engine: Engine, tau: bigint, domainSize: number): Promise<ProverSrs> {
  return {
    domainSize,
    powers: await multiplyGenerator(engine, 'G1', powersVector(engine, tau, domainSize + EXTRA_POWERS)),
    lagrange: await multiplyGenerator(engine, 'G1', lagrangeAt(engine, domainSize, tau)),
  };
}

/**
 * Whether powers, Lagrange points and tau G2 belong to one tau other than 0 and 1.
 *
 * Randomised: see {@link arePowersInG1} (with P_0 = G) and {@link isLagrangeBasis}. A wrong point passes with
 * probability below 2 N / R. The points must lie on the curve.
 */
export async function srsIsConsistent(engine: Engine, srs: ProverSrs, tauG2: G2Point): Promise<boolean> {
  const { G1, G2 } = engine.curve;
  const { powers, lagrange } = srs;
  const first = powers.slice(0, G1_BYTES);
  if (!G1.eq(first, g1Generator(engine)) || G2.eq(tauG2, g2Generator(engine))) return false;

  if (!(await arePowersInG1(engine, powers, tauG2))) return false;
  return isLagrangeBasis(engine, 'G1', powers, lagrange);
}

import { bytesToHex } from './bytes.js';
import { type G1Point, G2, type G2Point, g1FromBytes, g2FromBytes } from './points.js';
import { demand } from './refusal.js';

/** A Groth16 verification key of RankCheck(K). */
export interface ReferenceKey {
  readonly alpha: G1Point;
  readonly beta: G2Point;
  readonly gamma: G2Point;
  readonly delta: G2Point;
  /** IC_0 .. IC_(2K+3). */
  readonly ic: readonly G1Point[];
}

/** Reads rank_check_K.vkey (docs/formats.md, "Parameter set"); refuses keys under which proofs can be forged. */
export function parseVerificationKey(file: Uint8Array, pairs: number): ReferenceKey {
  demand(file.length === 448 + 64 * (2 * pairs + 4), 'verification key: wrong length');
  const [beta, gamma, delta] = [64, 192, 320].map((at, i) =>
    g2FromBytes(file.subarray(at, at + 128), ['beta', 'gamma', 'delta'][i]!),
  ) as [G2Point, G2Point, G2Point];
  demand(gamma.equals(G2.BASE), 'verification key: gamma is not the generator');
  demand(!delta.equals(gamma) && !delta.equals(gamma.negate()), 'verification key: delta = +-gamma');
  const ic: G1Point[] = [];
  const seen = new Set<string>();
  for (let at = 448; at < file.length; at += 64) {
    ic.push(g1FromBytes(file.subarray(at, at + 64), `IC_${ic.length}`));
    seen.add(bytesToHex(file.subarray(at, at + 32)));
  }
  demand(seen.size === ic.length, 'verification key: two IC points are equal or opposite');
  return { alpha: g1FromBytes(file.subarray(0, 64), 'alpha'), beta, gamma, delta, ic };
}

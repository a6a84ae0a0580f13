import { inner, mod, powers } from './field.js';
import type { G1Point } from './points.js';
import type { ReferenceBlockProof } from './proof.js';

/** P_g of each block: C = N - 3 pairs in all but the last (docs/protocol.md, "The KZG rank check"). */
export function blockSizes(pairs: number, domainSize: number): number[] {
  const capacity = domainSize - 3;
  const sizes: number[] = [];
  for (let left = pairs; left > 0; left -= capacity) sizes.push(Math.min(left, capacity));
  return sizes;
}

/** Values of r_g and s_g on H, N each. */
export interface BlockWeights {
  readonly r: readonly bigint[];
  readonly s: readonly bigint[];
}

/** r_g and s_g of every block; no power of rho stands at two places. */
export function blockWeights(domainSize: number, pairs: number, rho: bigint): BlockWeights[] {
  const [N, P, C] = [domainSize, pairs, domainSize - 3];
  const sizes = blockSizes(pairs, domainSize);
  const rhoTo = powers(rho, 2 * P + sizes.length * N + 1);
  return sizes.map((size, g) => {
    const [r, s] = [new Array<bigint>(N).fill(0n), new Array<bigint>(N).fill(0n)];
    for (let i = 0; i < N; i++) {
      if (i < size) {
        r[i] = rhoTo[g * C + i + 1]!;
        s[i] = rhoTo[P + g * C + i + 1]!;
      } else if (i === N - 3) s[i] = rhoTo[2 * P + g * N + i + 1]!;
      else r[i] = rhoTo[2 * P + g * N + i + 1]!;
    }
    return { r, s };
  });
}

/** What the blocks add to equation (5'). */
export interface BlockTerms {
  /** [p_g] and [q_g], with their scalars in Lambda + sum nu^(g+1) q_g. */
  readonly points: readonly G1Point[];
  readonly scalars: readonly bigint[];
  /** sum nu^(g+1) qhat_g */
  readonly opened: bigint;
}

/** Terms of (5') from the values of the weights on H; `lagrange` holds L_0(z) .. L_(N-1)(z). */
export function blockTerms(
  blocks: readonly ReferenceBlockProof[],
  weights: readonly BlockWeights[],
  lagrange: readonly bigint[],
  nu: bigint,
): BlockTerms {
  const nus = powers(nu, blocks.length + 1).slice(1);
  return {
    points: blocks.flatMap(({ p, q }) => [p.value, q.value]),
    scalars: blocks.flatMap(({ qAtZ }, g) => [
      mod(qAtZ.value - inner(weights[g]!.r, lagrange)),
      mod(nus[g]! - inner(weights[g]!.s, lagrange)),
    ]),
    opened: inner(
      nus,
      blocks.map(({ qAtZ }) => qAtZ.value),
    ),
  };
}

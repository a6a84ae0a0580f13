import type { FormChallenges } from './challenges.js';
import { inner, inverse, mod, power, powers, rootOfUnity } from './field.js';
import { combine, G1, type G1Point, G2, type G2Point, hashToPoint, productIsOne, times } from './points.js';
import type { ReferenceGroupProof, ReferenceProof } from './proof.js';
import type { ReferenceKey } from './verificationKey.js';

/** The point of unknown logarithm that carries the value of the form. */
const U = hashToPoint('zklora/linear-form/U/v1');

/** Equation (2): Groth16 with the public-input point IC_0 + claim IC_1 + D. */
export function groth16Holds(key: ReferenceKey, claim: bigint, proof: ReferenceGroupProof): boolean {
  const publicPoint = key.ic[0]!.add(times(claim, key.ic[1]!)).add(proof.d.value);
  return productIsOne([
    [proof.a.value.negate(), proof.b.value],
    [key.alpha, key.beta],
    [publicPoint, key.gamma],
    [proof.c.value, key.delta],
  ]);
}

/** Equation (4): the folded linear form on D. */
export function linearFormHolds(
  key: ReferenceKey,
  pairs: number,
  proof: ReferenceGroupProof,
  rho: bigint,
  { x, c, folds }: FormChallenges,
): boolean {
  const length = 2 * pairs + 2;
  const ell = [1n, 0n, ...powers(rho, 2 * pairs + 1).slice(1)];
  let point = combine(
    [proof.dr.value, proof.d.value, U],
    [1n, x, c * mod(proof.sr.value + x * proof.s.value)],
  );
  proof.rounds.forEach(({ left, right }, round) => {
    const fold = folds[round]!;
    point = combine([left.value, point, right.value], [1n, fold, fold * fold]);
  });
  const s = Array.from({ length }, (_, j) =>
    folds.reduce(
      (product, fold, round) => ((j >> (folds.length - 1 - round)) & 1 ? product : mod(product * fold)),
      1n,
    ),
  );
  const lastForm = mod(c * inner(s, ell));
  // mu, b and p are beside each other, q stands behind the circuit's last p
  const circuit = (key.ic.length - 4) / 2;
  const bases = [...key.ic.slice(2, 4 + pairs), ...key.ic.slice(4 + circuit, 4 + circuit + pairs)];
  const lastBase = combine([...bases, U], [...s, lastForm]);
  return point.equals(times(proof.final.value, lastBase));
}

/** What the sum argument needs beside phi, Q, e, W and W'. */
export interface SumStatement {
  readonly domainSize: number;
  readonly tauG2: G2Point;
  /** Points that are opened at z together with phi and Q, and their scalars. */
  readonly points: readonly G1Point[];
  readonly scalars: readonly bigint[];
  /** S */
  readonly total: bigint;
  /** Version 2: sum nu^(g+1) qhat_g; else 0. */
  readonly opened: bigint;
  readonly z: bigint;
}

/** The G1 points that (5) or (5'), and (6), pair with G2; W and W' are paired with tau G2. */
export function openingPoints(
  { domainSize, points, scalars, total, opened, z }: Omit<SumStatement, 'tauG2'>,
  proof: ReferenceProof,
): { atZ: G1Point; atShifted: G1Point } {
  const e = proof.e.value;
  const value = mod(total * inverse(BigInt(domainSize)) + e + opened);
  const vanishing = mod(power(z, BigInt(domainSize)) - 1n);
  const lambda = combine([...points, proof.phi.value, proof.q.value], [...scalars, 1n, -vanishing]);
  const shifted = mod(rootOfUnity(domainSize) * z);
  return {
    atZ: lambda.add(combine([G1.BASE, proof.w.value], [-value, z])),
    atShifted: combine([proof.phi.value, G1.BASE, proof.wShifted.value], [1n, -e, shifted]),
  };
}

/** Equations (5) or (5'), and (6): openings of Lambda at z and of phi at w z. */
export function openingsHold(statement: SumStatement, proof: ReferenceProof): boolean {
  const { tauG2 } = statement;
  const { atZ, atShifted } = openingPoints(statement, proof);
  return (
    productIsOne([
      [atZ, G2.BASE],
      [proof.w.value.negate(), tauG2],
    ]) &&
    productIsOne([
      [atShifted, G2.BASE],
      [proof.wShifted.value.negate(), tauG2],
    ])
  );
}

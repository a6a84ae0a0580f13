import {
  type Engine,
  type FieldVector,
  Fr,
  type G1Point,
  type G2Point,
  g1Generator,
  g2Generator,
  interpolate,
  PairingProduct,
  powersVector,
  R,
  randomScalar,
  rootOfUnity,
  subVector,
  vectorFromScalars,
  vectorToScalars,
} from '../algebra/index.js';
import { sumPoints } from '../algebra/pointBatch.js';
import type { GroupName } from '../algebra/points.js';
import { equalBytes } from '../bytes.js';
import type { ConstraintSystem, SparseRow } from '../circuit/r1cs.js';
import { groth16DomainSize } from '../circuit/size.js';
import { ZkLoraError } from '../errors.js';
import { encodeCoefficients } from './keyCoefficients.js';
import type { KeyFile } from './keyFile.js';
import { haveSameRatio } from './knowledge.js';

/** Sections of a key that could not be checked for want of powers. */
export type UncheckedSections = readonly ('A, B, C, IC' | 'H')[];

/**
 * Checks that a proving key is that of a constraint system under the tau of the given powers and the key's own alpha,
 * beta and delta. With A_s, B_s, C_s the polynomials of wire s over Groth16's domain (snarkjs gives it a row for each
 * constraint and then one for the constant and each public signal, where A_s = 1 for that wire):
 *
 *     A: A_s(tau) G     B: B_s(tau) G in G1 and G2     H: L_(2i+1)(tau) / delta G, L the basis of twice the domain
 *     IC: (beta A_s + alpha B_s + C_s)(tau) G for the constant and the public signals    C: the same / delta
 *
 * Each section is checked by one random combination, wrong with probability below 2^-230. H may differ from the above
 * by a vector that no honest quotient meets, as it does where a .ptau file is just large enough for the circuit.
 *
 * @param key as `parseKeyFile` gives it
 * @param powers tau^i G, affine in ffjavascript's form, checked
 * @returns the sections that need more powers than there are: N for all but H, 2N - 1 for H
 * @throws ZkLoraError `PARAMETERS_MISMATCH` naming the first section that is wrong.
 */
export async function requireKeyOfCircuit(
  engine: Engine,
  key: KeyFile,
  system: ConstraintSystem,
  powers: Uint8Array,
): Promise<UncheckedSections> {
  const mismatch = (reason: string) =>
    new ZkLoraError(
      'PARAMETERS_MISMATCH',
      `proving key for ${key.pairs} pairs refused: ${reason}; it was made for another circuit or other powers of tau`,
    );
  const generators = [g1Generator(engine), g2Generator(engine)] as const;
  if (!equalBytes(key.gammaG2, generators[1])) throw mismatch('gamma is not the generator');
  if (!(await haveSameRatio(engine, [generators[0], key.betaG1], [generators[1], key.betaG2]))) {
    throw mismatch('beta differs between G1 and G2');
  }
  if (!equalBytes(key.coefficients, encodeCoefficients(system))) {
    throw mismatch('its coefficients are not those of the constraint system');
  }
  const size = groth16DomainSize(key.pairs);
  const available = powers.length / generators[0].length;
  if (available < size) return ['A, B, C, IC', 'H'];
  await requireMatrixSections(engine, key, system, powers, size, mismatch);
  if (available < 2 * size - 1) return ['H'];
  if (!(await isQuotientBasis(engine, key, powers, size))) throw mismatch('section H is wrong');
  return [];
}

async function requireMatrixSections(
  engine: Engine,
  key: KeyFile,
  system: ConstraintSystem,
  powers: Uint8Array,
  size: number,
  mismatch: (reason: string) => ZkLoraError,
): Promise<void> {
  const { G1, G2 } = engine.curve;
  const weights = powersVector(engine, randomScalar(), system.wires);
  const publicCount = system.publicSignals + 1;
  const low = await combineMatrices(engine, system, powers, size, weights, 0, publicCount);
  const high = await combineMatrices(engine, system, powers, size, weights, publicCount, system.wires);

  const sumOf = (group: GroupName, points: Uint8Array, from: number, to: number) =>
    sumPoints(engine, group, points, subVector(weights, from, to - from));
  const same = (sum: Uint8Array, a: Uint8Array, b: Uint8Array) => G1.eq(sum, addAffine(engine, a, b));
  if (!same(await sumOf('G1', key.a, 0, system.wires), low.a, high.a)) throw mismatch('section A is wrong');
  if (!same(await sumOf('G1', key.b1, 0, system.wires), low.b, high.b)) throw mismatch('section B1 is wrong');
  const b2Size = key.b2.length / system.wires;
  const b2Low = await sumOf('G2', key.b2, 0, publicCount);
  const b2High = await sumOf('G2', key.b2.subarray(publicCount * b2Size), publicCount, system.wires);
  const parts = [
    [low.b, b2Low],
    [high.b, b2High],
  ] as const;
  for (const [inG1, inG2] of parts) {
    // e(B, G2) = e(G, B'), where both are the identity or none
    const product = new PairingProduct(engine);
    product.add(g2Generator(engine), 1n, inG1);
    if (!G2.isZero(inG2)) product.add(inG2 as G2Point, Fr.neg(1n), g1Generator(engine));
    if (!(await product.isOne())) throw mismatch('section B2 is wrong');
  }

  const ic = await sumOf('G1', key.ic, 0, publicCount);
  const c = await sumOf('G1', key.c, publicCount, system.wires);
  const combined = [
    ['IC', ic, key.gammaG2, low, b2Low],
    ['C', c, key.deltaG2, high, b2High],
  ] as const;
  for (const [name, sum, denominator, matrices, b2] of combined) {
    // e(sum, gamma or delta) = e(A, beta) e(alpha, B') e(C, G2)
    const product = new PairingProduct(engine);
    product.add(denominator, Fr.neg(1n), sum);
    product.add(key.betaG2, 1n, matrices.a);
    if (!G2.isZero(b2)) product.add(b2 as G2Point, 1n, key.alphaG1);
    product.add(g2Generator(engine), 1n, matrices.c);
    if (!(await product.isOne())) throw mismatch(`section ${name} is wrong`);
  }
}

/** `sum_s weights[s] M_s(tau) G` for the wires `from <= s < to` and M each of the three matrices, affine. */
async function combineMatrices(
  engine: Engine,
  system: ConstraintSystem,
  powers: Uint8Array,
  size: number,
  weights: FieldVector,
  from: number,
  to: number,
): Promise<{ a: G1Point; b: G1Point; c: G1Point }> {
  const values = vectorToScalars(engine, weights);
  const combine = async (row: (index: number) => SparseRow): Promise<G1Point> => {
    const onDomain = Array.from({ length: size }, (_, i) =>
      row(i).reduce((sum, [wire, value]) => {
        return wire >= from && wire < to ? (sum + value * values[wire]!) % R : sum;
      }, 0n),
    );
    const coefficients = interpolate(engine, vectorFromScalars(engine, onDomain));
    return (await sumPoints(engine, 'G1', powers, coefficients)) as G1Point;
  };
  const { rows } = system;
  return {
    a: await combine((i) => rows[i]?.a ?? consistencyRow(system, i)),
    b: await combine((i) => rows[i]?.b ?? []),
    c: await combine((i) => rows[i]?.c ?? []),
  };
}

/** Row of matrix A behind the constraints: one for the constant, then one for each public signal. */
function consistencyRow({ rows, publicSignals }: ConstraintSystem, index: number): SparseRow {
  const wire = index - rows.length;
  return wire <= publicSignals ? [[wire, 1n]] : [];
}

function addAffine(engine: Engine, a: Uint8Array, b: Uint8Array): Uint8Array {
  const { G1 } = engine.curve;
  return G1.add(G1.toJacobian(a), G1.toJacobian(b));
}

/**
 * `e(sum r_i H_i, delta) = e(P(tau) G, G2)` for P with value r_i at the odd points of twice the domain and 0 at the
 * even ones. The r_i are random up to P having no term of degree 2N - 1: quotients times Z_H have none, and where the
 * .ptau file ends with tau^(2N - 2), snarkjs computes H as if tau^(2N - 1) were zero.
 */
async function isQuotientBasis(
  engine: Engine,
  { h, deltaG2 }: KeyFile,
  powers: Uint8Array,
  size: number,
): Promise<boolean> {
  const w = rootOfUnity(engine, 2 * size);
  const weights = vectorToScalars(engine, powersVector(engine, randomScalar(), size));
  // the top coefficient of P is sum_i r_i w^(2i+1) / (2 size)
  const square = Fr.sqr(w);
  let [power, rest] = [square, 0n];
  for (let i = 1; i < size; i++) {
    rest = (rest + weights[i]! * power) % R;
    power = (power * square) % R;
  }
  weights[0] = Fr.neg(rest);
  const values = vectorFromScalars(
    engine,
    weights.flatMap((weight) => [0n, weight]),
  );
  const coefficients = subVector(interpolate(engine, values), 0, 2 * size - 1);
  const product = new PairingProduct(engine);
  product.add(deltaG2, Fr.neg(1n), await sumPoints(engine, 'G1', h, vectorFromScalars(engine, weights)));
  product.add(g2Generator(engine), 1n, await sumPoints(engine, 'G1', powers, coefficients));
  return product.isOne();
}

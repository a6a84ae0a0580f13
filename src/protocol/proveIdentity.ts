import {
  addScaled,
  addVectors,
  combineRows,
  constantVector,
  divideByLinear,
  dotVectors,
  type Engine,
  evaluateOnCoset,
  type FieldVector,
  Fr,
  interpolate,
  interpolateFromCoset,
  lagrangeAt,
  multiplyOnDomains,
  powersVector,
  prefixSums,
  randomScalar,
  rootOfUnity,
  scaleVector,
  subVector,
  subVectors,
  vanishingOnCoset,
  vectorFromScalars,
  zeroVector,
} from '../algebra/index.js';
import { concatBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { commitPolynomial } from '../kzg/commit.js';
import type { ProverSrs } from '../kzg/srs.js';
import { drawBatch, drawPoint } from './challenges.js';
import { pairWeights } from './pairWeights.js';
import type { Proof } from './proof.js';
import type { ProverContext } from './proveGroup.js';
import type { Transcript } from './transcript.js';

/** One lane of the identity: a public polynomial times a private one. */
export interface Lane {
  /** Values on H of the public factor, `[N]`. */
  readonly known: FieldVector;
  /** Values on H of the combination of committed rows, `[N]`. */
  readonly rows: FieldVector;
  /** The same combination of the rows' blinders. */
  readonly blinder: bigint;
}

/** Products of the identity: one lane for each input, one for v. */
export function makeLanes(
  context: ProverContext,
  inputs: readonly (FieldVector | undefined)[],
  vPowers: FieldVector,
  t: bigint,
  rho: bigint,
  kappa: bigint,
): Lane[] {
  const { engine, statement } = context;
  const weights = pairWeights(engine, statement, t, rho, kappa);
  const { domainSize } = statement;
  const combine = (
    known: FieldVector,
    parts: readonly {
      matrix: Int16Array;
      offset: number;
      weights: readonly bigint[];
      blinders: readonly bigint[];
    }[],
    knownOffset: number,
  ): Lane => {
    let rows = zeroVector(domainSize);
    let blinder = 0n;
    for (const part of parts) {
      const coefficients = vectorFromScalars(engine, part.weights);
      const cols = part.matrix.length / part.weights.length;
      const combined = combineRows(engine, coefficients, part.matrix, cols);
      rows = addVectors(engine, rows, padTo(combined, part.offset, domainSize));
      part.weights.forEach((w, j) => {
        blinder = Fr.add(blinder, Fr.mul(w, part.blinders[j]!));
      });
    }
    return { known: padTo(known, knownOffset, domainSize), rows, blinder };
  };
  const lanes: Lane[] = [];
  inputs.forEach((known, input) => {
    const users = statement.modules.flatMap((module, position) =>
      module.input === input ? [{ module, position }] : [],
    );
    if (!known || users.length === 0) return;
    const parts = users.map(({ module, position }) => ({
      matrix: context.modules[module.index]!.a,
      offset: module.columnOffset,
      weights: weights[position]!.a,
      blinders: context.blinders.get(module.index)!.a,
    }));
    lanes.push(combine(known, parts, users[0]!.module.columnOffset));
  });
  const columns = statement.modules.map(({ index }, position) => ({
    matrix: context.modules[index]!.bT,
    offset: 0,
    weights: weights[position]!.b,
    blinders: context.blinders.get(index)!.b,
  }));
  lanes.push(combine(vPowers, columns, 0));
  return lanes;
}

function padTo(vector: FieldVector, offset: number, size: number): FieldVector {
  const out = zeroVector(size);
  out.set(vector, offset * 32);
  return out;
}

/**
 * Step 6: shows that D'(X) = sum of the lanes' products + R(X) sums to S over H, by the running sum phi.
 */
export async function proveIdentity(
  engine: Engine,
  srs: ProverSrs,
  transcript: Transcript,
  lanes: readonly Lane[],
  mask: readonly [bigint, bigint],
  formValue: bigint,
): Promise<Pick<Proof, 'runningSum' | 'quotient' | 'shifted' | 'opening' | 'shiftedOpening'>> {
  const size = srs.domainSize;
  const root = rootOfUnity(engine, size);
  const share = Fr.div(formValue, BigInt(size));
  const maskPoly = padTo(vectorFromScalars(engine, mask), 0, size);
  const minusShare = constantVector(engine, Fr.neg(share), size);

  // D' - S/N on H and on the coset
  let onDomain = addVectors(engine, minusShare, powersVector(engine, root, size, mask[1]));
  onDomain = addVectors(engine, onDomain, constantVector(engine, mask[0], size));
  let onCoset = addVectors(engine, minusShare, evaluateOnCoset(engine, maskPoly));
  await Promise.all(
    lanes.map(async ({ known, rows, blinder }) => {
      const product = await multiplyOnDomains(engine, known, rows, blinder);
      onDomain = addVectors(engine, onDomain, product.onDomain);
      onCoset = addVectors(engine, onCoset, product.onCoset);
    }),
  );

  const { sums, total } = prefixSums(engine, onDomain);
  if (total !== 0n) throw new ZkLoraError('INTERNAL', 'the identity does not sum to its form value');
  // phi = interpolation of the running sums + (b0 + b1 X + b2 X^2) Z_H
  const blinds = [randomScalar(), randomScalar(), randomScalar()];
  const low = interpolate(engine, sums);
  const runningPoly = concatBytes(
    subVectors(engine, low, padTo(vectorFromScalars(engine, blinds), 0, size)),
    vectorFromScalars(engine, blinds),
  );
  const runningSum = await commitPolynomial(engine, srs, runningPoly);

  // phi on the coset: the blinding is (b0 + b1 X + b2 X^2) times a constant there
  const vanishing = vanishingOnCoset(size);
  const blindsOnCoset = evaluateOnCoset(engine, padTo(vectorFromScalars(engine, blinds), 0, size));
  const running = addScaled(engine, evaluateOnCoset(engine, low), blindsOnCoset, vanishing);
  const next = concatBytes(subVector(running, 1, size - 1), subVector(running, 0, 1));
  const numerator = subVectors(engine, addVectors(engine, onCoset, running), next);
  const quotientPoly = interpolateFromCoset(engine, scaleVector(engine, numerator, Fr.inv(vanishing)));
  const quotient = await commitPolynomial(engine, srs, quotientPoly);
  const z = drawPoint(transcript, size, { runningSum, quotient });

  const shiftedPoint = Fr.mul(root, z);
  const atShifted = divideByLinear(engine, runningPoly, shiftedPoint);
  const shifted = atShifted.remainder;
  const lambda = lambdaPolynomial(engine, size, lanes, maskPoly, runningPoly, quotientPoly, z);
  const atPoint = divideByLinear(engine, lambda, z);
  if (atPoint.remainder !== Fr.add(share, shifted)) {
    throw new ZkLoraError('INTERNAL', 'the linearised identity does not hold at z');
  }
  const opening = await commitPolynomial(engine, srs, atPoint.quotient);
  const shiftedOpening = await commitPolynomial(engine, srs, atShifted.quotient);
  drawBatch(transcript, { shifted, opening, shiftedOpening });
  return { runningSum, quotient, shifted, opening, shiftedOpening };
}

/** Lambda = sum known(z) (rows + blinder Z_H) + R + phi - Z_H(z) Q, N + 3 coefficients. */
function lambdaPolynomial(
  engine: Engine,
  size: number,
  lanes: readonly Lane[],
  maskPoly: FieldVector,
  runningPoly: FieldVector,
  quotientPoly: FieldVector,
  z: bigint,
): FieldVector {
  const basis = lagrangeAt(engine, size, z);
  let values = zeroVector(size);
  let blinder = 0n;
  for (const lane of lanes) {
    const known = dotVectors(engine, lane.known, basis);
    values = addScaled(engine, values, lane.rows, known);
    blinder = Fr.add(blinder, Fr.mul(known, lane.blinder));
  }
  const vanishing = Fr.sub(Fr.pow(z, BigInt(size)), 1n);
  let low = addVectors(engine, interpolate(engine, values), maskPoly);
  low = addScaled(engine, low, quotientPoly, Fr.neg(vanishing));
  const top = vectorFromScalars(engine, [blinder, 0n, 0n]);
  low = subVectors(engine, low, padTo(subVector(top, 0, 1), 0, size));
  return addVectors(engine, concatBytes(low, top), runningPoly);
}

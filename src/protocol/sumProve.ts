import {
  addScaled,
  addVectors,
  COSET_SHIFT,
  constantVector,
  divideByLinear,
  dotVectors,
  type Engine,
  evaluateOnCoset,
  type Factors,
  type FieldVector,
  Fr,
  interpolate,
  interpolateFromCoset,
  lagrangeAt,
  padVector,
  powersVector,
  prefixSums,
  randomScalar,
  rootOfUnity,
  scaleVector,
  subVector,
  subVectors,
  sumOfProducts,
  vanishingOnCoset,
  vectorFromScalars,
} from '../algebra/index.js';
import { concatBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { commitPolynomial, commitValues } from '../kzg/commit.js';
import type { ProverSrs } from '../kzg/srs.js';
import { nextTurn } from '../nextTurn.js';
import { drawBatch, drawOpening, drawPoint } from './challenges.js';
import type { SumProof } from './proof.js';
import type { Transcript } from './transcript.js';

/** One product of the sum: a public polynomial times a private one. */
export interface Lane {
  /** Values on H of the public factor, `[N]`. */
  readonly known: FieldVector;
  /** Values on H of the combination of committed rows, `[N]`. */
  readonly rows: FieldVector;
  /** The same combination of the rows' blinders. */
  readonly blinder: bigint;
}

/** Lanes that a worker transforms at a time, an even number: two lanes, four polynomials, share its vectors. */
const BATCH = 6;

/** Lanes of each first batch, so that a short sum is spread over the workers. */
const FIRST_BATCH = 2;

/** Where the sum argument gets its products from. */
export interface LaneSource {
  /** The products, one after the other. */
  lanes(): Iterable<Lane>;
  /**
   * sum over lanes of known(z) * (rows, blinder).
   *
   * @param basis Lagrange basis of H at z, `[N]`
   */
  combineAt(basis: FieldVector): CombinedRows | Promise<CombinedRows>;
  /** Values on H of private polynomials, without blinders beyond them, that are opened at z beside Lambda. */
  readonly opened?: readonly FieldVector[];
}

/** A combination of committed rows. */
export interface CombinedRows {
  /** On H, `[N]`. */
  readonly values: FieldVector;
  readonly blinder: bigint;
}

/** The part of a sum argument that precedes its challenge; secret but for the two points. */
export interface PreparedSum {
  readonly points: Pick<SumProof, 'runningSum' | 'quotient'>;
  readonly maskPoly: FieldVector;
  readonly runningPoly: FieldVector;
  readonly quotientPoly: FieldVector;
  /** total / N */
  readonly share: bigint;
}

/**
 * Proves that D'(X) = sum of the lanes' products + R(X) sums to `total` over H, by a running sum phi.
 * docs/protocol.md, "The sum argument".
 *
 * @param mask coefficients of R = m0 + m1 X
 * @throws ZkLoraError `INTERNAL` when the claim is false.
 */
export async function proveSum(
  engine: Engine,
  srs: ProverSrs,
  transcript: Transcript,
  source: LaneSource,
  mask: readonly [bigint, bigint],
  total: bigint,
): Promise<FinishedSum> {
  const prepared = await prepareSum(engine, srs, source, mask, total);
  return finishSum(engine, srs, transcript, source, prepared);
}

/** The first half of {@link proveSum}: [phi] and [Q]. Needs no transcript, so other work may go beside it. */
export async function prepareSum(
  engine: Engine,
  srs: ProverSrs,
  source: LaneSource,
  mask: readonly [bigint, bigint],
  total: bigint,
): Promise<PreparedSum> {
  const size = srs.domainSize;
  const share = Fr.div(total, BigInt(size));
  const shifted = [Fr.sub(mask[0], share), mask[1]];
  // D' - S/N on H and on the coset
  let onDomain = lowDegreeValues(engine, size, 1n, shifted);
  let onCoset = lowDegreeValues(engine, size, COSET_SHIFT, shifted);
  // lanes are made while workers transform earlier ones; only a few exist at a time
  const workers = engine.threads + 1;
  const batches = laneBatches(source, workers);
  const work = async () => {
    for (let next = await batches.next(); !next.done; next = await batches.next()) {
      const product = await sumOfProducts(engine, size, next.value);
      onDomain = addVectors(engine, onDomain, product.onDomain);
      onCoset = addVectors(engine, onCoset, product.onCoset);
    }
  };
  await Promise.all(Array.from({ length: workers }, work));

  const { sums, total: rest } = prefixSums(engine, onDomain);
  if (rest !== 0n) throw new ZkLoraError('INTERNAL', 'the products do not sum to the claimed total');
  // phi = interpolation of the running sums + (b0 + b1 X + b2 X^2) Z_H
  const blinds = [randomScalar(), randomScalar(), randomScalar()];
  // the workers multiply while this thread goes on
  const committing = commitValues(engine, srs, sums, blinds);
  // reported below; the turns between must not see a rejection that nobody waits for
  committing.catch(() => undefined);
  const low = interpolate(engine, sums);
  const runningPoly = concatBytes(
    subVectors(engine, low, padVector(vectorFromScalars(engine, blinds), 0, size)),
    vectorFromScalars(engine, blinds),
  );
  // phi on the coset: the blinding is (b0 + b1 X + b2 X^2) times a constant there
  const vanishing = vanishingOnCoset(size);
  const blindsOnCoset = lowDegreeValues(engine, size, COSET_SHIFT, blinds);
  await nextTurn();
  const running = addScaled(engine, evaluateOnCoset(engine, low), blindsOnCoset, vanishing);
  const next = concatBytes(subVector(running, 1, size - 1), subVector(running, 0, 1));
  const numerator = subVectors(engine, addVectors(engine, onCoset, running), next);
  await nextTurn();
  const quotientPoly = interpolateFromCoset(engine, scaleVector(engine, numerator, Fr.inv(vanishing)));
  const [runningSum, quotient] = await Promise.all([committing, commitPolynomial(engine, srs, quotientPoly)]);
  const maskPoly = padVector(vectorFromScalars(engine, mask), 0, size);
  return { points: { runningSum, quotient }, maskPoly, runningPoly, quotientPoly, share };
}

/** The second half of a sum argument. */
export interface FinishedSum {
  readonly sum: SumProof;
  /** At z: {@link LaneSource.opened}. */
  readonly opened: readonly bigint[];
}

/** The second half of {@link proveSum}: draws z and opens. */
export async function finishSum(
  engine: Engine,
  srs: ProverSrs,
  transcript: Transcript,
  source: LaneSource,
  prepared: PreparedSum,
): Promise<FinishedSum> {
  const size = srs.domainSize;
  const { points, runningPoly, share } = prepared;
  const z = drawPoint(transcript, size, points);
  const atShifted = divideByLinear(engine, runningPoly, Fr.mul(rootOfUnity(engine, size), z));
  const shifted = atShifted.remainder;
  const basis = lagrangeAt(engine, size, z);
  const opened = (source.opened ?? []).map((values) => dotVectors(engine, values, basis));
  const nu = drawOpening(transcript, shifted, opened);
  let value = Fr.add(share, shifted);
  const beside = opened.map((at, g) => {
    const weight = Fr.pow(nu, BigInt(g + 1));
    value = Fr.add(value, Fr.mul(weight, at));
    return { values: source.opened![g]!, weight };
  });
  const openAtPoint = async () => {
    const { values, blinder } = await source.combineAt(basis);
    const combined = beside.reduce((sum, poly) => addScaled(engine, sum, poly.values, poly.weight), values);
    const lambda = lambdaPolynomial(engine, size, { values: combined, blinder }, prepared, z);
    const atPoint = divideByLinear(engine, lambda, z);
    return { remainder: atPoint.remainder, opening: await commitPolynomial(engine, srs, atPoint.quotient) };
  };
  const [shiftedOpening, { remainder, opening }] = await Promise.all([
    commitPolynomial(engine, srs, atShifted.quotient),
    openAtPoint(),
  ]);
  if (remainder !== value) {
    throw new ZkLoraError('INTERNAL', 'the linearised sum does not hold at z');
  }
  drawBatch(transcript, { opening, shiftedOpening });
  return { sum: { ...points, shifted, opening, shiftedOpening }, opened };
}

/** Values of sum_k coefficients[k] X^k on shift * H. */
function lowDegreeValues(
  engine: Engine,
  size: number,
  shift: bigint,
  coefficients: readonly bigint[],
): FieldVector {
  const root = rootOfUnity(engine, size);
  let values = constantVector(engine, coefficients[0]!, size);
  for (let k = 1; k < coefficients.length; k++) {
    const first = Fr.mul(coefficients[k]!, Fr.pow(shift, BigInt(k)));
    values = addVectors(engine, values, powersVector(engine, Fr.pow(root, BigInt(k)), size, first));
  }
  return values;
}

/**
 * The lanes of a source in batches; other work gets its turn after each lane.
 *
 * @param first number of short batches at the beginning
 */
async function* laneBatches(source: LaneSource, first: number): AsyncGenerator<Factors[]> {
  let batch: Factors[] = [];
  let made = 0;
  for (const { known, rows, blinder } of source.lanes()) {
    batch.push({ a: known, b: rows, blinder });
    await nextTurn();
    if (batch.length < (made < first ? FIRST_BATCH : BATCH)) continue;
    yield batch;
    made++;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** Lambda = sum known(z) (rows + blinder Z_H) + R + phi - Z_H(z) Q, N + 3 coefficients. */
function lambdaPolynomial(
  engine: Engine,
  size: number,
  { values, blinder }: CombinedRows,
  { maskPoly, runningPoly, quotientPoly }: PreparedSum,
  z: bigint,
): FieldVector {
  const vanishing = Fr.sub(Fr.pow(z, BigInt(size)), 1n);
  let low = addVectors(engine, interpolate(engine, values), maskPoly);
  low = addScaled(engine, low, quotientPoly, Fr.neg(vanishing));
  const top = vectorFromScalars(engine, [blinder, 0n, 0n]);
  low = subVectors(engine, low, padVector(subVector(top, 0, 1), 0, size));
  return addVectors(engine, concatBytes(low, top), runningPoly);
}

import {
  type Engine,
  encodeG1,
  type FieldVector,
  G1_BYTES,
  type G1Point,
  isIdentity,
  multiScalarMultiply,
  vectorFromScalars,
  vectorLength,
} from '../algebra/index.js';
import { ZkLoraError } from '../errors.js';
import type { ProverSrs } from './srs.js';

/** Added to int16 entries so that they become 2-byte scalars. */
const ENTRY_OFFSET = 2 ** 15;

/** Rows in flight at once: enough to keep the worker threads busy. */
const PARALLEL_ROWS = 4;

/** A row to commit to. */
export interface IntegerRow {
  /** int16 entries. */
  readonly values: Int16Array;
  /** Index in the evaluation domain of the first entry. */
  readonly offset: number;
  /** Multiple of Z_H that hides the row: fresh and uniform. */
  readonly blinder: bigint;
}

/**
 * Commits to integer rows: `sum_i values[i] L_(offset+i)(tau) G + blinder Z_H(tau) G`.
 *
 * Entries are shifted by 2^15 to be 2-byte scalars, which costs a tenth of full-size ones; 2^15 times the sum
 * of the Lagrange points in the range is taken off again. docs/protocol.md, "Commitment".
 *
 * @returns one uncompressed point for each row, 64 bytes, big-endian
 * @throws ZkLoraError `STATEMENT_INVALID` for a row that does not fit the domain.
 */
export async function commitRows(
  engine: Engine,
  srs: ProverSrs,
  rows: readonly IntegerRow[],
  onProgress?: (done: number, total: number) => void,
): Promise<Uint8Array[]> {
  const { G1 } = engine.curve;
  const corrections = new Map<string, Promise<Uint8Array>>();
  const correction = (offset: number, length: number): Promise<Uint8Array> => {
    const key = `${offset}:${length}`;
    let point = corrections.get(key);
    if (!point) {
      point = sumOfLagrange(engine, srs, offset, length).then((sum) =>
        G1.neg(G1.timesScalar(G1.toJacobian(sum), BigInt(ENTRY_OFFSET))),
      );
      corrections.set(key, point);
    }
    return point;
  };
  const vanishing = vanishingPoint(engine, srs);

  const commitOne = async (row: IntegerRow): Promise<Uint8Array> => {
    const { values, offset, blinder } = row;
    if (offset < 0 || offset + values.length > srs.domainSize) {
      throw new ZkLoraError('STATEMENT_INVALID', 'row does not fit the evaluation domain', {
        details: { offset, length: values.length, domainSize: srs.domainSize },
      });
    }
    const scalars = Uint16Array.from(values, (value) => value + ENTRY_OFFSET);
    const bases = srs.lagrange.subarray(offset * G1_BYTES, (offset + values.length) * G1_BYTES);
    const shifted = await G1.multiExpAffine(bases, new Uint8Array(scalars.buffer));
    const blinding = G1.timesFr(vanishing, vectorFromScalars(engine, [blinder]));
    const point = G1.toAffine(G1.add(G1.add(shifted, await correction(offset, values.length)), blinding));
    if (isIdentity(engine, point)) throw new ZkLoraError('INTERNAL', 'a row commitment is the identity');
    return encodeG1(point as G1Point);
  };

  const points: Uint8Array[] = new Array(rows.length);
  let next = 0;
  let done = 0;
  const worker = async () => {
    while (next < rows.length) {
      const index = next++;
      points[index] = await commitOne(rows[index]!);
      onProgress?.(++done, rows.length);
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL_ROWS, rows.length) }, worker));
  return points;
}

async function sumOfLagrange(
  engine: Engine,
  srs: ProverSrs,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const ones = new Uint8Array(length).fill(1);
  const bases = srs.lagrange.subarray(offset * G1_BYTES, (offset + length) * G1_BYTES);
  const { G1 } = engine.curve;
  return G1.toAffine(await G1.multiExpAffine(bases, ones));
}

/** Z_H(tau) G = tau^N G - G, Jacobian. */
function vanishingPoint(engine: Engine, srs: ProverSrs): Uint8Array {
  const { G1 } = engine.curve;
  const top = srs.powers.slice(srs.domainSize * G1_BYTES, (srs.domainSize + 1) * G1_BYTES);
  // both operands Jacobian: ffjavascript's mixed subtraction returns a wrong point
  return G1.sub(G1.toJacobian(top), G1.toJacobian(srs.powers.slice(0, G1_BYTES)));
}

/**
 * Commitment to a polynomial given by coefficients (lowest first), at most N + 3 of them.
 *
 * @throws ZkLoraError `INTERNAL` for a commitment that is the identity (probability 1/R for blinded polynomials).
 */
export async function commitPolynomial(
  engine: Engine,
  srs: ProverSrs,
  coefficients: Uint8Array,
): Promise<G1Point> {
  const bases = srs.powers.subarray(0, (coefficients.byteLength / 32) * G1_BYTES);
  const point = await multiScalarMultiply(engine, bases, coefficients);
  if (isIdentity(engine, point)) throw new ZkLoraError('INTERNAL', 'a commitment is the identity');
  return point as G1Point;
}

/**
 * Commitment to a row of field elements: `sum_i values[i] L_i(tau) G + blinder Z_H(tau) G`, at most N of them.
 *
 * @throws ZkLoraError `INTERNAL` for a commitment that is the identity (probability 1/R for a uniform blinder).
 */
export async function commitValues(
  engine: Engine,
  srs: ProverSrs,
  values: FieldVector,
  blinder: bigint,
): Promise<G1Point> {
  const { G1 } = engine.curve;
  const bases = srs.lagrange.subarray(0, vectorLength(values) * G1_BYTES);
  const sum = await multiScalarMultiply(engine, bases, values);
  const blinding = G1.timesFr(vanishingPoint(engine, srs), vectorFromScalars(engine, [blinder]));
  const point = G1.toAffine(G1.add(G1.toJacobian(sum), blinding));
  if (isIdentity(engine, point)) throw new ZkLoraError('INTERNAL', 'a commitment is the identity');
  return point as G1Point;
}

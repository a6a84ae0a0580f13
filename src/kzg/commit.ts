import {
  type Engine,
  encodeG1,
  type FieldVector,
  Fr,
  G1_BYTES,
  type G1Point,
  isIdentity,
  multiplyIntegerRows,
  multiScalarMultiply,
  vectorFromScalars,
  vectorLength,
} from '../algebra/index.js';
import { concatBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import type { ProverSrs } from './srs.js';

/** Rows in flight at once, for each worker thread: enough to keep them busy. */
const ROWS_PER_THREAD = 8;

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
 * A blinder joins its row as 16 more int16 entries, its digits to the base 2^16, so that the whole commitment is one
 * multiplication by short scalars. docs/protocol.md, "Commitment".
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
  for (const { values, offset } of rows) {
    if (offset < 0 || offset + values.length > srs.domainSize) {
      throw new ZkLoraError('STATEMENT_INVALID', 'row does not fit the evaluation domain', {
        details: { offset, length: values.length, domainSize: srs.domainSize },
      });
    }
  }
  const digitBases = vanishingMultiples(engine, srs);
  const points: Uint8Array[] = [];
  for (let from = 0; from < rows.length; ) {
    const { offset, values } = rows[from]!;
    const same = (row: IntegerRow) => row.offset === offset && row.values.length === values.length;
    let to = from + 1;
    while (to < rows.length && to - from < ROWS_PER_THREAD * engine.threads && same(rows[to]!)) to++;
    const bases = concatBytes(
      srs.lagrange.subarray(offset * G1_BYTES, (offset + values.length) * G1_BYTES),
      digitBases,
    );
    const entries = rows.slice(from, to).map(withBlinder);
    for (const point of await multiplyIntegerRows(engine, bases, entries)) {
      if (isIdentity(engine, point)) throw new ZkLoraError('INTERNAL', 'a row commitment is the identity');
      points.push(encodeG1(point as G1Point));
      onProgress?.(points.length, rows.length);
    }
    from = to;
  }
  return points;
}

/** int16 digits of a scalar; the last one takes no carry, since scalars are below 2^254. */
const BLINDER_DIGITS = 16;

/** Entries of a row, then the digits of its blinder. */
function withBlinder({ values, blinder }: IntegerRow): Int16Array {
  const entries = new Int16Array(values.length + BLINDER_DIGITS);
  entries.set(values);
  let rest = blinder;
  for (let k = 0; k < BLINDER_DIGITS; k++) {
    const digit = BigInt.asIntN(16, rest);
    entries[values.length + k] = Number(digit);
    rest = (rest - digit) >> 16n;
  }
  return entries;
}

/** 2^(16 k) Z_H(tau) G, affine, `[BLINDER_DIGITS]`. */
function vanishingMultiples(engine: Engine, srs: ProverSrs): Uint8Array {
  const { G1 } = engine.curve;
  const multiples: Uint8Array[] = [];
  let point = vanishingPoint(engine, srs);
  for (let k = 0; k < BLINDER_DIGITS; k++) {
    multiples.push(G1.toAffine(point));
    for (let bit = 0; bit < 16; bit++) point = G1.double(point);
  }
  return concatBytes(...multiples);
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
  return multiplyBlinded(engine, bases, coefficients);
}

/**
 * Commitment to the polynomial with the given values at the first and at the last places of H, zero between.
 *
 * @param last blinders among them
 * @throws ZkLoraError `INTERNAL` for a commitment that is the identity (probability 1/R for uniform blinders).
 */
export async function commitEnds(
  engine: Engine,
  { lagrange, domainSize }: ProverSrs,
  first: FieldVector,
  last: FieldVector,
): Promise<G1Point> {
  const bases = concatBytes(
    lagrange.subarray(0, vectorLength(first) * G1_BYTES),
    lagrange.subarray((domainSize - vectorLength(last)) * G1_BYTES, domainSize * G1_BYTES),
  );
  return multiplyBlinded(engine, bases, concatBytes(first, last));
}

/**
 * Commitment to the polynomial with the given values on H, zero on the rest of H, plus a multiple of Z_H:
 * `sum_i values[i] L_i(tau) G + (b_0 + b_1 tau + ..) Z_H(tau) G`.
 *
 * @param values at most N
 * @param blinders b, 1 to 3 of them
 * @throws ZkLoraError `INTERNAL` for a commitment that is the identity (probability 1/R for uniform blinders).
 */
export async function commitValues(
  engine: Engine,
  srs: ProverSrs,
  values: FieldVector,
  blinders: readonly bigint[],
): Promise<G1Point> {
  const { lagrange, powers, domainSize } = srs;
  const shifted = (from: number) => powers.subarray(from * G1_BYTES, (from + blinders.length) * G1_BYTES);
  // Z_H = X^N - 1
  const bases = concatBytes(
    lagrange.subarray(0, vectorLength(values) * G1_BYTES),
    shifted(0),
    shifted(domainSize),
  );
  const ends = vectorFromScalars(engine, [...blinders.map((b) => Fr.neg(b)), ...blinders]);
  return multiplyBlinded(engine, bases, concatBytes(values, ends));
}

async function multiplyBlinded(engine: Engine, bases: Uint8Array, scalars: FieldVector): Promise<G1Point> {
  const point = await multiScalarMultiply(engine, bases, scalars);
  if (isIdentity(engine, point)) throw new ZkLoraError('INTERNAL', 'a commitment is the identity');
  return point as G1Point;
}

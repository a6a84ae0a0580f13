import {
  addScaled,
  ahead,
  dotVectors,
  type Engine,
  type FieldVector,
  Fr,
  foldPoints,
  G1_BYTES,
  type G1Point,
  multiScalarMultiply,
  padVector,
  randomVector,
  scaleVector,
  subVector,
  vectorFromScalars,
  vectorLength,
  vectorToScalars,
} from '../algebra/index.js';
import { concatBytes } from '../bytes.js';
import { absorbFinal, drawFold, drawResponse } from './challenges.js';
import { foldingRounds, formPoint } from './linearForm.js';
import type { LinearFormProof } from './proof.js';
import type { Transcript } from './transcript.js';

/** The masks of one linear-form proof, secret, and their commitment D_r; never used twice. */
export interface FormMask {
  readonly blinding: FieldVector;
  readonly point: G1Point;
}

/**
 * Draws fresh masks and commits to them: needs no transcript, so it may go beside other work.
 *
 * @param bases (2P+2) affine points
 */
export async function commitFormMask(engine: Engine, bases: Uint8Array): Promise<FormMask> {
  // fresh for every attempt: a repeated mask under another x would reveal the witness
  const blinding = randomVector(engine, bases.byteLength / G1_BYTES);
  return { blinding, point: (await multiScalarMultiply(engine, bases, blinding)) as G1Point };
}

/**
 * Proves knowledge of an opening of D = <witness, bases> with <coefficients, witness> = S.
 *
 * Sigma protocol for a linear form with its response folded (Attema, Cramer: "Compressed Sigma-Protocol Theory
 * and Practical Application to Plug & Play Secure Algorithmics", CRYPTO 2020). docs/protocol.md, "Linear form".
 *
 * @param bases (2P+2) affine points
 * @param witness (mu, b, p, q), secret
 * @param formMask of these bases, for this proof alone
 */
export async function proveLinearForm(
  engine: Engine,
  transcript: Transcript,
  bases: Uint8Array,
  coefficients: FieldVector,
  witness: FieldVector,
  formMask: FormMask,
): Promise<LinearFormProof> {
  const { blinding, point: mask } = formMask;
  const maskValue = dotVectors(engine, coefficients, blinding);
  const { x, c } = drawResponse(transcript, { mask, maskValue });

  // a power of two: what is added has no base
  const length = 2 ** foldingRounds((vectorLength(witness) - 2) / 2);
  let response = padVector(addScaled(engine, blinding, witness, x), 0, length);
  let form = padVector(scaleVector(engine, coefficients, c), 0, length);
  const folded = new FoldedBases(engine, bases, length);
  const rounds: { left: G1Point; right: G1Point }[] = [];
  while (vectorLength(response) > 1) {
    const half = vectorLength(response) / 2;
    const [responseLow, responseHigh] = halves(response, half);
    const [formLow, formHigh] = halves(form, half);
    const [left, right] = await Promise.all([
      folded.crossTerm('high', responseLow, dotVectors(engine, formHigh, responseLow)),
      folded.crossTerm('low', responseHigh, dotVectors(engine, formLow, responseHigh)),
    ]);
    rounds.push({ left, right });
    const fold = drawFold(transcript, left, right);
    response = addScaled(engine, responseLow, responseHigh, fold);
    form = addScaled(engine, formHigh, formLow, fold);
    await folded.fold(fold);
  }
  const final = vectorToScalars(engine, response)[0]!;
  absorbFinal(transcript, final);
  return { mask, maskValue, rounds, final };
}

/**
 * Folds that are put off: adding one point to another with a scalar costs far more than a point of a multi-scalar
 * multiplication, and several folds at once share their doublings.
 */
const MAX_PENDING_FOLDS = 3;

/** The bases of a linear-form proof, each round half as many: low half times the challenge plus high half. */
class FoldedBases {
  readonly #engine: Engine;
  /** Points before the pending folds; base i is sum_j #weights[j] * point[j * #length + i]. The last may be missing. */
  #points: Uint8Array;
  #weights: readonly bigint[] = [1n];
  #length: number;

  /** @param length a power of two, with the bases that are missing */
  constructor(engine: Engine, points: Uint8Array, length: number) {
    this.#engine = engine;
    this.#points = points;
    this.#length = length;
  }

  /** <response, half of the bases> + value U */
  async crossTerm(side: 'low' | 'high', response: FieldVector, value: bigint): Promise<G1Point> {
    const half = this.#length / 2;
    const points: Uint8Array[] = [formPoint()];
    const scalars: FieldVector[] = [vectorFromScalars(this.#engine, [value])];
    this.#weights.forEach((weight, j) => {
      const present = this.#range(j * this.#length + (side === 'high' ? half : 0), half);
      points.push(present);
      const used = subVector(response, 0, present.length / G1_BYTES);
      scalars.push(weight === 1n ? used : scaleVector(this.#engine, used, weight));
    });
    const sum = ahead(this.#engine, () =>
      multiScalarMultiply(this.#engine, concatBytes(...points), concatBytes(...scalars)),
    );
    return (await sum) as G1Point;
  }

  async fold(challenge: bigint): Promise<void> {
    // part j splits into its low half, times the challenge, and its high half
    this.#weights = this.#weights.flatMap((weight) => [Fr.mul(weight, challenge), weight]);
    this.#length /= 2;
    if (this.#weights.length < 2 ** MAX_PENDING_FOLDS && this.#length > 1) return;
    this.#points = await this.#foldAll();
    this.#weights = [1n];
  }

  /** All bases with the weights; where points are missing, the first bases have one part more than those behind them. */
  async #foldAll(): Promise<Uint8Array> {
    const count = this.#points.length / G1_BYTES;
    const whole = Math.floor(count / this.#length);
    const cut = count % this.#length;
    const sums = [
      [0, cut, whole + 1],
      [cut, this.#length, whole],
    ].map(async ([from, to, parts]) => {
      if (from === to) return new Uint8Array();
      const weights = this.#weights.slice(0, parts);
      const points = weights.map((_, j) => this.#range(j * this.#length + from!, to! - from!));
      return foldPoints(this.#engine, concatBytes(...points), weights);
    });
    return concatBytes(...(await Promise.all(sums)));
  }

  /** Those of `count` points from an index on that are present. */
  #range(from: number, count: number): Uint8Array {
    return this.#points.subarray(from * G1_BYTES, (from + count) * G1_BYTES);
  }
}

function halves(vector: FieldVector, half: number): [FieldVector, FieldVector] {
  return [subVector(vector, 0, half), subVector(vector, half, half)];
}

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
  randomVector,
  scaleVector,
  subVector,
  vectorFromScalars,
  vectorLength,
  vectorToScalars,
} from '../algebra/index.js';
import { concatBytes } from '../bytes.js';
import { absorbFinal, drawFold, drawResponse } from './challenges.js';
import { formPoint } from './linearForm.js';
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
 * @param bases (2K+2) affine points
 * @param pairs number of pairs before the padding
 */
export async function commitFormMask(engine: Engine, bases: Uint8Array, pairs: number): Promise<FormMask> {
  // fresh for every attempt: a repeated mask under another x would reveal the witness. The padding has nothing to hide;
  // its last place is masked all the same, so that no upper half, and so no cross term, is zero
  const length = bases.byteLength / G1_BYTES;
  const size = (length - 2) / 2;
  const isPlain = (i: number) => i >= 2 && (i - 2) % size >= pairs && i < length - 1;
  const blinding = randomVector(engine, length);
  for (let i = 0; i < length; i++) if (isPlain(i)) subVector(blinding, i, 1).fill(0);
  return { blinding, point: (await multiScalarMultiply(engine, bases, blinding)) as G1Point };
}

/**
 * Proves knowledge of an opening of D = <witness, bases> with <coefficients, witness> = S.
 *
 * Sigma protocol for a linear form with its response folded (Attema, Cramer: "Compressed Sigma-Protocol Theory
 * and Practical Application to Plug & Play Secure Algorithmics", CRYPTO 2020). docs/protocol.md, "Linear form".
 *
 * @param bases (2K+2) affine points
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

  let response = addScaled(engine, blinding, witness, x);
  let form = scaleVector(engine, coefficients, c);
  const folded = new FoldedBases(engine, bases);
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
  /** Points before the pending folds; base i is sum_j #weights[j] * point[j * #length + i]. */
  #points: Uint8Array;
  #weights: readonly bigint[] = [1n];
  #length: number;

  constructor(engine: Engine, points: Uint8Array) {
    this.#engine = engine;
    this.#points = points;
    this.#length = points.byteLength / G1_BYTES;
  }

  /** <response, half of the bases> + value U */
  async crossTerm(side: 'low' | 'high', response: FieldVector, value: bigint): Promise<G1Point> {
    const half = this.#length / 2;
    const points: Uint8Array[] = [formPoint()];
    const scalars: FieldVector[] = [vectorFromScalars(this.#engine, [value])];
    this.#weights.forEach((weight, j) => {
      const from = j * this.#length + (side === 'high' ? half : 0);
      points.push(this.#points.subarray(from * G1_BYTES, (from + half) * G1_BYTES));
      scalars.push(weight === 1n ? response : scaleVector(this.#engine, response, weight));
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
    this.#points = await foldPoints(this.#engine, this.#points, this.#weights);
    this.#weights = [1n];
  }
}

function halves(vector: FieldVector, half: number): [FieldVector, FieldVector] {
  return [subVector(vector, 0, half), subVector(vector, half, half)];
}

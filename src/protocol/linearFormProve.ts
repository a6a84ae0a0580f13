import {
  addScaled,
  dotVectors,
  type Engine,
  type FieldVector,
  foldBases,
  type G1Point,
  joinPoints,
  multiScalarMultiply,
  randomScalar,
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

/**
 * Proves knowledge of an opening of D = <witness, bases> with <coefficients, witness> = S.
 *
 * Sigma protocol for a linear form with its response folded (Attema, Cramer: "Compressed Sigma-Protocol Theory
 * and Practical Application to Plug & Play Secure Algorithmics", CRYPTO 2020). docs/protocol.md, "Linear form".
 *
 * @param bases (2K+2) affine points
 * @param witness (mu, b, p, q), secret
 */
export async function proveLinearForm(
  engine: Engine,
  transcript: Transcript,
  bases: Uint8Array,
  coefficients: FieldVector,
  witness: FieldVector,
): Promise<LinearFormProof> {
  // fresh for every attempt: a repeated mask under another x would reveal the witness
  const blinding = vectorFromScalars(
    engine,
    Array.from({ length: vectorLength(witness) }, () => randomScalar()),
  );
  const mask = (await multiScalarMultiply(engine, bases, blinding)) as G1Point;
  const maskValue = dotVectors(engine, coefficients, blinding);
  const { x, c } = drawResponse(transcript, { mask, maskValue });

  let response = addScaled(engine, blinding, witness, x);
  let form = scaleVector(engine, coefficients, c);
  let points = bases;
  const rounds: { left: G1Point; right: G1Point }[] = [];
  while (vectorLength(response) > 1) {
    const half = vectorLength(response) / 2;
    const [responseLow, responseHigh] = halves(response, half);
    const [formLow, formHigh] = halves(form, half);
    const pointsLow = points.subarray(0, points.byteLength / 2);
    const pointsHigh = points.subarray(points.byteLength / 2);
    const left = await crossTerm(engine, pointsHigh, responseLow, formHigh);
    const right = await crossTerm(engine, pointsLow, responseHigh, formLow);
    rounds.push({ left, right });
    const fold = drawFold(transcript, left, right);
    response = addScaled(engine, responseLow, responseHigh, fold);
    form = addScaled(engine, formHigh, formLow, fold);
    points = await foldBases(engine, pointsLow, pointsHigh, fold);
  }
  const final = vectorToScalars(engine, response)[0]!;
  absorbFinal(transcript, final);
  return { mask, maskValue, rounds, final };
}

function halves(vector: FieldVector, half: number): [FieldVector, FieldVector] {
  return [subVector(vector, 0, half), subVector(vector, half, half)];
}

/** <response, points> + <form, response> U */
async function crossTerm(
  engine: Engine,
  points: Uint8Array,
  response: FieldVector,
  form: FieldVector,
): Promise<G1Point> {
  const value = vectorFromScalars(engine, [dotVectors(engine, form, response)]);
  return (await multiScalarMultiply(
    engine,
    concatBytes(points, joinPoints([formPoint()])),
    concatBytes(response, value),
  )) as G1Point;
}

/**
 * The verifier's moves, shared by prover and verifier: what is absorbed, in which order, and what is drawn.
 *
 * docs/protocol.md, "Transcript". A public value missing here would be a forgery; the tests change every
 * absorbed item in turn and watch every later challenge change.
 */
import { encodeG2Compressed, Fr, type G1Point } from '../algebra/index.js';
import type { BlockProof, GroupProof, LinearFormProof, SumProof } from './proof.js';
import { openTranscript, type Statement } from './statement.js';
import type { Transcript } from './transcript.js';

/** Challenges on the statement. */
export interface SessionChallenges {
  /** Weights of tokens. */
  readonly u: bigint;
  /** Weights of outputs. */
  readonly v: bigint;
  /** Weights of modules. */
  readonly t: bigint;
}

/** Step 1: the statement. */
export function startTranscript(statement: Statement): {
  transcript: Transcript;
  challenges: SessionChallenges;
} {
  const transcript = openTranscript(statement);
  const challenges = {
    u: transcript.challenge('u'),
    v: transcript.challenge('v'),
    t: transcript.challenge('t'),
  };
  return { transcript, challenges };
}

/** Step 2: commitments and Groth16 proofs of all groups; draws rho, the form's coefficients. */
export function drawForm(
  transcript: Transcript,
  groups: readonly Pick<GroupProof, 'committed' | 'mask' | 'groth16'>[],
): bigint {
  for (const { committed, mask, groth16 } of groups) {
    transcript.absorbPoint('D', committed);
    transcript.absorbPoint('R', mask);
    transcript.absorbPoint('A', groth16.a);
    transcript.absorb('B', encodeG2Compressed(groth16.b));
    transcript.absorbPoint('C', groth16.c);
  }
  return transcript.challenge('rho');
}

/** Step 2 of version 2: commitments to the pairs of all blocks; draws rho, their coefficients. */
export function drawPairs(transcript: Transcript, blocks: readonly Pick<BlockProof, 'p' | 'q'>[]): bigint {
  for (const { p, q } of blocks) {
    transcript.absorbPoint('p', p);
    transcript.absorbPoint('q', q);
  }
  return transcript.challenge('rho');
}

/** Step 3: form values of all groups; draws kappa, the weights of groups. */
export function drawGroupWeight(transcript: Transcript, formValues: readonly bigint[]): bigint {
  for (const value of formValues) transcript.absorbScalar('S', value);
  return transcript.challenge('kappa');
}

/** Step 4a: mask of a linear-form proof; draws x and then the non-zero c that keeps D free of U. */
export function drawResponse(
  transcript: Transcript,
  proof: Pick<LinearFormProof, 'mask' | 'maskValue'>,
): { x: bigint; c: bigint } {
  transcript.absorbPoint('Dr', proof.mask);
  transcript.absorbScalar('sr', proof.maskValue);
  return { x: transcript.challenge('x'), c: transcript.nonZeroChallenge('c') };
}

/** Step 4b: one folding round; draws its non-zero challenge. */
export function drawFold(transcript: Transcript, left: G1Point, right: G1Point): bigint {
  transcript.absorbPoint('left', left);
  transcript.absorbPoint('right', right);
  return transcript.nonZeroChallenge('fold');
}

/** Step 4c: the last scalar of a linear-form proof. */
export function absorbFinal(transcript: Transcript, final: bigint): void {
  transcript.absorbScalar('final', final);
}

/** Step 5, or 3 in version 2: running sum and quotient; draws the evaluation point z outside H. */
export function drawPoint(
  transcript: Transcript,
  domainSize: number,
  proof: Pick<SumProof, 'runningSum' | 'quotient'>,
): bigint {
  transcript.absorbPoint('phi', proof.runningSum);
  transcript.absorbPoint('Q', proof.quotient);
  const size = BigInt(domainSize);
  return transcript.challengeWhere('z', (z) => z !== 0n && Fr.pow(z, size) !== 1n);
}

/**
 * Step 6, or 4 in version 2: what the polynomials are at z and w z. Draws nu, the weights of those opened beside
 * Lambda, where there are any.
 *
 * @param opened values at z of the polynomials opened beside Lambda
 */
export function drawOpening(transcript: Transcript, shifted: bigint, opened: readonly bigint[]): bigint {
  transcript.absorbScalar('e', shifted);
  for (const value of opened) transcript.absorbScalar('qz', value);
  return opened.length === 0 ? 0n : transcript.challenge('nu');
}

/** Step 6, or 5 in version 2: openings; draws the weights of the final equations. */
export function drawBatch(
  transcript: Transcript,
  proof: Pick<SumProof, 'opening' | 'shiftedOpening'>,
): bigint {
  transcript.absorbPoint('W', proof.opening);
  transcript.absorbPoint('Wshifted', proof.shiftedOpening);
  return transcript.challenge('batch');
}

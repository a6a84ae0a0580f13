/**
 * The verifier's moves in a registration proof, shared by prover and verifier. docs/protocol.md, "Registration
 * proof".
 *
 * The moves after these are those of every sum argument: `drawPoint` and `drawBatch` of ../challenges.ts.
 */
import { encodeScalar, type G1Point } from '../../algebra/index.js';
import { concatBytes, u32 } from '../../bytes.js';
import { Transcript } from '../transcript.js';
import { encodeSketches } from './proof.js';
import type { RegistrationStatement } from './statement.js';

const PROTOCOL = 'zklora/registration/v1';

/** Challenges that join all claims into one sum. */
export interface SumChallenges {
  /** Weights of sketches. */
  readonly lambda: bigint;
  /** Weights of places outside a row's range. */
  readonly sigma: bigint;
  /** Weights of rows in the check of those places. */
  readonly nu: bigint;
}

/** Step 1: the statement and the masks; draws the seed of all random bits. */
export function drawSeed(
  statement: RegistrationStatement,
  masks: G1Point,
): { transcript: Transcript; seed: Uint8Array } {
  const transcript = new Transcript(PROTOCOL);
  transcript.absorb('parameters', statement.parametersId);
  transcript.absorb('adapter', statement.adapterId);
  transcript.absorb('sizes', concatBytes(u32(statement.domainSize), u32(statement.rowCount)));
  transcript.absorb(
    'matrices',
    concatBytes(...statement.matrices.flatMap(({ rank, offset, length }) => [rank, offset, length].map(u32))),
  );
  transcript.absorbPoint('G', masks);
  return { transcript, seed: encodeScalar(transcript.challenge('seed')) };
}

/** Step 2: the sketches; draws the weights of the sum. */
export function drawSum(transcript: Transcript, sketches: readonly bigint[]): SumChallenges {
  transcript.absorb('v', encodeSketches(sketches));
  return {
    lambda: transcript.challenge('lambda'),
    sigma: transcript.challenge('sigma'),
    nu: transcript.challenge('nu'),
  };
}

import type { Proof } from '../../../src/protocol/index.js';
import { falseEquations, sumStatement } from '../../reference/checkProof.js';
import { openingPoints } from '../../reference/equations.js';
import { mod } from '../../reference/field.js';
import { combine, G2, productIsOne } from '../../reference/points.js';
import { openProofs } from '../../reference/verify.js';
import { referenceInput, type VerifierFiles } from '../../support/bothVerifiers.js';
import type { Schedule } from './schedule.js';

/**
 * The equations that a file's only proof violates for a verifier with other moves: what an attack achieves where the
 * defence is missing.
 */
export function falseUnder(files: VerifierFiles, proof: Proof, schedule: Schedule): string[] {
  const [opened] = openProofs(referenceInput(files));
  return [...falseEquations(opened!.context, opened!.proof, schedule.replay(proof))];
}

/** Whether (5) + batch * (6) holds under a verifier's moves. */
export function batchedOpeningHolds(files: VerifierFiles, proof: Proof, schedule: Schedule): boolean {
  const [opened] = openProofs(referenceInput(files));
  const { context, proof: read } = opened!;
  const challenges = schedule.replay(proof);
  const { batch } = challenges;
  const points = openingPoints(sumStatement(context, read, challenges), read);
  return productIsOne([
    [combine([points.atZ, points.atShifted], [1n, batch]), G2.BASE],
    [combine([read.w.value, read.wShifted.value], [-1n, mod(-batch)]), context.tauG2],
  ]);
}

import type { Proof } from '../../../src/protocol/index.js';
import { claimOf, falseEquations, sumStatement, withRows } from '../../reference/checkProof.js';
import { openingPoints, type SumStatement } from '../../reference/equations.js';
import { lagrangeAt, mod } from '../../reference/field.js';
import { blockTerms } from '../../reference/pairBlocks.js';
import { combine, G2, productIsOne } from '../../reference/points.js';
import type { ReferenceProof } from '../../reference/proof.js';
import { type OpenedProof, openProofs } from '../../reference/verify.js';
import { referenceInput, type VerifierFiles } from '../../support/bothVerifiers.js';
import type { PairSchedule } from './pairSchedule.js';
import type { Schedule } from './schedule.js';

/**
 * The equations that a file's only proof violates for a verifier with other moves: what an attack achieves where the
 * defence is missing.
 */
export function falseUnder(files: VerifierFiles, proof: Proof, schedule: Schedule): string[] {
  const { context, proof: read } = openOnly(files);
  return [...falseEquations(context, read, schedule.replay(proof))];
}

/** Whether (5) + batch * (6) holds under a verifier's moves. */
export function batchedOpeningHolds(files: VerifierFiles, proof: Proof, schedule: Schedule): boolean {
  const { context, proof: read } = openOnly(files);
  const challenges = schedule.replay(proof);
  return batchHolds(sumStatement(context, read, challenges), read, challenges.batch);
}

/** Whether (5') + batch * (6) holds for a file's only proof, of version 2, for a verifier with other moves. */
export function pairsHold(files: VerifierFiles, proof: Proof, schedule: PairSchedule): boolean {
  const opened = openOnly(files);
  const { statement, batch } = pairStatement(opened, proof, schedule);
  return batchHolds(statement, opened.proof, batch);
}

function openOnly(files: VerifierFiles): OpenedProof {
  const [opened] = openProofs(referenceInput(files));
  return opened!;
}

function pairStatement({ context, proof: read }: OpenedProof, proof: Proof, schedule: PairSchedule) {
  const challenges = schedule.replay(proof);
  const [all] = context.groups;
  const weights = schedule.weights(all!.pairs, challenges.rho);
  const lagrange = lagrangeAt(challenges.z, context.commitment.domainSize);
  const terms = blockTerms(read.blocks, weights, lagrange, challenges.nu);
  const statement = withRows(context, challenges, terms, claimOf(context, all!, challenges));
  return { statement, batch: challenges.batch };
}

function batchHolds(statement: SumStatement, proof: ReferenceProof, batch: bigint): boolean {
  const points = openingPoints(statement, proof);
  return productIsOne([
    [combine([points.atZ, points.atShifted], [1n, batch]), G2.BASE],
    [combine([proof.w.value, proof.wShifted.value], [-1n, mod(-batch)]), statement.tauG2],
  ]);
}

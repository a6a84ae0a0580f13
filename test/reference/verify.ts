import { bytesToHex, sameBytes } from './bytes.js';
import { drawChallenges, type StatementIds } from './challenges.js';
import { falseEquations, type ProofContext } from './checkProof.js';
import { parseCommitment, type ReferenceCommitment } from './commitment.js';
import { groupsOf, type ProvenModule, wholeGroup } from './groups.js';
import { blockSizes } from './pairBlocks.js';
import { checkDigest, parseParameters, type ReferenceParameters } from './params.js';
import { type ProofVersion, parseProof, type ReferenceProof } from './proof.js';
import { demand, Refusal } from './refusal.js';
import { type ReferenceCall, type ReferenceSession, readSession } from './session.js';
import { parseVerificationKey } from './verificationKey.js';

/** Everything a verifier holds, as it lies in the files. */
export interface ReferenceInput {
  readonly paramsJson: string;
  /** Bytes of rank_check_K.vkey. */
  readonly vkeyFiles: (pairs: number) => Uint8Array;
  readonly commitmentJson: string;
  /** session.json, parsed. */
  readonly sessionHeader: unknown;
  /** session.secret, parsed. */
  readonly sessionSecret: unknown;
  readonly calls: readonly ReferenceCall[];
  /** proof.zkl. */
  readonly proof: Uint8Array;
  readonly allowDevelopment?: boolean;
}

/** Outcome; `why` names the first thing that does not hold. */
export interface ReferenceResult {
  readonly valid: boolean;
  readonly why?: string;
}

/** A proof of the file with all that its transcript and equations take from the verifier. */
export interface OpenedProof {
  readonly ids: StatementIds;
  readonly context: ProofContext;
  readonly proof: ReferenceProof;
}

/** Verifies a proof file with docs/protocol.md and docs/formats.md alone. */
export function referenceVerify(input: ReferenceInput): ReferenceResult {
  try {
    for (const { ids, context, proof } of openProofs(input)) {
      const challenges = drawChallenges(ids, context.modules, context.groups, proof);
      const [first] = falseEquations(context, proof, challenges);
      demand(first === undefined, String(first));
    }
    return { valid: true };
  } catch (error) {
    if (error instanceof Refusal) return { valid: false, why: error.message };
    throw error;
  }
}

/**
 * Everything that is checked before the equations (docs/protocol.md, "Verification", steps 1 to 3, and the counts of
 * step 4).
 *
 * @throws Refusal
 */
export function openProofs(input: ReferenceInput): OpenedProof[] {
  const file = parseProof(input.proof);
  const parameters = parseParameters(input.paramsJson);
  demand(!parameters.development || input.allowDevelopment === true, 'development parameters');
  const commitment = parseCommitment(input.commitmentJson);
  const session = readSession(input.sessionHeader, input.sessionSecret, input.calls, commitment.modules);
  demand(bytesToHex(parameters.id) === commitment.parametersId, 'the adapter is of another parameter set');
  demand(sameBytes(file.parametersId, parameters.id), 'the proof is of another parameter set');
  demand(bytesToHex(commitment.id) === session.adapterId, 'the session is of another adapter');
  demand(sameBytes(file.adapterId, commitment.id), 'the proof is of another adapter');
  demand(session.contributorKey === commitment.contributorKey, 'the session is with another contributor');
  demand(sameBytes(file.sessionDigest, session.digest), 'the proof is of another session');
  const proven = file.proofs.flatMap(({ modules }) => modules);
  demand(
    proven.length === session.modules.length && proven.every((module, i) => module === session.modules[i]),
    'the proven modules are not those of the session',
  );
  demand(session.tokens >= 1 && session.tokens <= 2 ** 31, 'the session has no token row, or too many');
  return file.proofs.map((proof) => {
    const context = contextOf(input, file.version, parameters, commitment, session, proof);
    const ids = {
      version: file.version,
      parametersId: parameters.id,
      adapterId: commitment.id,
      sessionDigest: session.digest,
      domainSize: commitment.domainSize,
      tokens: session.tokens,
    };
    return { ids, context, proof };
  });
}

function contextOf(
  input: ReferenceInput,
  version: ProofVersion,
  parameters: ReferenceParameters,
  commitment: ReferenceCommitment,
  session: ReferenceSession,
  proof: ReferenceProof,
): ProofContext {
  const modules = proof.modules.map((index): ProvenModule => {
    const { rank, inFeatures, outFeatures, columnOffset } = commitment.modules[index]!;
    return { index, input: session.inputOf.get(index)!, rank, inFeatures, outFeatures, columnOffset };
  });
  const key = (pairs: number) => {
    const file = input.vkeyFiles(pairs);
    checkDigest(file, parameters.vkeyDigests.get(pairs)!, 'a verification key');
    return parseVerificationKey(file, pairs);
  };
  const groups =
    version === 1 ? groupsOf(modules, [...parameters.vkeyDigests.keys()]) : [wholeGroup(modules)];
  const context = { version, tauG2: parameters.tauG2, key, commitment, session, modules, groups };
  checkCounts(context, proof);
  return context;
}

/** Groups and rounds, or blocks, follow from the ranks. */
function checkCounts({ version, groups, commitment }: ProofContext, proof: ReferenceProof): void {
  if (version === 2) {
    const count = blockSizes(groups[0]!.pairs, commitment.domainSize).length;
    demand(proof.blocks.length === count, 'another number of blocks');
    return;
  }
  demand(proof.groups.length === groups.length, 'another number of groups');
  proof.groups.forEach(({ rounds }, g) => {
    const length = 2 * groups[g]!.pairs + 2;
    const needed = 2 ** rounds.length >= length && 2 ** (rounds.length - 1) < length;
    demand(needed, 'another number of rounds');
  });
}

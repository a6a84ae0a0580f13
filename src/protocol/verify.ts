/**
 * The verifier. Imports no prover, no ONNX, no gRPC and no file system: it also runs in a browser.
 *
 * Everything it relies on (parameters, adapter commitment, session) is an argument; nothing is taken from the
 * proof's sender but the proof.
 */

import { adapterId } from '../adapter/commitment.js';
import type { AdapterCommitment } from '../adapter/types.js';
import { decodeG2, type Engine, Fr, PairingProduct } from '../algebra/index.js';
import { bytesToHex, hexToBytes } from '../bytes.js';
import { type ParameterSet, parameterSetId } from '../circuit/parameters.js';
import type { VerificationKey } from '../circuit/verificationKey.js';
import { ZkLoraError } from '../errors.js';
import { foldSession } from './foldSession.js';
import { foldingRounds } from './linearForm.js';
import { decodeProofFile, type Proof } from './proof.js';
import { decodeRows } from './rows.js';
import { type Session, sessionModules } from './session.js';
import { readSession } from './sessionDigest.js';
import { buildStatement, type Statement } from './statement.js';
import type { InvalidReason } from './sumVerify.js';
import { groupEquations, openingEquations, replayChallenges } from './verifyEquations.js';

export type { InvalidReason } from './sumVerify.js';

/** Verdict on a proof. */
export type VerificationResult =
  | {
      readonly valid: true;
      readonly adapterId: string;
      readonly parametersId: string;
      readonly sessionDigest: string;
      /** Names of the proven modules: all modules of the session. */
      readonly modules: readonly string[];
      readonly tokens: number;
      readonly proofs: number;
    }
  | { readonly valid: false; readonly reason: InvalidReason; readonly message: string };

/** What a verification key is loaded from: circuit size to key. */
export type VerificationKeys = (pairs: number) => Promise<VerificationKey>;

/** Arguments of {@link verifyProof}. */
export interface VerifyOptions {
  readonly engine: Engine;
  /** The verifier's own parameter set. */
  readonly parameters: ParameterSet;
  readonly verificationKeys: VerificationKeys;
  /** The adapter commitment that the verifier pinned before the evaluation. */
  readonly adapter: AdapterCommitment;
  /** The verifier's own record of the session. */
  readonly session: Session;
  readonly proof: Uint8Array;
  /** Accept parameters whose secret is known: for tests and demonstrations. */
  readonly allowDevelopmentParameters?: boolean;
}

class Refusal extends Error {
  constructor(
    readonly reason: InvalidReason,
    message: string,
  ) {
    super(message);
  }
}

/**
 * Verifies that every delta of a session was computed with the committed weights.
 *
 * @returns a verdict; an invalid proof is no exception
 * @throws ZkLoraError `PROOF_MALFORMED`, `SESSION_MALFORMED`, `COMMITMENT_MALFORMED`, `STATEMENT_INVALID` for
 * input that does not have the form it claims
 * @example
 * const verdict = await verifyProof({ engine, parameters, verificationKeys, adapter, session, proof });
 * if (!verdict.valid) console.error(verdict.reason, verdict.message);
 */
export async function verifyProof(options: VerifyOptions): Promise<VerificationResult> {
  try {
    return await verifyOrRefuse(options);
  } catch (error) {
    if (error instanceof Refusal) return { valid: false, reason: error.reason, message: error.message };
    throw error;
  }
}

async function verifyOrRefuse(options: VerifyOptions): Promise<VerificationResult> {
  const { parameters, adapter, session } = options;
  const file = decodeProofFile(options.proof);
  const parametersId = parameterSetId(parameters);
  if (parameters.kind === 'development' && options.allowDevelopmentParameters !== true) {
    throw new Refusal(
      'PARAMETERS_DEVELOPMENT',
      'these parameters were made from a known secret, so proofs under them prove nothing: use a ceremony set, or allow development parameters for a trial',
    );
  }
  if (adapter.parametersId !== parametersId) {
    throw new Refusal('WRONG_PARAMETERS', 'the adapter was registered under other parameters');
  }
  if (file.parametersId !== parametersId) {
    throw new Refusal('WRONG_PARAMETERS', 'the proof was made under other parameters');
  }
  const id = adapterId(adapter);
  if (file.adapterId !== id) throw new Refusal('WRONG_ADAPTER', 'the proof is for another adapter');
  const { header } = session;
  if (header.adapterId !== id || header.contributorKey !== adapter.contributorKey) {
    throw new Refusal('WRONG_SESSION', 'the session was held with another adapter or contributor');
  }
  const { digest, tokens } = await readSession(session, adapter.modules);
  const sessionDigest = bytesToHex(digest);
  if (file.sessionDigest !== sessionDigest) {
    throw new Refusal('WRONG_SESSION', 'the proof is for another session, or the session was changed');
  }
  checkCoverage(file.proofs, sessionModules(header));

  for (const proof of file.proofs) {
    const statement = buildStatement({
      parametersId,
      circuits: parameters.circuits.map(({ pairs }) => pairs),
      adapterId: id,
      adapter,
      header,
      sessionDigest: digest,
      tokens,
      moduleIndices: proof.modules,
    });
    await verifyOne(options, statement, proof);
  }
  return {
    valid: true,
    adapterId: id,
    parametersId,
    sessionDigest,
    modules: sessionModules(header).map((index) => adapter.modules[index]!.name),
    tokens,
    proofs: file.proofs.length,
  };
}

/** The proofs of a file together speak about every module of the session, once. */
function checkCoverage(proofs: readonly Proof[], expected: readonly number[]): void {
  const covered = proofs.flatMap(({ modules }) => modules);
  if (covered.length !== expected.length || covered.some((module, i) => module !== expected[i])) {
    throw new Refusal(
      'INCOMPLETE',
      'the proof does not cover every module of the session exactly once, in order',
    );
  }
}

async function verifyOne(options: VerifyOptions, statement: Statement, proof: Proof): Promise<void> {
  const { engine, adapter, session } = options;
  const wellFormed =
    proof.groups.length === statement.groups.length &&
    proof.groups.every(
      ({ linearForm }, g) => linearForm.rounds.length === foldingRounds(statement.groups[g]!.circuit),
    );
  if (!wellFormed) {
    throw new Refusal('GROUP_STRUCTURE', 'the proof does not have the groups that its modules demand');
  }
  const rows = decodeRows(
    adapter,
    statement.modules.map(({ index }) => index),
  );
  const keys = await Promise.all(statement.groups.map(({ circuit }) => options.verificationKeys(circuit)));
  keys.forEach((key, g) => {
    if (key.pairs !== statement.groups[g]!.circuit) {
      throw new ZkLoraError('PARAMETERS_MISMATCH', 'a verification key is for another circuit size');
    }
  });
  const challenges = replayChallenges(statement, proof);
  const { u, v, t } = challenges;
  const folded = await foldSession(engine, session, statement, adapter.modules, u, v);

  const tauG2 = decodeG2(hexToBytes(options.parameters.tauG2));
  const equations = [
    ...openingEquations(engine, statement, proof, challenges, folded.inputs, rows, tauG2),
    ...statement.groups.flatMap((group, g) => {
      const claim = group.members.reduce(
        (sum, position) => Fr.add(sum, Fr.mul(Fr.pow(t, BigInt(position)), folded.outputs[position]!)),
        0n,
      );
      const groupProof = proof.groups[g]!;
      return groupEquations(engine, keys[g]!, claim, groupProof, challenges.groups[g]!);
    }),
  ];
  const all = new PairingProduct(engine);
  let weight = 1n;
  for (const equation of equations) {
    equation.add(all, weight);
    weight = Fr.mul(weight, challenges.batch);
  }
  if (await all.isOne()) return;
  for (const equation of equations) {
    const single = new PairingProduct(engine);
    equation.add(single, 1n);
    if (!(await single.isOne())) throw new Refusal(equation.reason, equation.message);
  }
  // the batched equation failed, so some single one does (up to 2^-250)
  throw new Refusal('OPENING_INVALID', 'the equations of the proof do not hold together');
}

/**
 * The verifier of registration proofs. Like ../verify.ts it imports no prover and no file system.
 */
import { adapterId, checkAdapterCommitment } from '../../adapter/commitment.js';
import type { AdapterCommitment } from '../../adapter/types.js';
import { decodeG2, type Engine, type G2Point, lagrangeAt, vectorFromScalars } from '../../algebra/index.js';
import { concatBytes, hexToBytes } from '../../bytes.js';
import { type ParameterSet, parameterSetId } from '../../circuit/parameters.js';
import { drawBatch, drawOpening, drawPoint } from '../challenges.js';
import { BegunProduct, falseEquation } from '../checkEquations.js';
import { decodeRows } from '../rows.js';
import { type InvalidReason, sumEquations } from '../sumVerify.js';
import { expandBits } from './bits.js';
import { drawSeed, drawSum } from './challenges.js';
import { decodeRegistrationProof, type RegistrationProof } from './proof.js';
import { SKETCH_BOUND } from './sizes.js';
import { registrationStatement } from './statement.js';
import { sketchTotal } from './total.js';
import { pointWeights } from './weightsAtPoint.js';

/** Why a well-formed registration proof is refused. */
export type RegistrationInvalidReason =
  | Extract<
      InvalidReason,
      'PARAMETERS_DEVELOPMENT' | 'WRONG_PARAMETERS' | 'WRONG_ADAPTER' | 'OPENING_INVALID'
    >
  | 'REGISTRATION_MISSING'
  | 'SKETCH_OUT_OF_RANGE';

/** The adapter's entries are integers, its rows zero outside their range, and its contributor knows them. */
export interface ValidRegistration {
  readonly valid: true;
  readonly adapterId: string;
  readonly parametersId: string;
}

interface InvalidRegistration {
  readonly valid: false;
  readonly reason: RegistrationInvalidReason;
  readonly message: string;
}

/** Verdict on a registration proof. */
export type RegistrationResult = ValidRegistration | InvalidRegistration;

/** Arguments of {@link verifyRegistration}. */
export interface RegistrationVerifyOptions {
  readonly engine: Engine;
  /** The verifier's own parameter set. */
  readonly parameters: ParameterSet;
  /** The adapter commitment with its registration proof. */
  readonly adapter: AdapterCommitment;
  /** Accept parameters whose secret is known: for tests and demonstrations. */
  readonly allowDevelopmentParameters?: boolean;
}

/**
 * Verifies that an adapter commitment holds integers: without it, a proof of inference speaks about elements of a
 * finite field only (docs/protocol.md, "Integers versus field").
 *
 * Once for an adapter id is enough.
 *
 * @returns a verdict; an invalid or missing proof is no exception
 * @throws ZkLoraError `PROOF_MALFORMED`, `COMMITMENT_MALFORMED`, `STATEMENT_INVALID` for input that does not have
 * the form it claims
 * @example
 * const registration = await verifyRegistration({ engine, parameters, adapter });
 * if (!registration.valid) console.error(registration.reason, registration.message);
 */
export async function verifyRegistration(options: RegistrationVerifyOptions): Promise<RegistrationResult> {
  const { engine, parameters, adapter } = options;
  checkAdapterCommitment(adapter);
  const parametersId = parameterSetId(parameters);
  if (parameters.kind === 'development' && options.allowDevelopmentParameters !== true) {
    return refusal(
      'PARAMETERS_DEVELOPMENT',
      'these parameters were made from a known secret, so proofs under them prove nothing: use a ceremony set, or allow development parameters for a trial',
    );
  }
  if (adapter.parametersId !== parametersId) {
    return refusal('WRONG_PARAMETERS', 'the adapter was registered under other parameters');
  }
  if (adapter.registrationProof === null) {
    return refusal('REGISTRATION_MISSING', 'the adapter commitment has no registration proof');
  }
  const proof = decodeRegistrationProof(hexToBytes(adapter.registrationProof));
  if (proof.parametersId !== parametersId) {
    return refusal('WRONG_PARAMETERS', 'the registration proof was made under other parameters');
  }
  const id = adapterId(adapter);
  if (proof.adapterId !== id) {
    return refusal('WRONG_ADAPTER', 'the registration proof is for another adapter');
  }
  const tauG2 = decodeG2(hexToBytes(parameters.tauG2));
  const refused = await refuseProof(engine, tauG2, adapter, proof);
  return refused ?? { valid: true, adapterId: id, parametersId };
}

/**
 * The argument itself, for a proof that names the right ids.
 *
 * @returns undefined when it holds
 */
export async function refuseProof(
  engine: Engine,
  tauG2: G2Point,
  adapter: AdapterCommitment,
  proof: RegistrationProof,
): Promise<InvalidRegistration | undefined> {
  const statement = registrationStatement(adapter);
  if (proof.sketches.some((sketch) => sketch >= SKETCH_BOUND || sketch <= -SKETCH_BOUND)) {
    return refusal('SKETCH_OUT_OF_RANGE', 'a sketch of the committed rows is too large for integer weights');
  }
  const points = decodeRows(
    engine,
    adapter,
    adapter.modules.map((_, index) => index),
  ).flatMap(({ a, b }) => [a, b]);

  const { domainSize } = statement;
  const { transcript, seed } = drawSeed(statement, proof.masks);
  const challenges = drawSum(transcript, proof.sketches);
  const z = drawPoint(transcript, domainSize, proof.sum);
  drawOpening(transcript, proof.sum.shifted, []);
  const batch = drawBatch(transcript, proof.sum);

  const bits = expandBits(seed, statement);
  const atPoint = pointWeights(engine, statement, bits, challenges, lagrangeAt(engine, domainSize, z));
  const known = [
    { scalars: atPoint.rows, bases: concatBytes(...points) },
    { scalars: vectorFromScalars(engine, [atPoint.masks]), bases: proof.masks },
  ];
  const total = sketchTotal(engine, proof.sketches, challenges.lambda);
  const falseSum = 'the sketches were not computed with the committed rows, or a row leaves its range';
  const equations = sumEquations(engine, domainSize, known, total, proof.sum, z, tauG2, falseSum);
  const failed = await falseEquation(engine, equations, new BegunProduct(engine, batch));
  return failed && refusal('OPENING_INVALID', failed.message);
}

function refusal(reason: RegistrationInvalidReason, message: string): InvalidRegistration {
  return { valid: false, reason, message };
}

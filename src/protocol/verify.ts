/**
 * The verifier. Imports no prover, no ONNX, no gRPC and no file system: it also runs in a browser.
 *
 * Everything it relies on (parameters, adapter commitment, session) is an argument; nothing is taken from the
 * proof's sender but the proof.
 */
import {
  decodeG2,
  dotVectors,
  type Engine,
  Fr,
  g1Generator,
  g2Generator,
  type G2Point,
  lagrangeAt,
  PairingProduct,
  powersVector,
  rootOfUnity,
  subVector,
} from '../algebra/index.js';
import { adapterId } from '../adapter/commitment.js';
import type { AdapterCommitment } from '../adapter/types.js';
import { bytesToHex, hexToBytes } from '../bytes.js';
import type { ParameterSet } from '../circuit/parameters.js';
import { parameterSetId } from '../circuit/parameters.js';
import type { VerificationKey } from '../circuit/verificationKey.js';
import { ZkLoraError } from '../errors.js';
import {
  drawBatch,
  drawForm,
  drawGroupWeight,
  drawPoint,
  type SessionChallenges,
  startTranscript,
} from './challenges.js';
import { foldSession } from './foldSession.js';
import { foldingRounds } from './linearForm.js';
import { addLinearFormEquation, type LinearFormChallenges, replayLinearForm } from './linearFormVerify.js';
import { pairWeights } from './pairWeights.js';
import { decodeProofFile, type GroupProof, type Proof } from './proof.js';
import { decodeRows, type ModuleRows } from './rows.js';
import { type Session, sessionModules } from './session.js';
import { readSession } from './sessionDigest.js';
import { buildStatement, type Statement } from './statement.js';

/** Why a well-formed proof is refused. */
export type InvalidReason =
  | 'PARAMETERS_DEVELOPMENT'
  | 'WRONG_PARAMETERS'
  | 'WRONG_ADAPTER'
  | 'WRONG_SESSION'
  | 'INCOMPLETE'
  | 'GROUP_STRUCTURE'
  | 'GROTH16_INVALID'
  | 'LINEAR_FORM_INVALID'
  | 'OPENING_INVALID';

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
  const { engine, parameters, adapter, session } = options;
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
    throw new Refusal('INCOMPLETE', 'the proof does not cover every module of the session exactly once, in order');
  }
}

interface GroupChallenges extends LinearFormChallenges {
  readonly rho: bigint;
}

interface ProofChallenges extends SessionChallenges {
  readonly rho: bigint;
  readonly kappa: bigint;
  readonly groups: readonly GroupChallenges[];
  readonly z: bigint;
  readonly batch: bigint;
}

function replay(statement: Statement, proof: Proof): ProofChallenges {
  const { transcript, challenges } = startTranscript(statement);
  const rho = drawForm(transcript, proof.groups);
  const kappa = drawGroupWeight(
    transcript,
    proof.groups.map(({ formValue }) => formValue),
  );
  const groups = proof.groups.map((group) => ({ rho, ...replayLinearForm(transcript, group) }));
  const z = drawPoint(transcript, statement.domainSize, proof);
  const batch = drawBatch(transcript, proof);
  return { ...challenges, rho, kappa, groups, z, batch };
}

/** One equation of a proof: adds its terms, times a weight, to a pairing product. */
interface Equation {
  readonly reason: InvalidReason;
  readonly message: string;
  add(product: PairingProduct, weight: bigint): void;
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
  const keys = await Promise.all(
    statement.groups.map(({ circuit }) => options.verificationKeys(circuit)),
  );
  keys.forEach((key, g) => {
    if (key.pairs !== statement.groups[g]!.circuit) {
      throw new ZkLoraError('PARAMETERS_MISMATCH', 'a verification key is for another circuit size');
    }
  });
  const challenges = replay(statement, proof);
  const { u, v, t } = challenges;
  const folded = await foldSession(engine, session, statement, adapter.modules, u, v);

  const tauG2 = decodeG2(hexToBytes(options.parameters.tauG2));
  const equations: Equation[] = [
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

/**
 * The two KZG openings. docs/protocol.md, "The identity on H": the verifier builds [Lambda] itself from the
 * registered rows.
 */
function openingEquations(
  engine: Engine,
  statement: Statement,
  proof: Proof,
  challenges: ProofChallenges,
  inputs: readonly (Uint8Array | undefined)[],
  rows: readonly ModuleRows[],
  tauG2: G2Point,
): Equation[] {
  const { t, v, rho, kappa, z } = challenges;
  const { domainSize } = statement;
  const g2 = g2Generator(engine);
  const g1 = g1Generator(engine);
  const basis = lagrangeAt(engine, domainSize, z);
  const atPoint = (values: Uint8Array, offset: number) =>
    dotVectors(engine, values, subVector(basis, offset, values.byteLength / 32));

  const inputsAtZ = new Map<number, bigint>();
  statement.modules.forEach(({ input, columnOffset }) => {
    if (!inputsAtZ.has(input)) inputsAtZ.set(input, atPoint(inputs[input]!, columnOffset));
  });
  const widest = Math.max(...statement.modules.map(({ outFeatures }) => outFeatures));
  const vAtZ = atPoint(powersVector(engine, v, widest), 0);
  const weights = pairWeights(engine, statement, t, rho, kappa);
  let formValue = 0n;
  let groupWeight = 1n;
  const groupWeights = proof.groups.map((group) => {
    const own = groupWeight;
    formValue = Fr.add(formValue, Fr.mul(own, group.formValue));
    groupWeight = Fr.mul(own, kappa);
    return own;
  });
  const value = Fr.add(Fr.div(formValue, BigInt(domainSize)), proof.shifted);
  const vanishing = Fr.sub(Fr.pow(z, BigInt(domainSize)), 1n);
  const shiftedPoint = Fr.mul(z, rootOfUnity(engine, domainSize));

  return [
    {
      reason: 'OPENING_INVALID',
      message: 'the deltas were not computed with the committed weights',
      add: (product, weight) => {
        const term = (scalar: bigint, point: Uint8Array) =>
          product.add(g2, Fr.mul(weight, scalar), point);
        statement.modules.forEach((module, position) => {
          const cz = inputsAtZ.get(module.input)!;
          weights[position]!.a.forEach((w, j) => term(Fr.mul(cz, w), rows[position]!.a[j]!));
          weights[position]!.b.forEach((w, j) => term(Fr.mul(vAtZ, w), rows[position]!.b[j]!));
        });
        proof.groups.forEach(({ mask }, g) => term(groupWeights[g]!, mask));
        term(1n, proof.runningSum);
        term(Fr.neg(vanishing), proof.quotient);
        term(Fr.neg(value), g1);
        term(z, proof.opening);
        product.add(tauG2, Fr.neg(weight), proof.opening);
      },
    },
    {
      reason: 'OPENING_INVALID',
      message: 'the shifted opening of the running sum does not hold',
      add: (product, weight) => {
        product.add(g2, weight, proof.runningSum);
        product.add(g2, Fr.neg(Fr.mul(weight, proof.shifted)), g1);
        product.add(g2, Fr.mul(weight, shiftedPoint), proof.shiftedOpening);
        product.add(tauG2, Fr.neg(weight), proof.shiftedOpening);
      },
    },
  ];
}

/**
 * Groth16 with D in place of the hidden public inputs, and the linear form that makes it sound.
 *
 * The first equation alone proves nothing: D could hold multiples of IC_0 or IC_y. Only the second, a proof of
 * knowledge of an opening of D in exactly the bases IC_mu, IC_b, IC_p, IC_q, excludes that. Neither may be
 * checked without the other.
 */
function groupEquations(
  engine: Engine,
  key: VerificationKey,
  claim: bigint,
  proof: GroupProof,
  challenges: GroupChallenges,
): Equation[] {
  const { pairs, ic } = key;
  const icPoint = (index: number) => ic.subarray(index * 64, (index + 1) * 64);
  const { groth16 } = proof;
  return [
    {
      reason: 'LINEAR_FORM_INVALID',
      message: 'the committed values do not open to the claimed form value',
      add: (product, weight) =>
        addLinearFormEquation(
          engine,
          product,
          g2Generator(engine),
          weight,
          proof,
          challenges,
          challenges.rho,
          pairs,
          ic.subarray(2 * 64),
        ),
    },
    {
      reason: 'GROTH16_INVALID',
      message: 'the rank-space products do not add up to the session',
      add: (product, weight) => {
        const minus = Fr.neg(weight);
        product.add(groth16.b, weight, groth16.a);
        product.add(key.beta, minus, key.alpha);
        product.add(key.gamma, minus, icPoint(0));
        product.add(key.gamma, Fr.mul(minus, claim), icPoint(1));
        product.add(key.gamma, minus, proof.committed);
        product.add(key.delta, minus, groth16.c);
      },
    },
  ];
}

/**
 * The verifier. Imports no prover, no ONNX, no gRPC and no file system: it also runs in a browser.
 *
 * Everything it relies on (parameters, adapter commitment, session) is an argument; nothing is taken from the
 * proof's sender but the proof.
 */

import { adapterId, checkAdapterCommitment } from '../adapter/commitment.js';
import type { AdapterCommitment } from '../adapter/types.js';
import { decodeG2, type Engine, Fr, g2Generator, lagrangeAt } from '../algebra/index.js';
import { bytesToHex, hexToBytes } from '../bytes.js';
import { type ParameterSet, parameterSetId } from '../circuit/parameters.js';
import type { VerificationKey } from '../circuit/verificationKey.js';
import { ZkLoraError } from '../errors.js';
import { BegunProduct, falseEquation } from './checkEquations.js';
import { foldSessionAtPoint } from './foldSession.js';
import { foldingRounds } from './linearForm.js';
import { blocksOf } from './pairBlocks.js';
import { decodeProofFile, outlineProofFile, type Proof, type ProofOutline } from './proof.js';
import type { ValidRegistration } from './registration/verify.js';
import { decodeRows, type ModuleRows } from './rows.js';
import { type CallSource, type Session, sessionModules } from './session.js';
import { SessionPass } from './sessionPass.js';
import { buildStatement, type RankCheck, type Statement } from './statement.js';
import type { Equation, InvalidReason } from './sumVerify.js';
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
      /** How the file shows the pairs' products. */
      readonly rankCheck: RankCheck;
      /**
       * Whether the committed weights are known to be integers: {@link VerifyOptions.registration} was given. Without
       * it the proof speaks about elements of a finite field, some of which may read other modules' activations.
       */
      readonly integerWeights: boolean;
    }
  | { readonly valid: false; readonly reason: InvalidReason; readonly message: string };

/**
 * What a verification key is loaded from: circuit size to key.
 *
 * Keys come from `parseVerificationKey` (a `ParameterStore` does that): it refuses those under which anything verifies.
 */
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
  /** The verifier's own verdict on this adapter's registration proof, from `verifyRegistration`. */
  readonly registration?: ValidRegistration;
  /** Accept parameters whose secret is known: for tests and demonstrations. */
  readonly allowDevelopmentParameters?: boolean;
  /** Accept only proofs of this kind: `kzg` trusts no circuit key of the parameter set. Both by default. */
  readonly rankCheck?: RankCheck;
}

class Refusal extends Error {
  constructor(
    readonly reason: InvalidReason,
    message: string,
  ) {
    super(message);
  }
}

/** The equations of one proof, weighted by powers of the challenge that its transcript drew last. */
export interface ProofEquations {
  readonly equations: readonly Equation[];
  readonly batch: bigint;
  /** Product whose multiplications run already. */
  readonly begun?: BegunProduct;
}

/** A proof file whose claims have been compared with the verifier's own data; its equations are not yet checked. */
export interface ReadProof {
  /** Holds if all equations do. */
  readonly verdict: Extract<VerificationResult, { valid: true }>;
  /** One entry for each proof of the file. */
  readonly checks: readonly ProofEquations[];
}

/** Whether the product of a file of one proof is begun while its session is folded, or left to the caller. */
type Products = 'begin' | 'none';

/** What proofs under one parameter set share; filled as they are read. */
export class VerifierCache {
  readonly keys = new Map<number, VerificationKey>();
  /** Committed rows by adapter id, then by module index. */
  readonly rows = new Map<string, Map<number, ModuleRows>>();
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
  const read = await readProof(options, new VerifierCache(), 'begin');
  return 'checks' in read ? checkProof(options.engine, read) : read;
}

/** Checks the equations of a proof file, those of each proof with one product of pairings. */
export async function checkProof(
  engine: Engine,
  { verdict, checks }: ReadProof,
): Promise<VerificationResult> {
  for (const { equations, batch, begun } of checks) {
    const failed = await falseEquation(engine, equations, begun ?? new BegunProduct(engine, batch));
    if (failed) return { valid: false, reason: failed.reason, message: failed.message };
  }
  return verdict;
}

/**
 * Reads a proof file and compares what it is about with the verifier's own data: everything but the equations.
 *
 * @param products `begin` for a caller that checks the equations of each proof with a product of its own
 * @returns the equations, or a verdict when it is refused without them
 * @throws ZkLoraError as {@link verifyProof}
 */
export async function readProof(
  options: VerifyOptions,
  cache: VerifierCache,
  products: Products = 'none',
): Promise<ReadProof | Extract<VerificationResult, { valid: false }>> {
  try {
    // it is read twice, and others have their turn between
    return await readOrRefuse({ ...options, proof: options.proof.slice() }, cache, products);
  } catch (error) {
    if (error instanceof Refusal) return { valid: false, reason: error.reason, message: error.message };
    throw error;
  }
}

async function readOrRefuse(
  options: VerifyOptions,
  cache: VerifierCache,
  products: Products,
): Promise<ReadProof> {
  const { parameters, adapter, session, registration } = options;
  checkAdapterCommitment(adapter);
  const outline = outlineProofFile(options.proof);
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
  if (outline.parametersId !== parametersId) {
    throw new Refusal('WRONG_PARAMETERS', 'the proof was made under other parameters');
  }
  if (!parameters.domains.some(({ size }) => size === adapter.domainSize)) {
    throw new Refusal(
      'WRONG_PARAMETERS',
      `the parameter set has no domain of ${adapter.domainSize} points, which the adapter is committed in`,
    );
  }
  const { rankCheck = outline.rankCheck } = options;
  if (outline.rankCheck !== rankCheck) {
    throw new Refusal(
      'RANK_CHECK_REFUSED',
      `the proof checks its pairs by ${outline.rankCheck}, and ${rankCheck} is demanded: ask the prover for that`,
    );
  }
  const id = adapterId(adapter);
  if (outline.adapterId !== id) throw new Refusal('WRONG_ADAPTER', 'the proof is for another adapter');
  if (registration && (registration.adapterId !== id || registration.parametersId !== parametersId)) {
    throw new Refusal('WRONG_ADAPTER', 'the verdict on a registration proof is about another adapter');
  }
  const { header } = session;
  if (header.adapterId !== id || header.contributorKey !== adapter.contributorKey) {
    throw new Refusal('WRONG_SESSION', 'the session was held with another adapter or contributor');
  }
  const pass = new SessionPass(session, adapter.modules);
  const requireSession = async (): Promise<void> => {
    if (outline.sessionDigest === bytesToHex(await pass.finish())) return;
    throw new Refusal('WRONG_SESSION', 'the proof is for another session, or the session was changed');
  };
  let read: ReadProof;
  try {
    read = await readPass(options, { id, parametersId, outline, pass }, cache, products);
  } catch (error) {
    // what the proof says of another session is of no interest
    await requireSession();
    throw error;
  }
  await requireSession();
  return read;
}

/** What a proof file is held against. */
interface ProofSubject {
  readonly id: string;
  readonly parametersId: string;
  readonly outline: ProofOutline;
  /** Not begun. */
  readonly pass: SessionPass;
}

/**
 * Reads the session, taking the digest that the proof names for its own: challenges are drawn from it, so that one pass
 * does. What this gives holds only for a session that then turns out to have that digest.
 */
async function readPass(
  options: VerifyOptions,
  { id, parametersId, outline, pass }: ProofSubject,
  cache: VerifierCache,
  products: Products,
): Promise<ReadProof> {
  const { parameters, adapter, registration } = options;
  const members = sessionModules(pass.header);
  const tokens = await pass.countTokens();
  checkCoverage(outline, members);
  const statements = outline.proofs.map(({ modules, ...structure }) => {
    const statement = buildStatement({
      rankCheck: outline.rankCheck,
      parametersId,
      circuits: parameters.circuits.map(({ pairs }) => pairs),
      adapterId: id,
      adapter,
      header: pass.header,
      sessionDigest: hexToBytes(outline.sessionDigest),
      tokens,
      moduleIndices: modules,
    });
    checkStructure(statement, structure);
    return statement;
  });
  const { proofs } = decodeProofFile(options.proof);
  const checks = await equationsOf(options, id, pass, statements, proofs, cache, products);
  return {
    verdict: {
      valid: true,
      adapterId: id,
      parametersId,
      sessionDigest: outline.sessionDigest,
      modules: members.map((index) => adapter.modules[index]!.name),
      tokens,
      proofs: proofs.length,
      rankCheck: outline.rankCheck,
      integerWeights: registration !== undefined,
    },
    checks,
  };
}

/** The proofs of a file together speak about every module of the session, once. */
function checkCoverage({ proofs }: ProofOutline, expected: readonly number[]): void {
  const covered = proofs.flatMap(({ modules }) => modules);
  if (covered.length !== expected.length || covered.some((module, i) => module !== expected[i])) {
    throw new Refusal(
      'INCOMPLETE',
      'the proof does not cover every module of the session exactly once, in order',
    );
  }
}

/** Blocks, or groups and rounds, are those that the ranks demand. */
function checkStructure(
  { rankCheck, groups, domainSize }: Statement,
  { rounds, blocks }: Omit<ProofOutline['proofs'][number], 'modules'>,
): void {
  const fits =
    rankCheck === 'kzg'
      ? blocks === blocksOf(groups[0]!.pairs, domainSize).length
      : groups.length === rounds.length && groups.every(({ pairs }, g) => rounds[g] === foldingRounds(pairs));
  if (!fits) {
    const parts = rankCheck === 'kzg' ? 'blocks' : 'groups';
    throw new Refusal('GROUP_STRUCTURE', `the proof does not have the ${parts} that its modules demand`);
  }
}

/** Equations of the sum argument, which come before those of the groups. */
const OPENINGS = 2;

/** The equations of all proofs of a file; one pass over the session. */
async function equationsOf(
  options: VerifyOptions,
  id: string,
  session: CallSource,
  statements: readonly Statement[],
  proofs: readonly Proof[],
  cache: VerifierCache,
  products: Products,
): Promise<ProofEquations[]> {
  const { engine } = options;
  const challenges = statements.map((statement, i) => replayChallenges(statement, proofs[i]!));
  await loadKeys(options, statements, cache.keys);
  const outputs = statements.map((): { folded: readonly bigint[] } => ({ folded: [] }));
  const claimOf = (i: number, members: readonly number[]) =>
    laterClaim(outputs[i]!, challenges[i]!.t, members);
  const groups = statements.map((statement, i) =>
    statement.rankCheck === 'kzg'
      ? []
      : statement.groups.map(({ circuit, pairs, members }, g) =>
          groupEquations(
            engine,
            cache.keys.get(circuit)!,
            pairs,
            claimOf(i, members),
            proofs[i]!.groups[g]!,
            challenges[i]!.groups[g]!,
          ),
        ),
  );
  // one at a time: a file may hold 65,535 proofs, and what is begun waits in memory
  const begun =
    products === 'begin' && proofs.length === 1 ? new BegunProduct(engine, challenges[0]!.batch) : undefined;
  if (begun) {
    begun.add(groups[0]!.map(([linearForm], g) => [OPENINGS + 2 * g, linearForm]));
    begun.product.start();
  }
  const foldings = statements.map((statement, i) => {
    const { u, v, z } = challenges[i]!;
    return { statement, u, v, basis: lagrangeAt(engine, statement.domainSize, z) };
  });
  let equations: Equation[][] | undefined;
  const folded = await foldSessionAtPoint(engine, session, foldings, (inputs) => {
    const tauG2 = decodeG2(hexToBytes(options.parameters.tauG2));
    equations = statements.map((statement, i) => {
      const { basis } = foldings[i]!;
      const rows = loadRows(options, id, statement, cache.rows);
      const { inputsAtPoint } = inputs[i]!;
      const claim = claimOf(i, statement.groups[0]!.members);
      return [
        ...openingEquations(
          engine,
          statement,
          proofs[i]!,
          challenges[i]!,
          basis,
          inputsAtPoint,
          rows,
          tauG2,
          claim,
        ),
        ...groups[i]!.flat(),
      ];
    });
    begun?.add(equations[0]!.entries());
    // what the claims are added to stays open: gamma is the generator
    begun?.product.startPairings([g2Generator(engine)]);
  });
  folded.forEach((own, i) => {
    outputs[i]!.folded = own.outputs;
  });
  // a proof without equations would hold
  if (!equations) throw new ZkLoraError('INTERNAL', 'the session was folded without a last call');
  return equations.map((own, i) => ({
    equations: own,
    batch: challenges[i]!.batch,
    ...(begun && { begun }),
  }));
}

/**
 * What the session says that the products of these modules' pairs come to, once its outputs are folded. Made here, so
 * that equations which wait for others in a batch keep nothing else of a session alive.
 */
function laterClaim(
  outputs: { readonly folded: readonly bigint[] },
  t: bigint,
  members: readonly number[],
): () => bigint {
  return () =>
    members.reduce(
      (sum, position) => Fr.add(sum, Fr.mul(Fr.pow(t, BigInt(position)), outputs.folded[position]!)),
      0n,
    );
}

/** Loads the verification keys of all circuits in use that are not loaded yet. */
async function loadKeys(
  { verificationKeys }: VerifyOptions,
  statements: readonly Statement[],
  keys: Map<number, VerificationKey>,
): Promise<void> {
  const circuits = statements.flatMap(({ rankCheck, groups }) =>
    rankCheck === 'kzg' ? [] : groups.map(({ circuit }) => circuit),
  );
  for (const circuit of new Set(circuits)) {
    if (keys.has(circuit)) continue;
    const key = await verificationKeys(circuit);
    if (key.pairs !== circuit) {
      throw new ZkLoraError('PARAMETERS_MISMATCH', 'a verification key is for another circuit size');
    }
    keys.set(circuit, key);
  }
}

/** Committed rows of a statement's modules, by position; decodes those that are not decoded yet. */
function loadRows(
  { engine, adapter }: VerifyOptions,
  id: string,
  statement: Statement,
  cache: Map<string, Map<number, ModuleRows>>,
): ModuleRows[] {
  const known = cache.get(id) ?? new Map<number, ModuleRows>();
  cache.set(id, known);
  const missing = statement.modules.map(({ index }) => index).filter((index) => !known.has(index));
  decodeRows(engine, adapter, missing).forEach((rows, i) => {
    known.set(missing[i]!, rows);
  });
  return statement.modules.map(({ index }) => known.get(index)!);
}

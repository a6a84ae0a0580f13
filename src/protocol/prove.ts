import { adapterId } from '../adapter/commitment.js';
import { type AdapterSecret, assertSecretMatches } from '../adapter/secret.js';
import type { AdapterCommitment, QuantizedModule } from '../adapter/types.js';
import { type Engine, warmCircuitProver, warmProver } from '../algebra/index.js';
import { bytesToHex, equalBytes } from '../bytes.js';
import type { ParameterStore } from '../circuit/parameterFiles.js';
import { ZkLoraError } from '../errors.js';
import { hasCommittedShapes } from './committedShapes.js';
import { encodeProofFile, type Proof } from './proof.js';
import { circuitSizes, commitFormMasks } from './proveGroup.js';
import { type ProveStage, proveStatement, type SessionWitness } from './proveStatement.js';
import { type Session, sessionModules } from './session.js';
import { checkHeader } from './sessionDigest.js';
import { readSession, SessionPass } from './sessionPass.js';
import { buildStatement, type RankCheck } from './statement.js';
import { verifyProof } from './verify.js';

export type { ProveStage } from './proveStatement.js';

const DEFAULT_RANK_CHECK = 'kzg';

/** Arguments of {@link proveSession}. */
export interface ProveOptions {
  readonly engine: Engine;
  readonly parameters: ParameterStore;
  readonly adapter: AdapterCommitment;
  /** The committed weights, in the adapter's order. */
  readonly modules: readonly QuantizedModule[];
  readonly secret: AdapterSecret;
  readonly session: Session;
  /**
   * Digest that the session should have, as both sides signed it. One proof of a session too long to be kept in memory
   * then takes one pass over it and not two; the digest is compared before anything is proven.
   */
  readonly sessionDigest?: Uint8Array;
  /** One proof for the whole adapter (default), or one for each module. */
  readonly mode?: 'aggregated' | 'per-module';
  /**
   * How the sum of the pairs' products is shown: inside the sum argument (default), or by Groth16 over the circuit RankCheck
   * of the parameter set.
   */
  readonly rankCheck?: RankCheck;
  readonly onProgress?: (event: { stage: ProveStage; proof: number; proofs: number }) => void;
}

/**
 * Proves that every delta of a session was computed with the committed weights, and verifies the proof before it
 * leaves.
 *
 * @returns bytes of a proof file
 * @throws ZkLoraError `SESSION_MISMATCH` when the session's deltas are not those of these weights,
 * `SECRET_MISMATCH` when weights or secret are not those of the commitment, `PARAMETERS_MISMATCH`,
 * `SESSION_MALFORMED`, `STATEMENT_INVALID`
 * @example
 * const bytes = await proveSession({ engine, parameters, adapter, modules, secret, session });
 */
export async function proveSession(options: ProveOptions): Promise<Uint8Array> {
  const { engine, parameters, adapter, session, onProgress } = options;
  const proof = await proveUnchecked(options);
  onProgress?.({ stage: 'check', proof: 0, proofs: 1 });
  const verdict = await verifyProof({
    engine,
    parameters: parameters.set,
    verificationKeys: parameters.vkey,
    adapter,
    session,
    proof,
    allowDevelopmentParameters: true,
    rankCheck: options.rankCheck ?? DEFAULT_RANK_CHECK,
  });
  if (!verdict.valid) {
    throw new ZkLoraError(
      'SECRET_MISMATCH',
      `the proof does not verify (${verdict.message}): weights or secret are not the registered ones, use those`,
    );
  }
  return proof;
}

/**
 * {@link proveSession} without the verification at its end, for measurements and for tests of dishonest provers.
 *
 * A proof made with weights or blinders other than the committed ones must not leave: it fails, and what is left of
 * its equations is a function of the difference, without any blinder.
 */
export async function proveUnchecked(options: ProveOptions): Promise<Uint8Array> {
  const { engine, adapter, session, parameters, secret } = options;
  const id = adapterId(adapter);
  checkBelongTogether(options, id);
  options.onProgress?.({ stage: 'read session', proof: 0, proofs: 1 });
  checkHeader(session.header, adapter.modules);
  const all = sessionModules(session.header);
  const subsets = options.mode === 'per-module' ? all.map((module) => [module]) : [all];
  const rankCheck = options.rankCheck ?? DEFAULT_RANK_CHECK;
  const startMasks = async (subset: readonly number[]) => {
    const ranks = subset.map((index) => adapter.modules[index]!.rank);
    return rankCheck === 'kzg' ? [] : commitFormMasks(engine, parameters, ranks);
  };
  // the workers have nothing else to do while this thread reads and folds
  const firstMasks = startMasks(subsets[0]!);
  const reading = Promise.all([openWitness(options), firstMasks]);
  void (rankCheck === 'kzg' ? warmProver : warmCircuitProver)(engine);
  const [{ digest, tokens, ...rows }] = await reading;
  const srs = await parameters.srs(adapter.domainSize);
  const proofs: Proof[] = [];
  for (const [proofIndex, moduleIndices] of subsets.entries()) {
    const statement = buildStatement({
      rankCheck,
      parametersId: parameters.id,
      circuits: circuitSizes(parameters),
      adapterId: id,
      adapter,
      header: session.header,
      sessionDigest: digest,
      tokens,
      moduleIndices,
    });
    const report = (stage: ProveStage) =>
      options.onProgress?.({ stage, proof: proofIndex, proofs: subsets.length });
    const context = { engine, parameters, srs, statement, modules: options.modules };
    const formMasks = proofIndex === 0 ? firstMasks : startMasks(moduleIndices);
    const witness = { adapter, secret, formMasks, ...rows };
    proofs.push(await proveStatement(context, witness, report));
  }
  return encodeProofFile({
    rankCheck,
    parametersId: parameters.id,
    adapterId: id,
    sessionDigest: bytesToHex(digest),
    proofs,
  });
}

/** Reads a session, or gets ready to when its digest is stated and it is too long to be kept. */
async function openWitness(options: ProveOptions): Promise<SessionWitness> {
  const { adapter, session, mode, sessionDigest: stated } = options;
  let source = session;
  // proofs of single modules are made one after the other, each in a pass of its own
  if (stated && mode !== 'per-module') {
    const pass = new SessionPass(session, adapter.modules);
    const tokens = await pass.countTokens();
    const kept = pass.keptWhole();
    if (!kept) {
      const confirm = async (): Promise<void> => {
        if (!equalBytes(stated, await pass.finish())) throw otherSession();
      };
      return { digest: stated, tokens, session: pass, passes: 'once', confirm };
    }
    source = kept;
  }
  const { digest, tokens, stable, inMemory } = await readSession(source, adapter.modules);
  if (stated && !equalBytes(stated, digest)) throw otherSession();
  return {
    digest,
    tokens,
    session: stable,
    passes: inMemory ? 'memory' : 'again',
    confirm: async () => undefined,
  };
}

function otherSession(): ZkLoraError {
  return new ZkLoraError(
    'SESSION_MISMATCH',
    'the session is not the one that both sides signed: it was edited, or its closing is of another',
  );
}

function checkBelongTogether(options: ProveOptions, id: string): void {
  const { adapter, parameters, secret, session, modules } = options;
  if (adapter.parametersId !== parameters.id) {
    throw new ZkLoraError(
      'PARAMETERS_MISMATCH',
      'the adapter was registered under other parameters: pass those',
    );
  }
  assertSecretMatches(secret, adapter, id);
  if (session.header.adapterId !== id || session.header.contributorKey !== adapter.contributorKey) {
    throw new ZkLoraError('SESSION_MISMATCH', 'the session was held with another adapter');
  }
  if (!hasCommittedShapes(modules, adapter))
    throw new ZkLoraError('SESSION_MISMATCH', 'the weights do not have the shapes of the adapter commitment');
}

import { adapterId } from '../adapter/commitment.js';
import {
  type AdapterSecret,
  assertSecretMatches,
  type ModuleBlinders,
  moduleBlinders,
} from '../adapter/secret.js';
import type { AdapterCommitment, QuantizedModule } from '../adapter/types.js';
import type { Engine } from '../algebra/index.js';
import {
  dotVectors,
  type FieldVector,
  Fr,
  powersVector,
  prepareTransforms,
  warmProver,
} from '../algebra/index.js';
import { bytesToHex, equalBytes, hexToBytes } from '../bytes.js';
import type { ParameterStore } from '../circuit/parameterFiles.js';
import { ZkLoraError } from '../errors.js';
import { nextTurn } from '../nextTurn.js';
import { drawForm, drawGroupWeight, startTranscript } from './challenges.js';
import { hasCommittedShapes } from './committedShapes.js';
import { foldInputsAt, foldSession } from './foldSession.js';
import { inferenceLanes } from './inferenceLanes.js';
import { formVector } from './linearForm.js';
import { type FormMask, proveLinearForm } from './linearFormProve.js';
import { encodeProofFile, type GroupProof, type Proof } from './proof.js';
import {
  assertDeltas,
  type CommittedGroup,
  circuitSizes,
  commitFormMasks,
  commitGroup,
  type ProverContext,
  rankSpace,
} from './proveGroup.js';
import { type CallSource, type Session, sessionModules } from './session.js';
import { checkHeader } from './sessionDigest.js';
import { readSession, SessionPass } from './sessionPass.js';
import { buildStatement } from './statement.js';
import { finishSum, prepareSum } from './sumProve.js';
import { verifyProof } from './verify.js';

/** Stages of proving, for progress displays. */
export type ProveStage = 'read session' | 'rank space' | 'groth16' | 'linear form' | 'polynomials' | 'check';

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
  const startMasks = (subset: readonly number[]) =>
    commitFormMasks(
      engine,
      parameters,
      subset.map((index) => adapter.modules[index]!.rank),
    );
  // the workers have nothing else to do while this thread reads and folds
  const firstMasks = startMasks(subsets[0]!);
  const reading = Promise.all([openWitness(options), firstMasks]);
  void warmProver(engine);
  const [{ digest, tokens, ...rows }] = await reading;
  const srs = await parameters.srs(adapter.domainSize);
  const proofs: Proof[] = [];
  for (const [proofIndex, moduleIndices] of subsets.entries()) {
    const statement = buildStatement({
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
    parametersId: parameters.id,
    adapterId: id,
    sessionDigest: bytesToHex(digest),
    proofs,
  });
}

/** A session as it is proven: what its statement needs, and its rows. */
interface SessionWitness {
  readonly digest: Uint8Array;
  readonly tokens: number;
  readonly session: CallSource;
  /** `memory`: all of it is; `again`: any pass reads it; `once`: the one pass reads and digests it. */
  readonly passes: 'memory' | 'again' | 'once';
  /** To be asked when the session has been read: whether it is the one of the digest. */
  confirm(): Promise<void>;
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

/**
 * Token rows up to which a pass over the activations is cheaper than inner products of field vectors: an integer
 * times a field element takes a fiftieth of a product of two.
 */
const MAX_TOKENS_AT_POINT = 32;

/** What the lanes need that no challenge has to be known for: tables of the transforms, and the blinders. */
async function prepareLanes(
  context: ProverContext,
  witness: StatementWitness,
): Promise<Map<number, ModuleBlinders>> {
  const blinders = await deriveBlinders(context, witness);
  prepareTransforms(context.engine, context.statement.domainSize);
  return blinders;
}

/** Blinders of the statement's rows, by adapter index; other work gets its turn after each module. */
async function deriveBlinders(
  { statement, modules }: ProverContext,
  { adapter, secret }: StatementWitness,
): Promise<Map<number, ModuleBlinders>> {
  const [key, salt] = [hexToBytes(secret.blindingSecret), hexToBytes(adapter.salt)];
  const blinders = new Map<number, ModuleBlinders>();
  for (const { index } of statement.modules) {
    blinders.set(index, moduleBlinders(key, salt, modules[index]!));
    await nextTurn();
  }
  return blinders;
}

/** What one statement is proven from, besides the {@link ProverContext}. */
interface StatementWitness extends Pick<SessionWitness, 'session' | 'passes' | 'confirm'> {
  readonly adapter: AdapterCommitment;
  readonly secret: AdapterSecret;
  readonly formMasks: Promise<FormMask[]>;
}

/** Proves one statement; docs/protocol.md, steps 1 to 6. */
async function proveStatement(
  context: ProverContext,
  witness: StatementWitness,
  report: (stage: ProveStage) => void,
): Promise<Proof> {
  const { engine, statement, srs } = context;
  const { session, passes } = witness;
  const { transcript, challenges } = startTranscript(statement);
  const { u, v, t } = challenges;

  report('rank space');
  const widest = Math.max(...statement.modules.map(({ outFeatures }) => outFeatures));
  const vPowers = powersVector(engine, v, widest);
  const [formMasks, folded] = await Promise.all([
    witness.formMasks,
    foldSession(engine, session, { statement, u, v }, passes === 'memory'),
  ]);
  await witness.confirm();
  const space = rankSpace(context, folded.inputs, vPowers, t);

  report('groth16');
  // the workers multiply for the first group while this thread looks at the deltas
  const checked = folded.outputs().then((outputs) => assertDeltas(space, outputs, t));
  const commitGroups = async () => {
    const committed: CommittedGroup[] = [];
    for (const group of statement.groups) {
      committed.push(await commitGroup(context, group, space));
      await checked;
    }
    return committed;
  };
  const [committed, blinders] = await Promise.all([commitGroups(), prepareLanes(context, witness), checked]);
  const rho = drawForm(
    transcript,
    committed.map(({ points }) => points),
  );
  const forms = statement.groups.map(({ pairs }) => formVector(engine, rho, pairs));
  const formValues = committed.map(({ secrets }, g) => dotVectors(engine, forms[g]!, secrets.witness));
  const kappa = drawGroupWeight(transcript, formValues);

  let formValue = 0n;
  let mask: [bigint, bigint] = [0n, 0n];
  let weight = 1n;
  committed.forEach(({ secrets }, g) => {
    formValue = Fr.add(formValue, Fr.mul(weight, formValues[g]!));
    mask = [0, 1].map((i) => Fr.add(mask[i]!, Fr.mul(weight, secrets.maskCoefficients[i]!))) as [
      bigint,
      bigint,
    ];
    weight = Fr.mul(weight, kappa);
  });
  const inputsAt = (basis: FieldVector) => foldInputsAt(engine, session, { statement, u, basis });
  const short = passes !== 'once' && statement.tokens <= MAX_TOKENS_AT_POINT;
  const lanes = inferenceLanes(
    context,
    blinders,
    folded.inputs,
    vPowers,
    t,
    rho,
    kappa,
    short ? inputsAt : undefined,
  );

  report('linear form');
  const proveForms = async (): Promise<GroupProof[]> => {
    const groups: GroupProof[] = [];
    for (const [g, { secrets, points }] of committed.entries()) {
      const linearForm = await proveLinearForm(
        engine,
        transcript,
        secrets.bases,
        forms[g]!,
        secrets.witness,
        formMasks[g]!,
      );
      groups.push({ ...points, formValue: formValues[g]!, linearForm });
    }
    return groups;
  };
  // the linear forms wait for their transcript at every round: the polynomials, which need none of it, fill the gaps
  const [groups, prepared] = await Promise.all([
    proveForms(),
    prepareSum(engine, srs, lanes, mask, formValue),
  ]);

  report('polynomials');
  const sum = await finishSum(engine, srs, transcript, lanes, prepared);
  return { modules: statement.modules.map(({ index }) => index), groups, sum };
}

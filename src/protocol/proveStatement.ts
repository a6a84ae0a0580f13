import { type AdapterSecret, type ModuleBlinders, moduleBlinders } from '../adapter/secret.js';
import type { AdapterCommitment } from '../adapter/types.js';
import { type FieldVector, powersVector, prepareTransforms } from '../algebra/index.js';
import { hexToBytes } from '../bytes.js';
import { nextTurn } from '../nextTurn.js';
import { startTranscript } from './challenges.js';
import { foldInputsAt, foldSession } from './foldSession.js';
import { inferenceLanes } from './inferenceLanes.js';
import type { FormMask } from './linearFormProve.js';
import type { Proof } from './proof.js';
import { proveCircuits } from './proveCircuits.js';
import { assertDeltas, type ProverContext, type RankSpace, rankSpace } from './proveGroup.js';
import { provePairs } from './provePairs.js';
import type { CallSource } from './session.js';
import type { LaneSource } from './sumProve.js';
import type { Transcript } from './transcript.js';

/** Stages of proving, for progress displays. */
export type ProveStage =
  | 'read session'
  | 'rank space'
  | 'pairs'
  | 'groth16'
  | 'linear form'
  | 'polynomials'
  | 'check';

/** A session as it is proven: what its statement needs, and its rows. */
export interface SessionWitness {
  readonly digest: Uint8Array;
  readonly tokens: number;
  readonly session: CallSource;
  /** `memory`: all of it is; `again`: any pass reads it; `once`: the one pass reads and digests it. */
  readonly passes: 'memory' | 'again' | 'once';
  /** To be asked when the session has been read: whether it is the one of the digest. */
  confirm(): Promise<void>;
}

/** What one statement is proven from, besides the {@link ProverContext}. */
export interface StatementWitness extends Pick<SessionWitness, 'session' | 'passes' | 'confirm'> {
  readonly adapter: AdapterCommitment;
  readonly secret: AdapterSecret;
  /** Masks of the linear forms, where there are circuits. */
  readonly formMasks: Promise<FormMask[]>;
}

/** A statement brought down to its pairs: what is left to prove is that their products sum to the claim. */
export interface ReducedStatement {
  readonly transcript: Transcript;
  readonly space: readonly RankSpace[];
  readonly formMasks: readonly FormMask[];
  /** Fails when the deltas were not computed with these weights. */
  readonly checked: Promise<void>;
  /** Gets the sum argument ready while workers are busy; then its products, once the weights of the rows are known. */
  prepareLanes(): Promise<(rho: bigint, kappa: bigint) => LaneSource>;
}

/** Progress of one statement. */
export type ReportStage = (stage: ProveStage) => void;

/**
 * Token rows up to which a pass over the activations is cheaper than inner products of field vectors: an integer
 * times a field element takes a fiftieth of a product of two.
 */
const MAX_TOKENS_AT_POINT = 32;

/** Proves one statement; docs/protocol.md, "Transcript". */
export async function proveStatement(
  context: ProverContext,
  witness: StatementWitness,
  report: ReportStage,
): Promise<Proof> {
  const { statement } = context;
  report('rank space');
  const reduced = await reduceStatement(context, witness);
  const shown =
    statement.rankCheck === 'kzg'
      ? await provePairs(context, reduced, report)
      : await proveCircuits(context, reduced, report);
  return { modules: statement.modules.map(({ index }) => index), ...shown };
}

/** Folds the session and brings the weights into rank space. */
async function reduceStatement(context: ProverContext, witness: StatementWitness): Promise<ReducedStatement> {
  const { engine, statement } = context;
  const { session, passes } = witness;
  const { transcript, challenges } = startTranscript(statement);
  const { u, v, t } = challenges;
  const widest = Math.max(...statement.modules.map(({ outFeatures }) => outFeatures));
  const vPowers = powersVector(engine, v, widest);
  const [formMasks, folded] = await Promise.all([
    witness.formMasks,
    foldSession(engine, session, { statement, u, v }, passes === 'memory'),
  ]);
  await witness.confirm();
  const space = rankSpace(context, folded.inputs, vPowers, t);
  const inputsAt = (basis: FieldVector) => foldInputsAt(engine, session, { statement, u, basis });
  const short = passes !== 'once' && statement.tokens <= MAX_TOKENS_AT_POINT;
  // the workers multiply for the first commitments while this thread looks at the deltas
  const checked = folded.outputs().then((outputs) => assertDeltas(space, outputs, t));
  // whoever waits for it learns of it; a caller that fails before must not end the process
  checked.catch(() => undefined);
  return {
    transcript,
    space,
    formMasks,
    checked,
    prepareLanes: async () => {
      const blinders = await deriveBlinders(context, witness);
      prepareTransforms(engine, statement.domainSize);
      return (rho, kappa) =>
        inferenceLanes(
          context,
          blinders,
          folded.inputs,
          vPowers,
          t,
          rho,
          kappa,
          short ? inputsAt : undefined,
        );
    },
  };
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

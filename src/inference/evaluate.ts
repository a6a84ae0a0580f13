import { adapterId } from '../adapter/commitment.js';
import type { AdapterCommitment } from '../adapter/types.js';
import type { BaseModel } from './baseModel.js';
import type { ContributorClient } from './client.js';
import { ContributorSet } from './contributorSet.js';
import { type EvaluationHeader, EvaluationJournal, type EvaluationSource } from './evaluationJournal.js';
import { EvaluationRun } from './evaluationRun.js';
import { meanLoss } from './loss.js';
import { BESIDES, reserveSessionFolder } from './record.js';
import type { AdapterSession } from './recordedSession.js';
import type { SessionClosing } from './sessionHeader.js';
import type { MemberFailure, SetMember } from './setMember.js';
import type { KeyPair } from './signatures.js';
import { type Windows, windowsDigest } from './windows.js';

/** What one and several contributors are evaluated with. */
export interface MeasureOptions {
  readonly windows: Windows;
  /** Windows in one forward pass; one pass is one recorded call. */
  readonly batch: number;
  /** Where the windows come from; an evaluation goes on only with the same. */
  readonly source?: EvaluationSource;
  /** Go on with the evaluation in the folder, if one was begun there. */
  readonly resume?: boolean;
  readonly onProgress?: (progress: EvaluationProgress) => void;
}

export interface EvaluateOptions extends MeasureOptions {
  /** Opened for the commitment's modules. */
  readonly model: BaseModel;
  readonly client: ContributorClient;
  /** The pinned commitment. */
  readonly commitment: AdapterCommitment;
  /** New or empty folder for the record. */
  readonly dir: string;
  /** The user's key; a fresh one without it. */
  readonly user?: KeyPair;
}

export interface EvaluateSetOptions extends MeasureOptions {
  /** Opened for the modules of all members, see `unionModules`. */
  readonly model: BaseModel;
  readonly members: readonly SetMember[];
  /** New or empty folder for the evaluation's progress. */
  readonly dir: string;
  /**
   * What follows from a contributor's failure. `stop`: the evaluation ends and can be resumed. `drop`: that contributor
   * is left out, and the others are measured from the start, in the same sessions.
   */
  readonly onFailure?: 'stop' | 'drop';
}

export interface EvaluationProgress {
  readonly part: 'base' | 'adapter';
  /** Windows. */
  readonly done: number;
  readonly total: number;
}

/** What an evaluation found. */
export interface Evaluation {
  readonly baseLoss: number;
  readonly adapterLoss: number;
  /** By window, in nats. */
  readonly baseSums: Float64Array;
  readonly adapterSums: Float64Array;
  readonly predictions: number;
  /** Token rows of the session: all of them are recorded, none is a sample. */
  readonly tokens: number;
  readonly calls: number;
  readonly closing: SessionClosing;
  /** The closed session, for its proof. */
  readonly session: AdapterSession;
}

/** One contributor of an evaluated set. */
export interface MemberReport {
  readonly name: string;
  readonly adapterId: string;
  readonly weight: number;
  /** Whether its deltas are in the losses. */
  readonly measured: boolean;
  /** Why it was left out, could not be closed, or could not be asked again by a run that goes on. */
  readonly failure: MemberFailure | null;
  readonly calls: number;
  /** Null for a session that was never opened, holds no call, or could not be closed. */
  readonly closing: SessionClosing | null;
  /** Null where nothing can be asked of the contributor any more. */
  readonly session: AdapterSession | null;
}

/** What an evaluation of a set found. */
export interface SetEvaluation extends Omit<Evaluation, 'calls' | 'closing' | 'session' | 'tokens'> {
  /** In the order of the set. */
  readonly members: readonly MemberReport[];
}

/**
 * Runs a text through the base model alone and with the contributor's adapter, records the session and closes it.
 * The session is opened when the base model has been measured: it does not wait idle, and a base model that fails
 * costs the contributor none.
 *
 * @throws ZkLoraError as `openAdapterSession` and `measureLoss`; `EVALUATION_MALFORMED`, `EVALUATION_MISMATCH` with
 * `resume`. A contributor that dies on the way leaves the record at its last whole call, without close.json.
 */
export async function evaluateAdapter(options: EvaluateOptions): Promise<Evaluation> {
  const { client, commitment, user, ...rest } = options;
  const connect = async () => client;
  const member = { name: 'contributor', commitment, weight: 1, dir: options.dir, connect };
  const { members, ...losses } = await evaluateSet({
    ...rest,
    members: [{ ...member, ...(user && { user }) }],
  });
  const { session, closing, calls } = members[0]!;
  const tokens = options.windows.count * options.windows.sequence;
  return { ...losses, tokens, calls, closing: closing!, session: session! };
}

/**
 * Runs texts through the base model alone and with the adapters of all contributors, whose deltas add up, each times its
 * weight. Each contributor has its own session, which is recorded and closed.
 *
 * @throws ZkLoraError as {@link evaluateAdapter}. With `stop` a contributor's failure is thrown with its name in front
 * and in the details; with `drop` only when nobody is left.
 */
export async function evaluateSet(options: EvaluateSetOptions): Promise<SetEvaluation> {
  const { model, members, windows, onFailure = 'stop' } = options;
  const header = headerOf(options);
  const set = new ContributorSet(model, members);
  let journal = options.resume ? await EvaluationJournal.resume(options.dir, header) : undefined;
  try {
    const run = new EvaluationRun({ ...options, onFailure, set }, journal?.entries ?? []);
    // before anything is written, so that an address with a slip leaves no folder behind
    const unreached = await set.connect();
    run.require(unreached);
    journal ??= await beginJournal(options, header);
    const { base, adapter, late } = await run.measure(journal, unreached);
    const unclosed = await set.close();
    if (unclosed.length > 0 && onFailure === 'stop') throw set.stopped(unclosed);
    const failures = new Map([...late, ...unclosed].map(({ name, failure }) => [name, failure]));
    const records = await Promise.all(members.map(({ name }) => set.recordOf(name)));
    return {
      baseLoss: meanLoss(windows, base).loss,
      adapterLoss: meanLoss(windows, adapter).loss,
      baseSums: base,
      adapterSums: adapter,
      predictions: meanLoss(windows, base).predictions,
      members: members.map(({ name, commitment, weight }, i) => {
        const dropped = set.failureOf(name);
        return {
          name,
          adapterId: adapterId(commitment),
          weight,
          measured: dropped === undefined,
          failure: dropped ?? failures.get(name) ?? null,
          calls: records[i]?.callCount ?? 0,
          closing: records[i]?.closing ?? null,
          session: set.sessionOf(name) ?? null,
        };
      }),
    };
  } catch (error) {
    await set.abandon();
    throw error;
  } finally {
    await journal?.release();
  }
}

function headerOf({ model, members, windows, batch, source }: EvaluateSetOptions): EvaluationHeader {
  return {
    format: 'zklora/evaluation/v1',
    model: model.digest,
    texts: [],
    tokenizer: null,
    ...source,
    sequence: windows.sequence,
    batch,
    windows: windowsDigest(windows),
    contributors: members.map(({ name, commitment, weight }) => ({
      name,
      adapterId: adapterId(commitment),
      weight,
    })),
  };
}

async function beginJournal(
  { dir, resume }: EvaluateSetOptions,
  header: EvaluationHeader,
): Promise<EvaluationJournal> {
  // a first line that was cut off leaves the file
  await reserveSessionFolder(dir, resume ? BESIDES : []);
  return EvaluationJournal.begin(dir, header);
}

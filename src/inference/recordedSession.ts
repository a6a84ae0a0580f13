import { adapterId } from '../adapter/commitment.js';
import { scaleDelta } from '../adapter/forward.js';
import { quantizeActivations } from '../adapter/quantize.js';
import type { AdapterCommitment } from '../adapter/types.js';
import { bytesToHex, canonicalJson, equalBytes, hexToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { type FolderLock, lockFolder } from '../folderLock.js';
import { nextTurn } from '../nextTurn.js';
import { sessionDigest } from '../protocol/sessionPass.js';
import type { BaseModel, Logits } from './baseModel.js';
import { requireCallFits } from './callSizes.js';
import type { ContributorClient, RemoteSession, StageRows } from './client.js';
import { requirePossibleDelta } from './deltaBound.js';
import type { ApplyStage, CutModel } from './graphModel.js';
import { ofContributor, ofOwnRecord } from './origin.js';
import type { ProofProgress } from './proofJobs.js';
import {
  BESIDES,
  type CallWriter,
  clearPartialRecord,
  createSessionRecord,
  hasSessionRecord,
  readSessionAccess,
  reopenSessionRecord,
  reserveSessionFolder,
  type SessionRecord,
  type SessionWriter,
} from './record.js';
import type { SessionAccess, SessionClosing } from './sessionHeader.js';
import { generateKeyPair, type KeyPair, keyPairFromSeed } from './signatures.js';

export interface AdapterSessionOptions {
  /** Opened for the commitment's modules. */
  readonly model: CutModel;
  readonly client: ContributorClient;
  /** The pinned commitment. */
  readonly commitment: AdapterCommitment;
  /** New or empty folder for the record. */
  readonly dir: string;
  /**
   * Go on with the session of the folder, at its last whole call. A folder in which no session was opened yet gets
   * one.
   */
  readonly resume?: boolean;
  /** Calls that the record of a session that goes on holds at least. */
  readonly leastCalls?: number;
  /** The user's key; a fresh one without it. */
  readonly user?: KeyPair;
  /** See {@link OpenSession}. */
  readonly nonce?: Uint8Array;
}

export interface RecordedSessionOptions extends AdapterSessionOptions {
  readonly model: BaseModel;
}

/** A contributor's adapter on a base model; every forward pass is a recorded call. */
export interface AdapterSession {
  readonly record: SessionRecord;
  /**
   * Deltas for one forward pass, which is recorded once its last stage is answered; a pass that fails leaves no
   * trace in the record.
   */
  pass(): ApplyStage;
  /** Ends the session: both sides sign its digest. Closing again gives the same. */
  close(): Promise<SessionClosing>;
  /** The contributor's proof of the closed session, unverified. */
  prove(onProgress?: (progress: ProofProgress) => void): Promise<Uint8Array>;
  /** Lets go of contributor and folder after a failure; the record stays at its last whole call. */
  abandon(): Promise<void>;
}

/** A language model with a contributor's adapter. */
export interface RecordedSession extends AdapterSession {
  /**
   * One forward pass with the contributor's deltas. All of its activations and deltas are recorded before the
   * result is known; a pass that fails leaves no trace in the record. After a lost answer the same pass may be run
   * again; any other pass then ends the session, whose whole calls can still be closed.
   *
   * @throws ZkLoraError `USAGE` for more tokens than a call takes, before anything is sent.
   */
  forward(ids: BigInt64Array, batch: number, sequence: number): Promise<Logits>;
}

/**
 * Checks that base model and commitment fit, opens a session with the contributor and begins its record.
 *
 * @throws ZkLoraError `BASE_MODEL_MISMATCH`, `SESSION_MISMATCH`, `FILE_EXISTS`, `FILE_UNWRITABLE`,
 * `FOLDER_IN_USE`, `CONTRIBUTOR_UNREACHABLE`, `CONTRIBUTOR_REFUSED`. With `resume` also `SESSION_MALFORMED` and
 * `SAFETENSORS_MALFORMED` for a record that was edited, `EVALUATION_MISMATCH` for one without the calls that it has to
 * hold, and `SESSION_MISMATCH` for one of another adapter, model or user.
 */
export async function openAdapterSession(options: AdapterSessionOptions): Promise<AdapterSession> {
  return open(options, (parts) => new UserSession(options.model, options.commitment, parts));
}

/** The same for a language model. */
export async function openRecordedSession(options: RecordedSessionOptions): Promise<RecordedSession> {
  return open(options, (parts) => new LanguageSession(options.model, options.commitment, parts));
}

/** What a session of the user is made of. */
interface SessionParts {
  readonly remote: RemoteSession;
  readonly writer: SessionWriter;
  readonly lock: FolderLock;
}

async function open<S>(options: AdapterSessionOptions, make: (parts: SessionParts) => S): Promise<S> {
  const { dir, resume = false, leastCalls = 0 } = options;
  checkBaseModel(options);
  if (!resume) {
    requireCalls(dir, 0, leastCalls);
    // First, so that a folder that cannot be had costs the contributor no session.
    await reserveSessionFolder(dir, BESIDES);
  }
  const lock = await lockFolder(dir);
  try {
    const goesOn = resume && (await hasSessionRecord(dir));
    if (resume && !goesOn) {
      requireCalls(dir, 0, leastCalls);
      // what is partial may be another process's beginning: looked at under the lock alone
      await clearPartialRecord(dir);
      await reserveSessionFolder(dir, BESIDES);
    }
    const opened = goesOn ? await openAgain(options) : await openNew(options);
    return make({ ...opened, lock });
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function openNew(options: AdapterSessionOptions): Promise<Omit<SessionParts, 'lock'>> {
  const { client, commitment, dir, model } = options;
  const user = options.user ?? generateKeyPair();
  const nonce = options.nonce === undefined ? {} : { nonce: options.nonce };
  const remote = await ofContributor(() =>
    client.openSession({ commitment, user, inputs: model.inputs, ...nonce }),
  );
  try {
    const access: SessionAccess = {
      format: 'zklora/session-access/v1',
      sessionId: remote.id,
      userSecretKey: options.user === undefined ? bytesToHex(user.secretKey) : null,
    };
    const { header, seed } = remote;
    return { remote, writer: await createSessionRecord(dir, { header, seed, access }, commitment.modules) };
  } catch (error) {
    remote.abandon();
    throw error;
  }
}

async function openAgain(options: AdapterSessionOptions): Promise<Omit<SessionParts, 'lock'>> {
  const { client, commitment, dir, model, nonce } = options;
  const { writer, access } = await ofOwnRecord(dir, async () => ({
    writer: await reopenSessionRecord(dir, commitment.modules, {
      call: () => undefined,
      torn: () => undefined,
    }),
    access: await readSessionAccess(dir),
  }));
  const { header, seed, callCount, closing } = writer;
  requireCalls(dir, callCount, options.leastCalls ?? 0);
  const { sessionId: id, userSecretKey } = access;
  const user = userSecretKey === null ? options.user : keyPairFromSeed(hexToBytes(userSecretKey));
  if (user === undefined || bytesToHex(user.publicKey) !== header.userKey) {
    throw new ZkLoraError('SESSION_MISMATCH', 'the session was opened with another user key; use that one');
  }
  const isSame =
    header.adapterId === adapterId(commitment) &&
    equalBytes(canonicalJson(header.inputs), canonicalJson(model.inputs)) &&
    (nonce === undefined || header.nonce === bytesToHex(nonce));
  if (!isSame) {
    throw new ZkLoraError(
      'SESSION_MISMATCH',
      `the session in ${dir} is of another adapter or model; use another folder`,
    );
  }
  const remote = client.attachSession({ commitment, user, header, seed, id });
  if (closing === null) await ofContributor(() => requireStanding(remote, callCount));
  return { remote, writer };
}

/** @throws ZkLoraError `SESSION_MISMATCH` */
async function requireStanding(remote: RemoteSession, callCount: number): Promise<void> {
  const { calls } = await remote.standing();
  // The contributor records a call before its last answer, which may have been lost.
  if (calls === callCount || calls === callCount + 1) return;
  throw new ZkLoraError(
    'SESSION_MISMATCH',
    `the contributor's record has ${calls} calls, this one ${callCount}: they cannot be brought together`,
  );
}

/** @throws ZkLoraError `EVALUATION_MISMATCH` */
function requireCalls(dir: string, calls: number, least: number): void {
  if (calls >= least) return;
  throw new ZkLoraError(
    'EVALUATION_MISMATCH',
    `your own record in ${dir} has ${calls} of the ${least} calls of this evaluation; bring back the files from a copy, ` +
      'or begin again in a new folder',
  );
}

/**
 * Checks that base model and commitment fit.
 *
 * @throws ZkLoraError `BASE_MODEL_MISMATCH`
 */
export function checkBaseModel({
  model,
  commitment,
}: Pick<AdapterSessionOptions, 'model' | 'commitment'>): void {
  if (model.digest !== commitment.baseDigest) {
    throw new ZkLoraError(
      'BASE_MODEL_MISMATCH',
      'the base model is not the one that the adapter was registered for; use the model with SHA-256 ' +
        commitment.baseDigest,
    );
  }
  const { modules } = commitment;
  if (
    modules.length !== model.modules.length ||
    modules.some(({ name }, i) => name !== model.modules[i]!.name)
  ) {
    throw new ZkLoraError('INTERNAL', "the model was not opened for the commitment's modules");
  }
}

/** A pass whose record is written while the last part of the model runs. */
interface OpenPass {
  readonly applyStage: ApplyStage;
  /** Resolves when the call is on disk; at once before its last stage. */
  recorded(): Promise<void>;
}

class UserSession implements AdapterSession {
  private readonly remote: RemoteSession;
  private readonly writer: SessionWriter;
  private readonly lock: FolderLock;
  /** The end of the record that is being written. */
  private lastRecording: Promise<void> = Promise.resolve();

  constructor(
    private readonly model: CutModel,
    protected readonly commitment: AdapterCommitment,
    { remote, writer, lock }: SessionParts,
  ) {
    this.remote = remote;
    this.writer = writer;
    this.lock = lock;
  }

  get record(): SessionRecord {
    return this.writer;
  }

  pass(): ApplyStage {
    const { applyStage, recorded } = this.openPass();
    return async (stage, inputs) => {
      const deltas = await applyStage(stage, inputs);
      await recorded();
      return deltas;
    };
  }

  protected openPass(): OpenPass {
    let call: CallWriter | undefined;
    let recording = Promise.resolve();
    let recorded = recording;
    const applyStage: ApplyStage = async (stage, inputs) => {
      const tokens = inputs[0]!.tokens;
      if (stage === 0) {
        // The number of this call follows from the record.
        await this.lastRecording;
        call = this.writer.begin(tokens);
      }
      const writer = call!;
      const isLast = stage === this.model.stages.length - 1;
      const rows = inputs.map(({ input, values }) => {
        const { inFeatures } = this.commitment.modules[this.model.inputs[input]![0]!]!;
        return { input, rows: quantizeActivations(values, tokens, inFeatures) };
      });
      const { answers, deltas } = await ofContributor(() => this.ask(stage, tokens, rows));
      // Later, so that the model's thread has the deltas first.
      recording = recording.then(nextTurn).then(() => {
        for (const part of rows) writer.input(part.input, part.rows);
        for (const [module, y] of answers) writer.output(module, y);
        return isLast ? writer.finish() : undefined;
      });
      if (isLast) recorded = recording;
      // whoever asks for the pass hears of a failure
      this.lastRecording = recording.catch(() => undefined);
      return deltas;
    };
    return { applyStage, recorded: () => recorded };
  }

  /** What the contributor answers at one stage, and what the model adds, both by module. */
  private async ask(
    stage: number,
    tokens: number,
    rows: readonly StageRows[],
  ): Promise<{ answers: Map<number, BigInt64Array>; deltas: Map<number, Float32Array> }> {
    const answers = await this.remote.apply(this.writer.callCount, stage, tokens, rows);
    const deltas = new Map<number, Float32Array>();
    for (const part of rows) {
      for (const module of this.model.inputs[part.input]!) {
        const committed = this.commitment.modules[module]!;
        const accept = (largest: Float64Array): void => requirePossibleDelta(largest, part.rows, committed);
        deltas.set(module, scaleDelta(answers.get(module)!, part.rows.exponents, committed, accept));
      }
    }
    return { answers, deltas };
  }

  async close(): Promise<SessionClosing> {
    const { writer, remote } = this;
    if (writer.closing !== null) return writer.closing;
    await writer.drop();
    const digest = await ofOwnRecord(writer.dir, () => sessionDigest(writer, this.commitment.modules));
    const calls = writer.callCount;
    const signatures = await ofContributor(() => remote.finish(calls, digest));
    const closing: SessionClosing = {
      format: 'zklora/close/v1',
      calls,
      digest: bytesToHex(digest),
      userSignature: bytesToHex(signatures.user),
      contributorSignature: bytesToHex(signatures.contributor),
    };
    await writer.finish(closing);
    await this.lock.release();
    return closing;
  }

  prove(onProgress?: (progress: ProofProgress) => void): Promise<Uint8Array> {
    return this.remote.prove(onProgress);
  }

  async abandon(): Promise<void> {
    this.remote.abandon();
    await this.writer.drop();
    await this.lock.release();
  }
}

class LanguageSession extends UserSession implements RecordedSession {
  constructor(
    private readonly language: BaseModel,
    commitment: AdapterCommitment,
    parts: SessionParts,
  ) {
    super(language, commitment, parts);
  }

  async forward(ids: BigInt64Array, batch: number, sequence: number): Promise<Logits> {
    const { inputs, stages } = this.language;
    requireCallFits({ inputs }, this.commitment.modules, batch * sequence, stages);
    const { applyStage, recorded } = this.openPass();
    try {
      return await this.language.forward(ids, batch, sequence, applyStage);
    } finally {
      await recorded();
    }
  }
}

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { adapterId } from '../adapter/commitment.js';
import type { AdapterCommitment, QuantizedModule } from '../adapter/types.js';
import { bytesToHex, equalBytes, hexToBytes, labelledSha256 } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import type { SessionHeader } from '../protocol/session.js';
import { checkHeader } from '../protocol/sessionDigest.js';
import { type Clock, systemClock } from './clock.js';
import { DiskFloor } from './diskFloor.js';
import type { LeakageGuard } from './leakage/guard.js';
import {
  CALL_QUIET_MS,
  IDLE_CHECK_MS,
  MAX_OPEN_SESSIONS,
  MAX_PENDING_BYTES,
  MAX_SESSIONS_PER_USER,
  SESSION_IDLE_MS,
  SESSION_QUIET_MS,
} from './limits.js';
import { MemoryBudget } from './memoryBudget.js';
import { crowded, type ModuleOutput, OpenSession, type SessionTools } from './openSession.js';
import { LocalProofJobs, type ProofJobs, type ProofProgress, type ProveSession } from './proofJobs.js';
import type { ProofState, ProofStatus } from './proofStates.js';
import { createSessionRecord, openSessionRecord, type SessionRecord } from './record.js';
import { refusal } from './refusal.js';
import type { SessionClosing } from './sessionHeader.js';
import {
  closingMessage,
  isSignedBy,
  keyPairFromSeed,
  openingMessage,
  resumingMessage,
  sign,
  userOpeningMessage,
} from './signatures.js';
import type { StageRequest } from './stageRequest.js';
import { UserQueue } from './userQueue.js';

const SESSION_ID_BYTES = 16;

/** What a contributor serves. */
export interface ContributorState {
  readonly commitment: AdapterCommitment;
  /** The committed weights, in the commitment's order. */
  readonly modules: readonly QuantizedModule[];
  /** Ed25519 seed whose public key is in the commitment, 32 bytes. */
  readonly secretKey: Uint8Array;
  /** Folder that receives one session record for each session. */
  readonly sessionsDir: string;
  /** How closed sessions are proven: by a function, one at a time, or by a queue. */
  readonly prove: ProveSession | ProofJobs;
  /** Counts what answers give away, and refuses beyond a budget; nothing is counted without it. */
  readonly leakage?: LeakageGuard;
  /** Public keys, hex, of the users who may open sessions; everybody without it. */
  readonly allowedUsers?: ReadonlySet<string>;
  /** Open sessions of one user key; {@link MAX_SESSIONS_PER_USER} without it. */
  readonly sessionsPerUser?: number;
  /** Bytes of the disk that calls leave free; {@link MIN_FREE_BYTES} without it. */
  readonly minFreeBytes?: number;
  /** For idle sessions; the machine's own without it. */
  readonly clock?: Clock;
}

export interface OpenRequest {
  readonly adapterId: Uint8Array;
  readonly userKey: Uint8Array;
  readonly nonce: Uint8Array;
  /** Seed of the session's salts. */
  readonly seed: Uint8Array;
  /** See {@link userOpeningMessage}. */
  readonly userSignature: Uint8Array;
  readonly inputs: readonly (readonly number[])[];
}

/** A session that takes part in a request: an open one in memory, or a closed one as it lies on disk. */
type Found =
  | { readonly open: OpenSession }
  | { readonly open?: never; readonly record: SessionRecord; readonly closing: SessionClosing };

/**
 * The contributor's side of all sessions, apart from any transport. Every request is checked whole before
 * work; refusals say nothing about weights. Memory holds the sessions that are in use: any other one is read from its
 * folder when it is asked for, by this process or a later one.
 */
export class ContributorSessions {
  readonly commitment: AdapterCommitment;
  private readonly id: string;
  private readonly clock: Clock;
  private readonly stopIdleCheck: () => void;
  private readonly sessions = new Map<string, OpenSession>();
  /** Sessions with a request under way, one at a time for each. */
  private readonly busy = new Set<string>();
  /** User keys of the sessions whose folders are being made. */
  private readonly opening: string[] = [];
  /** Requests that may write. */
  private readonly underWay = new Set<Promise<unknown>>();
  /** Reads sessions of keys that are not on the list of users any more: one at a time, the keys taking turns. */
  private readonly guests = new UserQueue();
  private hasEnded = false;
  private readonly tools: SessionTools;
  private readonly jobs: ProofJobs;
  /** Folders whose proofs go on without anybody who waits. */
  private readonly wanted = new Set<string>();
  /** How many wait for the proof of a folder. */
  private readonly waiting = new Map<string, number>();

  /** @throws ZkLoraError `SECRET_MISMATCH` when weights or key are not those of the commitment. */
  constructor(private readonly state: ContributorState) {
    const { commitment, modules, secretKey } = state;
    this.commitment = commitment;
    this.id = adapterId(commitment);
    const same =
      commitment.modules.length === modules.length &&
      commitment.modules.every((committed, i) => isModule(modules[i]!, committed));
    if (!same) {
      throw new ZkLoraError(
        'SECRET_MISMATCH',
        'the adapter is not the one that was committed to; serve that one',
      );
    }
    if (bytesToHex(keyPairFromSeed(secretKey).publicKey) !== commitment.contributorKey) {
      throw new ZkLoraError('SECRET_MISMATCH', 'the secret file does not belong to this adapter commitment');
    }
    this.clock = state.clock ?? systemClock;
    this.tools = {
      modules,
      disk: new DiskFloor(state.sessionsDir, state.minFreeBytes),
      memory: new MemoryBudget(MAX_PENDING_BYTES, () => crowded('RESOURCE_EXHAUSTED')),
      makeRoom: (bytes) => this.makeRoom(bytes),
      clock: this.clock,
      ...(state.leakage && { leakage: state.leakage }),
    };
    const { prove } = state;
    this.jobs = typeof prove === 'function' ? new LocalProofJobs(prove) : prove;
    this.stopIdleCheck = this.clock.every(IDLE_CHECK_MS, () => this.dropIdle());
  }

  /** Takes no more requests, and resolves when those under way have left the folders alone. */
  async dispose(): Promise<void> {
    this.stopIdleCheck();
    this.hasEnded = true;
    await Promise.allSettled([...this.underWay, this.jobs.close()]);
  }

  /** Opens a session; returns its random name (16 bytes, hex) and the contributor's signature. */
  async open(request: OpenRequest): Promise<{ sessionId: string; signature: Uint8Array }> {
    if (bytesToHex(request.adapterId) !== this.id) {
      throw refusal('NOT_FOUND', 'SESSION_MISMATCH', 'this contributor serves another adapter');
    }
    if ([request.userKey, request.nonce, request.seed].some(({ length }) => length !== 32)) {
      throw refusal('INVALID_ARGUMENT', 'SESSION_MALFORMED', 'user key, nonce and seed have 32 bytes each');
    }
    const header: SessionHeader = {
      format: 'zklora/session/v1',
      adapterId: this.id,
      contributorKey: this.commitment.contributorKey,
      userKey: bytesToHex(request.userKey),
      nonce: bytesToHex(request.nonce),
      inputs: request.inputs.map((users) => [...users]),
    };
    checkHeader(header, this.commitment.modules);
    this.requireUser(header, request);
    await this.tools.disk.require(0);
    this.dropIdle();
    const sessionId = randomBytes(SESSION_ID_BYTES).toString('hex');
    await this.tracked(() =>
      this.takePlace(sessionId, header.userKey, async () => {
        await this.state.leakage?.open(header);
        const session = { header, seed: request.seed };
        const dir = this.folderOf(sessionId);
        const record = await createSessionRecord(dir, session, this.commitment.modules);
        return OpenSession.begin(record, this.tools, this.clock.now());
      }),
    );
    return { sessionId, signature: sign(openingMessage(header), this.state.secretKey) };
  }

  /** @throws ZkLoraError `SESSION_MISMATCH` unless the user may ask and holds its key */
  private requireUser(header: SessionHeader, { seed, userKey, userSignature }: OpenRequest): void {
    this.requireAllowed(header.userKey);
    if (!isSignedBy(userSignature, userOpeningMessage(header, seed), userKey)) {
      throw refusal(
        'INVALID_ARGUMENT',
        'SESSION_MISMATCH',
        "the opening lacks the signature of the user's key; the client may be of an older version",
      );
    }
  }

  private isAllowed(userKey: string): boolean {
    return this.state.allowedUsers?.has(userKey) ?? true;
  }

  private requireAllowed(userKey: string): void {
    if (this.isAllowed(userKey)) return;
    throw refusal('PERMISSION_DENIED', 'SESSION_MISMATCH', 'this user key is not on the list of users');
  }

  /** Answers one stage, see {@link OpenSession.apply}. */
  apply(sessionId: string, request: StageRequest): Promise<ModuleOutput[]> {
    // the list may have changed since the session was opened
    const allowed = (userKey: string): void => this.requireAllowed(userKey);
    return this.exclusive(
      sessionId,
      async ({ open }) => {
        if (open !== undefined) return open.apply(request);
        throw refusal('FAILED_PRECONDITION', 'SESSION_MISMATCH', 'the session is closed');
      },
      allowed,
    );
  }

  /** Compares the user's digest with the own record and countersigns. Repeating a close gives the same answer. */
  close(
    sessionId: string,
    request: { calls: number; digest: Uint8Array; userSignature: Uint8Array },
  ): Promise<Uint8Array> {
    return this.exclusive(sessionId, async (found) => {
      const { header, callCount } = found.open === undefined ? found.record : found.open.record;
      if (callCount === 0) {
        throw refusal('FAILED_PRECONDITION', 'SESSION_MISMATCH', 'the session holds no call yet');
      }
      if (request.calls !== callCount) throw differs(callCount);
      const message = closingMessage(request.digest);
      if (!isSignedBy(request.userSignature, message, hexToBytes(header.userKey))) {
        throw refusal(
          'INVALID_ARGUMENT',
          'SESSION_MISMATCH',
          "the user's signature does not fit the session",
        );
      }
      if (found.open === undefined) {
        if (bytesToHex(request.digest) !== found.closing.digest) throw differs(callCount);
        return hexToBytes(found.closing.contributorSignature);
      }
      if (!equalBytes(request.digest, found.open.digest())) throw differs(callCount);
      const signature = sign(message, this.state.secretKey);
      try {
        await found.open.record.finish({
          format: 'zklora/close/v1',
          calls: callCount,
          digest: bytesToHex(request.digest),
          userSignature: bytesToHex(request.userSignature),
          contributorSignature: bytesToHex(signature),
        });
      } finally {
        // After a failure the folder says whether the session is closed.
        this.forget(sessionId, found.open);
      }
      return signature;
    });
  }

  /**
   * Where the record of a session stands, signed for the user who comes back to it.
   *
   * @param challenge 32 random bytes of the user
   */
  async standing(
    sessionId: string,
    challenge: Uint8Array,
  ): Promise<{ calls: number; closed: boolean; signature: Uint8Array }> {
    if (challenge.length !== 32) {
      throw refusal('INVALID_ARGUMENT', 'SESSION_MALFORMED', 'the challenge has 32 bytes');
    }
    return this.exclusive(sessionId, async (found) => {
      const { header, callCount } = found.open === undefined ? found.record : found.open.record;
      const standing = { calls: callCount, closed: found.open === undefined };
      const signature = sign(resumingMessage(challenge, header, standing), this.state.secretKey);
      return { ...standing, signature };
    });
  }

  /**
   * The proof of a closed session. The job stays when `signal` is aborted if {@link startProof} asked for it, and ends
   * with it otherwise.
   */
  async prove(
    sessionId: string,
    onProgress: (progress: ProofProgress) => void,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<Uint8Array> {
    const { dir, header } = await this.closedRecord(sessionId);
    const { state } = await this.jobs.start(dir, header.userKey);
    if (state !== 'done') {
      this.waiting.set(dir, (this.waiting.get(dir) ?? 0) + 1);
      let stopped: Promise<unknown> | undefined;
      const leave = (): Promise<unknown> => {
        stopped ??= this.leave(dir);
        return stopped;
      };
      signal.addEventListener('abort', leave);
      try {
        await this.jobs.watch(dir, ({ progress }) => progress && onProgress(progress), signal);
      } finally {
        signal.removeEventListener('abort', leave);
        await leave();
      }
    }
    const proof = await this.jobs.proof(dir);
    this.wanted.delete(dir);
    return proof;
  }

  /** Puts the proof of a closed session to work. */
  async startProof(sessionId: string): Promise<ProofState> {
    const { dir, header } = await this.closedRecord(sessionId);
    const { state } = await this.jobs.start(dir, header.userKey);
    this.wanted.add(dir);
    return state;
  }

  /** See {@link ProofJobs.watch}. */
  async watchProof(
    sessionId: string,
    onChange: (status: ProofStatus) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { dir } = await this.closedRecord(sessionId);
    await this.jobs.watch(dir, onChange, signal);
  }

  /** Stops the work on a session's proof. */
  async cancelProof(sessionId: string): Promise<ProofState> {
    const { dir } = await this.closedRecord(sessionId);
    this.wanted.delete(dir);
    const { state } = await this.jobs.cancel(dir);
    return state;
  }

  /** One fewer waits for the proof of a folder; the last one ends it, unless it was started for itself. */
  private async leave(dir: string): Promise<void> {
    const left = this.waiting.get(dir)! - 1;
    if (left > 0) this.waiting.set(dir, left);
    else this.waiting.delete(dir);
    if (left === 0 && !this.wanted.has(dir)) await this.jobs.cancel(dir);
  }

  private closedRecord(sessionId: string): Promise<SessionRecord> {
    return this.tracked(async () => {
      if (sessionId.length !== 2 * SESSION_ID_BYTES) throw noSession();
      const record = this.sessions.has(sessionId) ? undefined : await this.readStored(sessionId);
      if (record !== undefined && record.closing !== null) return record;
      throw refusal('FAILED_PRECONDITION', 'SESSION_MISMATCH', 'close the session before it is proven');
    });
  }

  /** Frees the places of sessions without a request for {@link SESSION_IDLE_MS}; the next request opens them again. */
  private dropIdle(): void {
    const oldest = this.clock.now() - SESSION_IDLE_MS;
    for (const [id, session] of this.sessions) {
      if (session.used <= oldest && !this.busy.has(id)) this.forget(id, session);
    }
  }

  /**
   * Calls without a new stage for {@link CALL_QUIET_MS} give way to one that is to begin, the stalest first; none does
   * when all of them are not enough. Their sessions stay.
   */
  private makeRoom(bytes: number): void {
    const { memory } = this.tools;
    if (memory.has(bytes)) return;
    const latest = this.clock.now() - CALL_QUIET_MS;
    const lying = [...this.sessions]
      .filter(([id]) => !this.busy.has(id))
      .flatMap(([, session]) => (session.lying === undefined ? [] : [{ session, ...session.lying }]))
      .filter(({ since }) => since <= latest)
      .sort((a, b) => a.since - b.since);
    if (!memory.has(bytes - lying.reduce((sum, call) => sum + call.bytes, 0))) return;
    for (const { session } of lying) {
      session.giveWay();
      if (memory.has(bytes)) return;
    }
  }

  /** Frees the place of one session of which nothing was heard for {@link SESSION_QUIET_MS}; one within a call last. */
  private dropLongestUnused(): boolean {
    const latest = this.clock.now() - SESSION_QUIET_MS;
    const [longest] = [...this.sessions]
      .filter(([id, { used }]) => used <= latest && !this.busy.has(id))
      .sort(([, a], [, b]) => Number(a.hasCall) - Number(b.hasCall) || a.used - b.used);
    if (longest !== undefined) this.forget(...longest);
    return longest !== undefined;
  }

  private forget(sessionId: string, session: OpenSession): void {
    session.dropCall();
    this.sessions.delete(sessionId);
  }

  /** The folder's name does not tell the session's, which is a bearer secret. */
  private folderOf(sessionId: string): string {
    const name = labelledSha256('zklora/session/folder/v1', hexToBytes(sessionId));
    return join(this.state.sessionsDir, bytesToHex(name.subarray(0, SESSION_ID_BYTES)));
  }

  /** @param admit sees the user key of a session that is not in memory before its record is read, and may throw */
  private async exclusive<T>(
    sessionId: string,
    work: (found: Found) => Promise<T>,
    admit: (userKey: string) => void = () => undefined,
  ): Promise<T> {
    this.dropIdle();
    if (sessionId.length !== 2 * SESSION_ID_BYTES) throw noSession();
    if (this.busy.has(sessionId)) {
      throw refusal('UNAVAILABLE', 'SESSION_MISMATCH', 'the session is busy; try again');
    }
    return this.tracked(async () => {
      this.busy.add(sessionId);
      try {
        const session = this.sessions.get(sessionId);
        const found = session === undefined ? await this.openStored(sessionId, admit) : { open: session };
        try {
          return await work(found);
        } finally {
          if (found.open !== undefined) {
            found.open.used = this.clock.now();
            if (found.open.isStale) this.forget(sessionId, found.open);
          }
        }
      } finally {
        this.busy.delete(sessionId);
      }
    });
  }

  /** @throws ZkLoraError `SESSION_MISMATCH` after the end, and what `work` throws */
  private async tracked<T>(work: () => Promise<T>): Promise<T> {
    if (this.hasEnded) {
      throw refusal('UNAVAILABLE', 'SESSION_MISMATCH', 'the contributor is shutting down; try again later');
    }
    const running = work();
    this.underWay.add(running);
    try {
      return await running;
    } finally {
      this.underWay.delete(running);
    }
  }

  /** A session that is not in memory: closed, given up, or of an earlier process. */
  private async openStored(sessionId: string, admit: (userKey: string) => void): Promise<Found> {
    const record = await this.readStored(sessionId);
    const { dir } = record;
    if (record.closing !== null) return { record, closing: record.closing };
    const { userKey } = record.header;
    admit(userKey);
    const reopen = (): Promise<OpenSession> =>
      OpenSession.reopen(dir, record, this.tools, this.clock.now()).catch((error: unknown) => {
        throw unusable(error);
      });
    // who may not ask any more takes no place
    const open = this.isAllowed(userKey)
      ? this.takePlace(sessionId, userKey, reopen, 'UNAVAILABLE')
      : this.guests.run(userKey, reopen);
    return { open: await open };
  }

  private async readStored(sessionId: string): Promise<SessionRecord> {
    let record: SessionRecord;
    try {
      record = await openSessionRecord(this.folderOf(sessionId));
    } catch (error) {
      throw error instanceof ZkLoraError && error.code === 'FILE_NOT_FOUND' ? noSession() : unusable(error);
    }
    if (record.header.adapterId !== this.id) throw noSession();
    return record;
  }

  /**
   * @param whenFull status where all places are taken: `UNAVAILABLE` has a client ask again
   * @throws ZkLoraError `SESSION_MISMATCH` when all places for open sessions are taken, and what `open` throws
   */
  private async takePlace(
    sessionId: string,
    userKey: string,
    open: () => Promise<OpenSession>,
    whenFull: 'RESOURCE_EXHAUSTED' | 'UNAVAILABLE' = 'RESOURCE_EXHAUSTED',
  ): Promise<OpenSession> {
    const users = [
      ...this.opening,
      ...[...this.sessions.values()].map(({ record }) => record.header.userKey),
    ];
    const mine = users.filter((one) => one === userKey).length;
    if (mine >= (this.state.sessionsPerUser ?? MAX_SESSIONS_PER_USER)) {
      throw refusal(
        'RESOURCE_EXHAUSTED',
        'SESSION_MISMATCH',
        'too many open sessions of this user; close one',
      );
    }
    // last, so that nobody makes room for a user who gets no place
    if (this.sessions.size + this.opening.length >= MAX_OPEN_SESSIONS && !this.dropLongestUnused()) {
      throw refusal(whenFull, 'SESSION_MISMATCH', 'too many open sessions; try again later');
    }
    this.opening.push(userKey);
    try {
      const session = await open();
      this.sessions.set(sessionId, session);
      return session;
    } finally {
      this.opening.splice(this.opening.indexOf(userKey), 1);
    }
  }
}

/** The reason is for the contributor's log; the other side learns that there is no answer. */
function unusable(cause: unknown): ZkLoraError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ZkLoraError('FILE_UNREADABLE', `the record of a session cannot be used: ${reason}`, { cause });
}

function noSession(): ZkLoraError {
  return refusal('NOT_FOUND', 'SESSION_MISMATCH', 'there is no such session; open another');
}

function differs(callCount: number): ZkLoraError {
  return refusal(
    'FAILED_PRECONDITION',
    'SESSION_MISMATCH',
    `the session differs from the contributor's record of ${callCount} calls`,
  );
}

function isModule(module: QuantizedModule, committed: AdapterCommitment['modules'][number]): boolean {
  return (
    module.name === committed.name &&
    module.rank === committed.rank &&
    module.inFeatures === committed.inFeatures &&
    module.outFeatures === committed.outFeatures &&
    module.aExponent === committed.aExponent &&
    module.bExponent === committed.bExponent &&
    module.scaling === committed.scaling
  );
}

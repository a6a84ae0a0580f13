import { randomBytes } from 'node:crypto';
import { adapterId } from '../adapter/commitment.js';
import type { AdapterCommitment } from '../adapter/types.js';
import { bytesToHex, equalBytes, hexToBytes } from '../bytes.js';
import type { ZkLoraError } from '../errors.js';
import type { SessionHeader } from '../protocol/session.js';
import { checkHeader } from '../protocol/sessionDigest.js';
import { CallRoom } from './callRoom.js';
import { type Clock, systemClock } from './clock.js';
import { type ContributorState, requireCommitted } from './contributorState.js';
import { DiskFloor } from './diskFloor.js';
import { IDLE_CHECK_MS, MAX_SESSIONS_PER_USER } from './limits.js';
import { ModuleProducts } from './moduleProducts.js';
import { type ModuleOutput, OpenSession, type SessionTools } from './openSession.js';
import type { ProofProgress } from './proofJobs.js';
import type { ProofState, ProofStatus } from './proofStates.js';
import { createSessionRecord, type SessionRecord } from './record.js';
import { refusal } from './refusal.js';
import { NOTHING_TO_CLAIM, type RoomClaim } from './roomClaim.js';
import type { SessionClosing } from './sessionHeader.js';
import { SessionPlaces } from './sessionPlaces.js';
import { SessionProofs } from './sessionProofs.js';
import { SessionReads } from './sessionReads.js';
import { isSessionId, noSession, SESSION_ID_BYTES, SessionStore, unusable } from './sessionStore.js';
import {
  closingMessage,
  isSignedBy,
  openingMessage,
  resumingMessage,
  sign,
  userOpeningMessage,
} from './signatures.js';
import type { StageRequest } from './stageRequest.js';
import { UserQueue } from './userQueue.js';

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
  | {
      readonly open: OpenSession;
      /** Of an open session that is in memory for this request alone. */
      readonly place: RoomClaim;
    }
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
  /** Sessions with a request under way, one at a time for each. */
  private readonly busy = new Set<string>();
  /** Requests that may write. */
  private readonly underWay = new Set<Promise<unknown>>();
  private hasEnded = false;
  private readonly disk: DiskFloor;
  private readonly tools: SessionTools;
  private readonly store: SessionStore;
  private readonly places: SessionPlaces;
  private readonly proofs: SessionProofs;

  /** @throws ZkLoraError `SECRET_MISMATCH` when weights or key are not those of the commitment. */
  constructor(private readonly state: ContributorState) {
    requireCommitted(state);
    const { commitment, modules, sessionsDir } = state;
    this.commitment = commitment;
    this.id = adapterId(commitment);
    this.clock = state.clock ?? systemClock;
    this.store = new SessionStore(sessionsDir, this.id);
    this.places = new SessionPlaces({
      clock: this.clock,
      perUser: state.sessionsPerUser ?? MAX_SESSIONS_PER_USER,
      isBusy: (sessionId) => this.busy.has(sessionId),
    });
    this.proofs = new SessionProofs(state.prove);
    this.disk = new DiskFloor(sessionsDir, state.minFreeBytes);
    this.tools = {
      modules,
      products: new ModuleProducts(modules),
      room: new CallRoom(this.disk, () => this.places.lyingCalls()),
      reads: new SessionReads(this.clock),
      repeats: new UserQueue(),
      clock: this.clock,
      ...(state.leakage && { leakage: state.leakage }),
    };
    this.stopIdleCheck = this.clock.every(IDLE_CHECK_MS, () => this.places.dropIdle());
  }

  /** See {@link SessionStore.clearUnfinished}. */
  clearUnfinished(): Promise<void> {
    return this.store.clearUnfinished();
  }

  /** Takes no more requests, and resolves when those under way have left the folders alone. */
  async dispose(): Promise<void> {
    this.stopIdleCheck();
    this.hasEnded = true;
    await Promise.allSettled([...this.underWay, this.proofs.close()]);
    await this.places.clear();
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
    await this.disk.require();
    this.places.dropIdle();
    const sessionId = randomBytes(SESSION_ID_BYTES).toString('hex');
    await this.tracked(() =>
      this.places.begin(sessionId, header.userKey, async (place) => {
        place.check();
        const { leakage } = this.state;
        if (leakage === undefined) place.take();
        else await leakage.open(header, place);
        const session = { header, seed: request.seed };
        const dir = this.store.folderOf(sessionId);
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
    const admit = (userKey: string): void => {
      // the list may have changed since the session was opened
      this.requireAllowed(userKey);
      this.places.check(userKey, 'UNAVAILABLE');
    };
    return this.exclusive(
      sessionId,
      async (found) => {
        if (found.open !== undefined) return found.open.apply(request, found.place);
        throw refusal('FAILED_PRECONDITION', 'SESSION_MISMATCH', 'the session is closed');
      },
      admit,
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
      if (!equalBytes(request.digest, await found.open.digest())) throw differs(callCount);
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
        this.places.forget(sessionId, found.open);
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

  /** The proof of a closed session, see {@link SessionProofs.prove}. */
  async prove(
    sessionId: string,
    onProgress: (progress: ProofProgress) => void,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<Uint8Array> {
    return this.proofs.prove(await this.closedRecord(sessionId), onProgress, signal);
  }

  /** Puts the proof of a closed session to work. */
  async startProof(sessionId: string): Promise<ProofState> {
    return this.proofs.start(await this.closedRecord(sessionId));
  }

  /** See {@link SessionProofs.watch}. */
  async watchProof(
    sessionId: string,
    onChange: (status: ProofStatus) => void,
    signal: AbortSignal,
  ): Promise<void> {
    await this.proofs.watch(await this.closedRecord(sessionId), onChange, signal);
  }

  /** Stops the work on a session's proof. */
  async cancelProof(sessionId: string): Promise<ProofState> {
    return this.proofs.cancel(await this.closedRecord(sessionId));
  }

  private closedRecord(sessionId: string): Promise<SessionRecord> {
    return this.tracked(async () => {
      const record = this.places.has(sessionId) ? undefined : await this.store.read(sessionId);
      if (record !== undefined && record.closing !== null) return record;
      throw refusal('FAILED_PRECONDITION', 'SESSION_MISMATCH', 'close the session before it is proven');
    });
  }

  /** @param admit sees the user key of a session that is not in memory before its record is read, and may throw */
  private async exclusive<T>(
    sessionId: string,
    work: (found: Found) => Promise<T>,
    admit: (userKey: string) => void = () => undefined,
  ): Promise<T> {
    this.places.dropIdle();
    if (!isSessionId(sessionId)) throw noSession();
    if (this.busy.has(sessionId)) {
      throw refusal('UNAVAILABLE', 'SESSION_MISMATCH', 'the session is busy; try again');
    }
    return this.tracked(async () => {
      this.busy.add(sessionId);
      try {
        const session = this.places.get(sessionId);
        const found =
          session === undefined
            ? await this.openStored(sessionId, admit)
            : { open: session, place: NOTHING_TO_CLAIM };
        try {
          return await work(found);
        } finally {
          if (found.open !== undefined) {
            found.open.used = this.clock.now();
            if (found.open.isStale) this.places.forget(sessionId, found.open);
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
    const record = await this.store.read(sessionId);
    const { dir } = record;
    if (record.closing !== null) return { record, closing: record.closing };
    const { userKey } = record.header;
    admit(userKey);
    const reopen = (): Promise<OpenSession> =>
      OpenSession.reopen(dir, record, this.tools, this.clock.now()).catch((error: unknown) => {
        throw unusable(error);
      });
    // who may not ask any more takes no place
    if (this.isAllowed(userKey) && this.places.hasFree(userKey)) {
      const open = await this.places.begin(sessionId, userKey, (place) => {
        place.take();
        return reopen();
      });
      return { open, place: NOTHING_TO_CLAIM };
    }
    this.tools.reads.countGuest(userKey);
    const open = await reopen();
    return { open, place: this.places.claim(sessionId, open) };
  }
}

function differs(callCount: number): ZkLoraError {
  return refusal(
    'FAILED_PRECONDITION',
    'SESSION_MISMATCH',
    `the session differs from the contributor's record of ${callCount} calls`,
  );
}

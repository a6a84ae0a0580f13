import type { QuantizedModule } from '../adapter/types.js';
import type { ZkLoraError } from '../errors.js';
import { nextTurn } from '../nextTurn.js';
import type { ActivationRows, Session } from '../protocol/session.js';
import { type CallRows, SessionTree } from '../protocol/sessionTree.js';
import { answeredCalls, requireAsAnswered } from './answeredCalls.js';
import { AnsweredJournal, edited, requestDigest } from './answeredJournal.js';
import type { CallRoom, LyingCall } from './callRoom.js';
import type { Clock } from './clock.js';
import { LaterWork } from './laterWork.js';
import type { Charge, LeakageGuard } from './leakage/guard.js';
import type { ModuleProducts } from './moduleProducts.js';
import { type CallWriter, reopenSessionRecord, type SessionWriter } from './record.js';
import { refusal } from './refusal.js';
import type { RoomClaim } from './roomClaim.js';
import type { SessionReads } from './sessionReads.js';
import { checkStage, decodeRows, type PendingCall, type StageRequest } from './stageRequest.js';
import type { UserQueue } from './userQueue.js';

/** Exact integers of one module, `[tokens, outFeatures]`. */
export interface ModuleOutput {
  readonly module: number;
  readonly values: BigInt64Array;
}

/** What every open session of a contributor works with. */
export interface SessionTools {
  readonly modules: readonly QuantizedModule[];
  readonly products: ModuleProducts;
  /** Of the calls under way in all sessions. */
  readonly room: CallRoom;
  readonly reads: SessionReads;
  /** Answers that are made again, one at a time: they are in no call's bytes. */
  readonly repeats: UserQueue;
  readonly clock: Clock;
  readonly leakage?: LeakageGuard;
}

/** What an earlier process answered. */
interface Answered {
  readonly journal: AnsweredJournal;
  /** Digests of the requests of the last whole call, by stage. */
  readonly last: readonly string[];
  /** The same of the call after it. */
  readonly pending: readonly string[];
}

/** A call that was begun and is not in memory any more: of an earlier process, or one that gave way. */
interface BegunCall {
  readonly call: number;
  /** Digests of the requests that were answered, by stage. */
  readonly requests: readonly string[];
}

/** An open session of a contributor: answers stages, and puts each on disk before it is answered. */
export class OpenSession {
  private readonly journal: AnsweredJournal;
  private pending: PendingCall | undefined;
  /** Digests of the requests of the last whole call, by stage. */
  private lastRequests: readonly string[];
  /** Of the call under way. */
  private parts: { readonly rows: CallRows; readonly writer: CallWriter } | undefined;
  private readonly recording = new LaterWork();
  private readonly hashing = new LaterWork();
  private isBrokenOff = false;
  private hasFailed = false;
  private begun: BegunCall;
  private lastProgress: number;
  /** When the call under way began. */
  private callBegan = 0;

  /**
   * @param tree of the whole calls, so that a close reads none again
   * @param used time of the last request
   */
  private constructor(
    readonly record: SessionWriter,
    private readonly tools: SessionTools,
    answered: Answered,
    private readonly tree: SessionTree,
    public used: number,
  ) {
    this.journal = answered.journal;
    this.lastRequests = answered.last;
    this.begun = { call: record.callCount, requests: answered.pending };
    this.lastProgress = used;
  }

  /** @param record a new one */
  static begin(record: SessionWriter, tools: SessionTools, used: number): OpenSession {
    const journal = AnsweredJournal.begin(record.dir, record.header);
    const tree = new SessionTree(record, tools.modules);
    return new OpenSession(record, tools, { journal, last: [], pending: [] }, tree, used);
  }

  /**
   * Goes on with a session of an earlier process. Calls and journal are read and held against each other; what a crash
   * left half-written is cut off, anything else that differs is refused.
   *
   * @param session its header and salts, as they lie in `dir`
   * @throws ZkLoraError `SESSION_MALFORMED`, `SAFETENSORS_MALFORMED`, `FILE_UNREADABLE`, `FILE_UNWRITABLE`
   */
  static async reopen(
    dir: string,
    session: Pick<Session, 'header' | 'seed'>,
    tools: SessionTools,
    used: number,
  ): Promise<OpenSession> {
    const { header } = session;
    const inTurn = <T>(read: () => Promise<T>): Promise<T> => tools.reads.inTurn(header.userKey, read);
    const { journal, stages } = await inTurn(() => AnsweredJournal.reopen(dir, header));
    const calls = answeredCalls(header, stages);
    const tree = new SessionTree(session, tools.modules);
    // The journal is a call ahead at most: the next one begins when the one before is recorded.
    const requireAhead = (callCount: number): void => {
      if (calls.length > callCount + 1) throw edited();
    };
    const record = await reopenSessionRecord(dir, tools.modules, {
      call: (call, index) => {
        requireAsAnswered(call, index, calls[index], header);
        tree.add(call);
      },
      torn: requireAhead,
      inTurn,
    });
    requireAhead(record.callCount);
    const requests = (call: number): string[] => (calls[call] ?? []).map(({ request }) => request);
    const answered = {
      journal,
      last: requests(record.callCount - 1),
      pending: requests(record.callCount),
    };
    return new OpenSession(record, tools, answered, tree, used);
  }

  /** Whether memory may differ from what is on disk, so that the session has to be opened again. */
  get isStale(): boolean {
    return this.hasFailed;
  }

  /**
   * Answers one stage; one at a time. It is in the journal before it is answered, and a call whose last input came
   * in is recorded before. The stages of the last call are answered again when the request is the same; an
   * answered stage of the call under way with other content breaks the session off. After a restart, and after the call
   * gave way to others, its stages come again from the first on; they are not charged again.
   *
   * @param place in memory, taken when the call begins that the stage belongs to
   * @throws ZkLoraError `SESSION_MISMATCH`, `SESSION_MALFORMED`, `LIMIT_REACHED`, `LEAKAGE_BUDGET`, `FILE_UNWRITABLE`
   */
  async apply(request: StageRequest, place: RoomClaim): Promise<ModuleOutput[]> {
    if (this.isBrokenOff) throw brokenOff();
    const digest = requestDigest(request);
    if (this.isRepeated(request, digest)) {
      // The weights are the same, so the integers are.
      return this.tools.repeats.run(this.record.header.userKey, async () =>
        this.compute(request, this.decode(request)),
      );
    }
    this.requireInMemory(request);
    const pending = checkStage(this.record, this.pending, this.tools.modules, request);
    const rows = this.decode(request);
    const charge = await this.charge(request, rows, await this.claimFor(pending, place));
    try {
      const { call, stage, tokens } = request;
      const inputs = request.inputs.map(({ input }) => input);
      const isNew = this.earlierAnswer(request) === undefined;
      let noted: Promise<void> | undefined;
      const flushes = new Promise<void>((begins) => {
        if (!isNew) return begins();
        noted = this.journal.append({ call, stage, tokens, inputs, request: digest }, begins);
        noted.catch(begins);
      });
      // The disk flushes while the product is made; the answer waits for both.
      const work = [flushes.then(() => this.compute(request, rows)), noted, charge.written] as const;
      // When one fails, the session is opened again from its files: nothing may be on its way to them.
      await Promise.allSettled(work);
      const [outputs] = await Promise.all(work);
      for (const input of inputs) pending.inputs.add(input);
      pending.requests.push(digest);
      this.lastProgress = this.tools.clock.now();
      this.keep(inputs, rows, outputs);
      if (pending.inputs.size === this.record.header.inputs.length) await this.recordCall(pending);
      return outputs;
    } catch (error) {
      // What is on disk may lack this stage, or hold a part of it.
      this.hasFailed = true;
      throw error;
    }
  }

  /** Whether a call is under way. */
  get hasCall(): boolean {
    return this.pending !== undefined;
  }

  /** Session digest of the whole calls. */
  async digest(): Promise<Uint8Array> {
    await this.hashing.end();
    return this.tree.digest();
  }

  /** Records and hashes a stage later: its answer is on the way first, and none before the call's last depends on either. */
  private keep(
    inputs: readonly number[],
    given: readonly ActivationRows[],
    outputs: readonly ModuleOutput[],
  ): void {
    const { rows, writer } = this.parts!;
    for (const [i, input] of inputs.entries()) {
      this.recording.later(() => writer.input(input, given[i]!));
      for (const module of this.record.header.inputs[input]!) {
        const y = outputs.find((one) => one.module === module)!.values;
        this.recording.later(() => writer.output(module, y));
        this.hashing.laterInParts(() => rows.adding(module, given[i]!, y));
      }
    }
  }

  /** Its record is on disk when the promise resolves. */
  private async recordCall({ requests }: PendingCall): Promise<void> {
    const { rows, writer } = this.parts!;
    await this.recording.end();
    await writer.finish();
    this.hashing.later(() => this.tree.take(rows));
    this.lastRequests = requests;
    this.endCall(true);
  }

  /** When a stage was last answered that was not held already, or the session was opened. */
  get progressed(): number {
    return this.lastProgress;
  }

  /** A call under way that can give way, when it began, and since when no further stage was asked of it. */
  get lying(): (LyingCall & { readonly began: number; readonly since: number }) | undefined {
    if (this.pending === undefined) return undefined;
    return {
      bytes: this.pending.bytes,
      began: this.callBegan,
      since: this.progressed,
      giveWay: () => this.giveWay(),
    };
  }

  /** Lets go of the call under way; what was answered of it is answered again. */
  private giveWay(): void {
    const { requests = [] } = this.pending ?? {};
    const { callCount } = this.record;
    if (this.begun.call !== callCount || this.begun.requests.length < requests.length) {
      this.begun = { call: callCount, requests };
    }
    this.dropCall();
  }

  /** What a stage needs before it is taken up; its call is under way once that is taken. */
  private async claimFor(pending: PendingCall, place: RoomClaim): Promise<RoomClaim> {
    if (this.pending !== undefined) return place;
    // the rows of a call follow those of the one before it
    await this.hashing.end();
    const { tokens } = pending;
    const parts = { rows: this.tree.begin(tokens), writer: this.record.begin(tokens) };
    const status = this.isBegun ? 'UNAVAILABLE' : 'RESOURCE_EXHAUSTED';
    const room = await this.tools.room.claim(pending.bytes, status);
    return {
      check: () => {
        place.check();
        room.check();
      },
      take: () => {
        place.take();
        room.take();
        this.pending = pending;
        this.callBegan = this.tools.clock.now();
        this.parts = parts;
      },
    };
  }

  /** Counts a stage that was not answered before, and takes what it claims. */
  private async charge(
    request: StageRequest,
    rows: readonly ActivationRows[],
    claim: RoomClaim,
  ): Promise<Charge> {
    const { leakage } = this.tools;
    const { header } = this.record;
    const hadCall = this.hasCall;
    // who finds no room is told before anything is counted
    claim.check();
    if (leakage === undefined) {
      claim.take();
      return { written: Promise.resolve() };
    }
    const isAnswered = this.earlierAnswer(request) !== undefined;
    const before = isAnswered ? leakage.chargeOf(header, request) : undefined;
    if (before !== undefined) {
      claim.take();
      return before;
    }
    const asked = request.inputs.map(({ input }, i) => ({ input, x: rows[i]!.x }));
    try {
      return await leakage.charge(header, request, asked, claim);
    } catch (error) {
      if (!hadCall) this.dropCall();
      throw error;
    }
  }

  /** Whether stages of the next call were answered before it left memory. */
  private get isBegun(): boolean {
    return this.begun.call === this.record.callCount && this.begun.requests.length > 0;
  }

  /** @throws ZkLoraError `SESSION_MISMATCH` for a stage of a call whose stages before it have to come again */
  private requireInMemory({ call, stage }: StageRequest): void {
    const isNext = call === this.record.callCount && stage > 0 && stage <= this.begun.requests.length;
    if (this.pending !== undefined || !this.isBegun || !isNext) return;
    throw refusal(
      'UNAVAILABLE',
      'SESSION_MISMATCH',
      'the call gave way to others, or the contributor was started again; send its stages again from the first on',
    );
  }

  /** Lets go of the call under way. */
  dropCall(): void {
    this.endCall(false);
  }

  /** When what was dropped of a record is gone from the disk, and no file of the session is open. */
  async settled(): Promise<void> {
    await Promise.all([this.record.drop(), this.journal.rest()]);
  }

  private endCall(isWritten: boolean): void {
    if (this.pending !== undefined) {
      this.tools.room.give(this.pending.bytes, isWritten);
      if (!isWritten) {
        // all that waits is of this call: what was left of earlier ones was done when it began
        this.recording.clear();
        this.hashing.clear();
      }
    }
    this.pending = undefined;
    this.parts = undefined;
    void this.settled();
  }

  /**
   * Whether the answer needs nothing to be noted and leaves the call under way as it is.
   *
   * @throws ZkLoraError `SESSION_MISMATCH` for an answered stage with other content
   */
  private isRepeated(request: StageRequest, digest: string): boolean {
    const { call, stage } = request;
    const { callCount } = this.record;
    if (call === callCount - 1) return this.lastRequests[stage] === digest;
    const held = call === callCount ? this.pending?.requests[stage] : undefined;
    const answered = held ?? this.earlierAnswer(request);
    if (answered !== undefined && answered !== digest) {
      this.isBrokenOff = true;
      this.dropCall();
      throw brokenOff();
    }
    return held !== undefined;
  }

  /** Digest of what was answered at this stage of a call that left memory. */
  private earlierAnswer({ call, stage }: StageRequest): string | undefined {
    return call === this.begun.call ? this.begun.requests[stage] : undefined;
  }

  private decode({ tokens, inputs }: StageRequest): ActivationRows[] {
    return inputs.map((part) => decodeRows(this.record.header, this.tools.modules, tokens, part));
  }

  /** Deltas of the modules of a stage, ascending by module. @param rows of each input of the request */
  private async compute(
    { tokens, inputs }: StageRequest,
    rows: readonly ActivationRows[],
  ): Promise<ModuleOutput[]> {
    const outputs: ModuleOutput[] = [];
    for (const [i, { input }] of inputs.entries()) {
      for (const module of this.record.header.inputs[input]!) {
        // Other sessions get their turn between the products.
        if (outputs.length > 0) await nextTurn();
        outputs.push({ module, values: this.tools.products.of(module).apply(rows[i]!.x, tokens) });
      }
    }
    return outputs.sort((a, b) => a.module - b.module);
  }
}

function brokenOff(): ZkLoraError {
  return refusal(
    'FAILED_PRECONDITION',
    'SESSION_MISMATCH',
    'the session is broken off: an answered stage came again with other content; close it and open another',
  );
}

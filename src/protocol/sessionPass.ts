import { equalBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { nextTurn } from '../nextTurn.js';
import { CallReader, callBytes } from './callReader.js';
import type { CallSource, Session, SessionCall, SessionHeader } from './session.js';
import { MAX_SESSION_CALLS, type ModuleShape } from './sessionDigest.js';
import { type CallFingerprint, SessionTree } from './sessionTree.js';

/** Calls kept in memory between the passes over a session; the rest is read again. */
const MAX_KEPT_BYTES = 64 * 2 ** 20;

/** A session that has been read once. */
export interface ReadSession {
  readonly digest: Uint8Array;
  /** Token rows of all calls. */
  readonly tokens: number;
  /** The same session; a call that is not what was read at first is refused. */
  readonly stable: Session;
  /** Whether all calls are in memory: another pass reads and digests nothing again. */
  readonly inMemory: boolean;
}

/** Runs through what is done in pieces; other work gets its turn between them. */
async function inTurns<T>(pieces: Generator<void, T>): Promise<T> {
  for (;;) {
    const { done, value } = pieces.next();
    if (done) return value;
    await nextTurn();
  }
}

function changed(): ZkLoraError {
  return new ZkLoraError('SESSION_MALFORMED', 'the session changed while it was read: try again');
}

/** @throws ZkLoraError `SESSION_MALFORMED` */
function checkCount({ callCount }: CallSource): void {
  if (!Number.isInteger(callCount) || callCount < 0 || callCount > MAX_SESSION_CALLS) {
    throw new ZkLoraError('SESSION_MALFORMED', `a session has 0 to ${MAX_SESSION_CALLS} calls`);
  }
}

/**
 * Reads a whole session: its digest and number of token rows.
 *
 * What later passes see is what was digested, whatever happens to the files in between: calls are kept in memory up
 * to a limit, and digested again beyond it.
 *
 * @param modules shapes of all modules of the adapter, in its order
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export async function readSession(session: Session, modules: readonly ModuleShape[]): Promise<ReadSession> {
  const { header, seed, callCount } = session;
  const tree = new SessionTree(session, modules);
  checkCount(session);
  const reader = new CallReader(session);
  const prints: CallFingerprint[] = [];
  const kept = new Map<number, SessionCall>();
  let room = MAX_KEPT_BYTES;
  for (let index = 0; index < callCount; index++) {
    const call = await reader.read(index);
    prints.push(await inTurns(tree.adding(call)));
    const bytes = callBytes(call);
    // a call alone is kept at any size: each pass holds it anyway
    if (bytes <= room || callCount === 1) {
      room -= bytes;
      kept.set(index, call);
    } else {
      session.recycle?.(call);
    }
  }
  const readAgain = async (index: number): Promise<SessionCall> => {
    const call = await reader.read(index);
    const print = prints[index]!;
    if (!equalBytes(tree.fingerprint(call, print), print.hash)) throw changed();
    return call;
  };
  const stable: Session = {
    header,
    seed,
    callCount,
    readCall: async (index) => kept.get(index) ?? readAgain(index),
  };
  return { digest: tree.digest(), tokens: tree.tokens, stable, inMemory: kept.size === callCount };
}

/**
 * One pass over a session for whoever has been told its digest: calls are checked and digested while they are read.
 * What was made of them counts for nothing until {@link SessionPass.finish} has given that digest.
 */
export class SessionPass implements CallSource {
  readonly header: SessionHeader;
  readonly callCount: number;
  readonly #session: Session;
  readonly #tree: SessionTree;
  readonly #reader: CallReader;
  /** Calls that were read to be counted. */
  readonly #kept = new Map<number, SessionCall>();
  #counted: number | undefined;
  /** Bytes that may still be kept; below zero behind a call longer than all. */
  #room = MAX_KEPT_BYTES;
  #next = 0;
  #last: SessionCall | undefined;
  #digesting: Promise<unknown> = Promise.resolve();

  /**
   * @param modules shapes of all modules of the adapter, in its order
   * @throws ZkLoraError `SESSION_MALFORMED`
   */
  constructor(session: Session, modules: readonly ModuleShape[]) {
    this.#tree = new SessionTree(session, modules);
    checkCount(session);
    this.header = session.header;
    this.callCount = session.callCount;
    this.#session = session;
    this.#reader = new CallReader(session);
  }

  /**
   * Token rows of the session, before the pass; {@link SessionPass.finish} holds them against what was read. The first
   * calls are read for it and kept, until they come to 64 MiB; the others count what {@link Session.statedTokens} says,
   * and are read where it says nothing.
   *
   * @throws ZkLoraError what reading a call throws
   */
  async countTokens(): Promise<number> {
    let tokens = 0;
    for (let index = 0; index < this.callCount; index++) {
      if (this.#room > 0) {
        const call = await this.#reader.read(index);
        this.#kept.set(index, call);
        this.#room -= callBytes(call);
        tokens += call.tokens;
      } else {
        tokens += (await this.#session.statedTokens?.(index)) ?? (await this.#session.readCall(index)).tokens;
      }
    }
    this.#counted = tokens;
    return tokens;
  }

  /** The session if {@link SessionPass.countTokens} has kept all of it and it is short: its calls come from memory. */
  keptWhole(): Session | undefined {
    if (this.#kept.size < this.callCount || this.#room < 0) return undefined;
    const calls = [...this.#kept.values()];
    const { header, seed, callCount } = this.#session;
    return { header, seed, callCount, readCall: async (index) => calls[index]! };
  }

  /**
   * The next call, checked; it is digested meanwhile. The source takes back the one before: nobody looks at it any more.
   *
   * @param index 0 the first time, then one more each time
   * @throws ZkLoraError `SESSION_MALFORMED`; `INTERNAL` out of order
   */
  async readCall(index: number): Promise<SessionCall> {
    if (index !== this.#next)
      throw new ZkLoraError('INTERNAL', 'a pass reads the calls of a session in order');
    await this.digested();
    if (this.#last) this.#session.recycle?.(this.#last);
    this.#last = undefined;
    const call = this.#kept.get(index) ?? (await this.#reader.read(index));
    const adding = this.#tree.adding(call);
    this.#kept.delete(index);
    this.#next += 1;
    this.#last = call;
    this.#digesting = inTurns(adding);
    return call;
  }

  /** Resolves when the last call that was read is digested. */
  async digested(): Promise<void> {
    await this.#digesting;
  }

  /**
   * Digest of the session; reads the calls that have not been read.
   *
   * @throws ZkLoraError `SESSION_MALFORMED`, also for other token rows than were counted
   */
  async finish(): Promise<Uint8Array> {
    while (this.#next < this.callCount) await this.readCall(this.#next);
    await this.digested();
    if (this.#counted !== undefined && this.#counted !== this.#tree.tokens) throw changed();
    return this.#tree.digest();
  }
}

/**
 * Digest of a whole session: binds every X, Y and exponent, their order, both parties' keys and the nonce.
 *
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export async function sessionDigest(session: Session, modules: readonly ModuleShape[]): Promise<Uint8Array> {
  return new SessionPass(session, modules).finish();
}

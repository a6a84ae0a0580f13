import type { Clock } from './clock.js';
import { CALL_QUIET_MS, MAX_OPEN_SESSIONS, SESSION_IDLE_MS, SESSION_QUIET_MS } from './limits.js';
import type { MemoryBudget } from './memoryBudget.js';
import type { OpenSession } from './openSession.js';
import { refusal } from './refusal.js';

export interface PlacesOptions {
  readonly clock: Clock;
  /** Places of one user key. */
  readonly perUser: number;
  /** Whether a request of the session is under way: it stays where it is then. */
  readonly isBusy: (sessionId: string) => boolean;
}

/** The sessions that a contributor holds in memory, and which of them give way to others. */
export class SessionPlaces {
  private readonly sessions = new Map<string, OpenSession>();
  /** User keys of the sessions whose folders are being made or read. */
  private readonly opening: string[] = [];

  constructor(private readonly options: PlacesOptions) {}

  get(sessionId: string): OpenSession | undefined {
    return this.sessions.get(sessionId);
  }

  has(sessionId: string): boolean {
    return this.sessions.has(sessionId);
  }

  /**
   * @param whenFull status where all places are taken: `UNAVAILABLE` has a client ask again
   * @throws ZkLoraError `SESSION_MISMATCH` when all places for open sessions are taken, and what `open` throws
   */
  async take(
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
    if (mine >= this.options.perUser) {
      throw refusal(
        'RESOURCE_EXHAUSTED',
        'SESSION_MISMATCH',
        'too many open sessions of this user; close one',
      );
    }
    // last, so that nobody makes room for a user who gets no place
    if (this.sessions.size + this.opening.length >= MAX_OPEN_SESSIONS && !this.dropLongestUnused()) {
      throw refusal(
        whenFull,
        'SESSION_MISMATCH',
        'too many open sessions; try again later',
        SESSION_QUIET_MS,
      );
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

  /** Lets go of a session; its folder holds what was answered. */
  forget(sessionId: string, session: OpenSession): void {
    session.dropCall();
    this.sessions.delete(sessionId);
  }

  /** Frees the places of sessions without a request for {@link SESSION_IDLE_MS}; the next request opens them again. */
  dropIdle(): void {
    for (const [id, session] of this.unusedSince(SESSION_IDLE_MS)) this.forget(id, session);
  }

  /**
   * Calls without a new stage for {@link CALL_QUIET_MS} give way to one that is to begin, the stalest first; none does
   * when all of them are not enough. Their sessions stay.
   *
   * @param memory of the calls under way
   */
  makeRoom(memory: MemoryBudget, bytes: number): void {
    if (memory.has(bytes)) return;
    const latest = this.options.clock.now() - CALL_QUIET_MS;
    const lying = [...this.sessions]
      .filter(([id]) => !this.options.isBusy(id))
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
    const [longest] = this.unusedSince(SESSION_QUIET_MS).sort(
      ([, a], [, b]) => Number(a.hasCall) - Number(b.hasCall) || a.used - b.used,
    );
    if (longest !== undefined) this.forget(...longest);
    return longest !== undefined;
  }

  private unusedSince(ms: number): [string, OpenSession][] {
    const latest = this.options.clock.now() - ms;
    return [...this.sessions].filter(([id, { used }]) => used <= latest && !this.options.isBusy(id));
  }
}

import type { ZkLoraError } from '../errors.js';
import type { LyingCall } from './callRoom.js';
import type { Clock } from './clock.js';
import {
  CALL_LIFE_MS,
  CALL_QUIET_MS,
  MAX_OPEN_SESSIONS,
  SESSION_IDLE_MS,
  SESSION_QUIET_MS,
} from './limits.js';
import type { OpenSession } from './openSession.js';
import { refusal } from './refusal.js';
import type { RoomClaim } from './roomClaim.js';

export interface PlacesOptions {
  readonly clock: Clock;
  /** Places of one user key. */
  readonly perUser: number;
  /** Whether a request of the session is under way: it stays where it is then. */
  readonly isBusy: (sessionId: string) => boolean;
}

/** What is said where all places are taken; `UNAVAILABLE` has a client of any version ask again. */
type FullStatus = 'RESOURCE_EXHAUSTED' | 'UNAVAILABLE';

/** The sessions that a contributor holds in memory, and which of them give way to others. */
export class SessionPlaces {
  private readonly sessions = new Map<string, OpenSession>();
  /** User keys of the sessions whose folders are being made or read. */
  private readonly opening: string[] = [];
  /** Files of sessions that were let go of, as long as they are being taken away. */
  private readonly leaving = new Set<Promise<void>>();

  constructor(private readonly options: PlacesOptions) {}

  get(sessionId: string): OpenSession | undefined {
    return this.sessions.get(sessionId);
  }

  has(sessionId: string): boolean {
    return this.sessions.has(sessionId);
  }

  /** Whether a session of the user finds a place without another giving way. */
  hasFree(userKey: string): boolean {
    return !this.isFull && this.placesOf(userKey) < this.options.perUser;
  }

  /**
   * @throws ZkLoraError `SESSION_MISMATCH` where a session of the user would find no place, though those that may gave way
   */
  check(userKey: string, whenFull: FullStatus): void {
    if (this.placesOf(userKey) >= this.options.perUser) {
      // no time: their holder closes one, or waits for an hour, which no client should do by itself
      throw refusal(
        'RESOURCE_EXHAUSTED',
        'SESSION_MISMATCH',
        'too many open sessions of this user; close one',
      );
    }
    if (this.isFull && this.quietest() === undefined) throw noPlace(whenFull);
  }

  /**
   * Opens a session in a place of its own.
   *
   * @param open takes the place before it does anything that lasts
   * @throws what `open` throws; the place is free then
   */
  async begin(
    sessionId: string,
    userKey: string,
    open: (place: RoomClaim) => Promise<OpenSession>,
  ): Promise<OpenSession> {
    let isTaken = false;
    try {
      const session = await open({
        check: () => this.check(userKey, 'RESOURCE_EXHAUSTED'),
        take: () => {
          this.makePlace();
          this.opening.push(userKey);
          isTaken = true;
        },
      });
      this.sessions.set(sessionId, session);
      return session;
    } finally {
      if (isTaken) this.opening.splice(this.opening.indexOf(userKey), 1);
    }
  }

  /** The claim of an open session that was read without a place. */
  claim(sessionId: string, session: OpenSession): RoomClaim {
    return {
      check: () => this.check(session.record.header.userKey, 'UNAVAILABLE'),
      take: () => {
        this.makePlace();
        this.sessions.set(sessionId, session);
      },
    };
  }

  /** Lets go of a session; its folder holds what was answered. */
  forget(sessionId: string, session: OpenSession): void {
    session.dropCall();
    this.sessions.delete(sessionId);
    const leaving = session.settled();
    this.leaving.add(leaving);
    void leaving.then(() => this.leaving.delete(leaving));
  }

  /** Lets go of all sessions; resolves when what they were writing is finished or gone from the disk. */
  async clear(): Promise<void> {
    for (const entry of this.sessions) this.forget(...entry);
    await Promise.all(this.leaving);
  }

  /** Frees the places of sessions without a request for {@link SESSION_IDLE_MS}; the next request opens them again. */
  dropIdle(): void {
    const latest = this.options.clock.now() - SESSION_IDLE_MS;
    for (const [id, session] of this.sessions) {
      if (session.used <= latest && !this.options.isBusy(id)) this.forget(id, session);
    }
  }

  /**
   * Calls without a new stage for {@link CALL_QUIET_MS}, or that take longer than {@link CALL_LIFE_MS}, the stalest first. Their
   * sessions stay when they give way.
   */
  lyingCalls(): LyingCall[] {
    const now = this.options.clock.now();
    return [...this.sessions]
      .filter(([id]) => !this.options.isBusy(id))
      .flatMap(([, { lying }]) => lying ?? [])
      .filter(({ began, since }) => now - since >= CALL_QUIET_MS || now - began >= CALL_LIFE_MS)
      .sort((a, b) => a.since - b.since);
  }

  private get isFull(): boolean {
    return this.sessions.size + this.opening.length >= MAX_OPEN_SESSIONS;
  }

  private placesOf(userKey: string): number {
    const held = [...this.sessions.values()].filter(({ record }) => record.header.userKey === userKey);
    return held.length + this.opening.filter((one) => one === userKey).length;
  }

  private makePlace(): void {
    const longest = this.isFull ? this.quietest() : undefined;
    if (longest !== undefined) this.forget(...longest);
  }

  /** Of the sessions of which nothing new was asked for {@link SESSION_QUIET_MS}; one within a call comes last. */
  private quietest(): [string, OpenSession] | undefined {
    const latest = this.options.clock.now() - SESSION_QUIET_MS;
    return [...this.sessions]
      .filter(([id, { progressed }]) => progressed <= latest && !this.options.isBusy(id))
      .sort(([, a], [, b]) => Number(a.hasCall) - Number(b.hasCall) || a.progressed - b.progressed)[0];
  }
}

function noPlace(status: FullStatus): ZkLoraError {
  return refusal(status, 'SESSION_MISMATCH', 'too many open sessions; try again later', SESSION_QUIET_MS);
}

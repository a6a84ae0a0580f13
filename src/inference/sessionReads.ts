import type { Clock } from './clock.js';
import { GUEST_READS_PER_USER_AND_MINUTE } from './limits.js';
import { refusal } from './refusal.js';
import { TokenBuckets } from './tokenBucket.js';
import { UserQueue } from './userQueue.js';

const MINUTE_MS = 60_000;

/**
 * Reading of sessions that are not in memory: a file at a time, however many are asked for at once, the user keys taking
 * turns. So a long session holds nobody up, and one call is in memory for it.
 */
export class SessionReads {
  private readonly turns = new UserQueue();
  private readonly guests: TokenBuckets;

  constructor(clock: Clock) {
    const perMinute = GUEST_READS_PER_USER_AND_MINUTE;
    this.guests = new TokenBuckets({ perSecond: perMinute / 60, burst: perMinute }, () => clock.now());
  }

  /** Reads one file in the turn of a user. */
  inTurn<T>(userKey: string, read: () => Promise<T>): Promise<T> {
    return this.turns.run(userKey, read);
  }

  /**
   * Counts the reading of a session that gets no place in memory before it is known whether its request is taken up: nothing
   * of it stays when it is refused. Each key has its own measure: a common one could be used up by others.
   *
   * @throws ZkLoraError `LIMIT_REACHED`
   */
  countGuest(userKey: string): void {
    if (this.guests.tryTake(userKey)) return;
    throw refusal(
      'UNAVAILABLE',
      'LIMIT_REACHED',
      'too many sessions that are not in memory are asked for; try again later',
      MINUTE_MS,
    );
  }
}

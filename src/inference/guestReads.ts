import type { Clock } from './clock.js';
import { GUEST_READS_PER_MINUTE, GUEST_READS_PER_USER_AND_MINUTE } from './limits.js';
import { refusal } from './refusal.js';
import { TokenBuckets } from './tokenBucket.js';
import { UserQueue } from './userQueue.js';

const MINUTE_MS = 60_000;

/** The bucket of everybody. */
const ALL = '';

/**
 * Reads sessions that get no place in memory before it is known whether their request is taken up: one at a time, the user
 * keys taking turns, so many a minute. Nothing of them stays when it is refused.
 */
export class GuestReads {
  private readonly turns = new UserQueue();
  private readonly byUser: TokenBuckets;
  private readonly inAll: TokenBuckets;

  constructor(clock: Clock) {
    const buckets = (perMinute: number): TokenBuckets =>
      new TokenBuckets({ perSecond: perMinute / 60, burst: perMinute }, () => clock.now());
    this.byUser = buckets(GUEST_READS_PER_USER_AND_MINUTE);
    this.inAll = buckets(GUEST_READS_PER_MINUTE);
  }

  /** @throws ZkLoraError `LIMIT_REACHED`, and what `read` throws */
  async read<T>(userKey: string, read: () => Promise<T>): Promise<T> {
    if (!this.byUser.tryTake(userKey) || !this.inAll.tryTake(ALL)) {
      throw refusal(
        'UNAVAILABLE',
        'LIMIT_REACHED',
        'too many sessions that are not in memory are asked for; try again later',
        MINUTE_MS,
      );
    }
    return this.turns.run(userKey, read);
  }
}

import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ZkLoraError } from '../errors.js';
import { systemClock } from './clock.js';
import { MAX_ROOM_WAIT_MS } from './limits.js';

/** How a lost connection is made again, and how room is waited for. */
export interface RetryOptions {
  /** Tries after the first, for a contributor that is not there; 0 for none. */
  readonly attempts: number;
  /** Before the first of them, in milliseconds; doubled before each further one. */
  readonly firstPause: number;
  readonly longestPause: number;
  /** For room, where the contributor lacks it and says when there may be some; in milliseconds. */
  readonly longestWait: number;
  /** Told how long a question waits for room at most, in milliseconds, and again when that becomes longer by a second. */
  readonly onWait: (ms: number) => void;
  readonly pause: (ms: number) => Promise<void>;
  /** Milliseconds, never going back. */
  readonly now: () => number;
}

/** A wait is told again when it has become longer by so much. */
const TOLD_AGAIN_MS = 1000;

/** About half a minute altogether: a restart of the contributor takes a few seconds. */
export const DEFAULT_RETRY: RetryOptions = {
  attempts: 9,
  firstPause: 250,
  longestPause: 5000,
  longestWait: MAX_ROOM_WAIT_MS,
  onWait: () => undefined,
  pause: (ms) => sleep(ms),
  now: systemClock.now,
};

/**
 * Does `work` again, with growing pauses, while the contributor is not there or has no room. Room is waited for as long as
 * the contributor says, and not beyond `longestWait`, whatever it says and how often.
 */
export async function retrying<T>(options: RetryOptions, work: () => Promise<T>): Promise<T> {
  let lost = 0;
  let wait: { readonly since: number; readonly ms: number } | undefined;
  /** Milliseconds from which on a wait is told. */
  let nextTold = 1;
  for (let attempt = 0; ; attempt += 1) {
    let longest = options.longestPause;
    try {
      return await work();
    } catch (error) {
      const room = lackOfRoom(error);
      if (room !== undefined) {
        const ms = Math.min(room, options.longestWait);
        const longer = wait !== undefined && ms > wait.ms;
        if (wait === undefined || longer) {
          wait = { since: wait?.since ?? options.now(), ms };
          if (ms >= nextTold) {
            options.onWait(ms);
            nextTold = ms + TOLD_AGAIN_MS;
          }
        }
        const left = wait.since + wait.ms - options.now();
        if (left <= 0) throw error;
        // a contributor that wants a little more each time is not asked without end
        longest = Math.min(longest, longer ? Math.max(left, options.firstPause / 2) : left);
      } else if (isLost(error) && lost < options.attempts) lost += 1;
      else throw error;
    }
    const pause = Math.min(options.firstPause * 2 ** attempt, options.longestPause);
    // Users that lost the same contributor do not come back at the same moment.
    const spread = Math.ceil(pause / 2) + randomInt(Math.floor(pause / 2) + 1);
    // the last of those for room comes when the wait is over
    await options.pause(Math.min(spread, Math.ceil(longest)));
  }
}

/** Milliseconds after which a contributor may have room, if it refused for the lack of it. */
function lackOfRoom(error: unknown): number | undefined {
  if (!(error instanceof ZkLoraError)) return undefined;
  const { retryMs } = error.details;
  return typeof retryMs === 'number' ? retryMs : undefined;
}

/** Whether the contributor is not there for the moment, so that the same question may be answered later. */
function isLost(error: unknown): boolean {
  if (!(error instanceof ZkLoraError)) return false;
  return error.details.status === 'UNAVAILABLE';
}

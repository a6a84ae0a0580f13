import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ZkLoraError } from '../errors.js';

/** How a lost connection is made again. */
export interface RetryOptions {
  /** Tries after the first; 0 for none. */
  readonly attempts: number;
  /** Before the first of them, in milliseconds; doubled before each further one. */
  readonly firstPause: number;
  readonly longestPause: number;
  readonly pause: (ms: number) => Promise<void>;
}

/** About half a minute altogether: a restart of the contributor takes a few seconds. */
export const DEFAULT_RETRY: RetryOptions = {
  attempts: 9,
  firstPause: 250,
  longestPause: 5000,
  pause: (ms) => sleep(ms),
};

/** Does `work` again, with growing pauses, while it fails with {@link isLost}. */
export async function retrying<T>(options: RetryOptions, work: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt >= options.attempts || !isLost(error)) throw error;
    }
    const pause = Math.min(options.firstPause * 2 ** attempt, options.longestPause);
    // Users that lost the same contributor do not come back at the same moment.
    await options.pause(Math.ceil(pause / 2) + randomInt(Math.floor(pause / 2) + 1));
  }
}

/** Whether the contributor is not there for the moment, so that the same question may be answered later. */
function isLost(error: unknown): boolean {
  if (!(error instanceof ZkLoraError)) return false;
  return error.details.status === 'UNAVAILABLE';
}

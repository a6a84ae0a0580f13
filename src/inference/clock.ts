/** Time as the service sees it; tests bring their own. */
export interface Clock {
  /** Milliseconds from any fixed moment on; never goes back. */
  now(): number;
  /** Does `work` every `ms` milliseconds. @returns ends it */
  every(ms: number, work: () => void): () => void;
}

/** The clock of the machine; its timers keep no process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  every: (ms, work) => {
    const timer = setInterval(work, ms).unref();
    return () => clearInterval(timer);
  },
};

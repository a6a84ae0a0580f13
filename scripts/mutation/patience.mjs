// When to give up on a process: by the processor time that it took, not by the clock, so that a busy machine makes no
// mutant look endless.
import { readdir, readFile } from 'node:fs/promises';

const SAMPLE_MS = 1_000;
/** A process none of whose threads wants to run for so long waits for something that does not come. */
const IDLE_MS = 15_000;
const TICKS_PER_SECOND = 100;

/** Processor time of a process in milliseconds, and whether a thread of it runs, may run or waits for a disk. */
async function sample(pid) {
  const fields = async (path) => {
    const text = await readFile(path, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  };
  const stat = await fields(`/proc/${pid}/stat`);
  const ticks = Number(stat[11]) + Number(stat[12]);
  const threads = await readdir(`/proc/${pid}/task`);
  const states = await Promise.all(
    threads.map((thread) =>
      fields(`/proc/${pid}/task/${thread}/stat`).then(
        ([state]) => state,
        () => 'X',
      ),
    ),
  );
  return { ms: (1000 * ticks) / TICKS_PER_SECOND, busy: states.some((state) => 'RD'.includes(state)) };
}

/**
 * Watches a process; where there is no /proc, the clock decides.
 *
 * @param limit milliseconds of processor time
 * @param giveUp called once when the process has used them or has been idle for too long
 * @returns a function that ends the watch
 */
export function watch(pid, limit, giveUp) {
  let first = null;
  let last = 0;
  let idleSince = performance.now();
  const began = performance.now();
  let ended = false;
  const timer = setInterval(async () => {
    const now = performance.now();
    const seen = await sample(pid).catch(() => ({ ms: now - began, busy: true }));
    if (ended) return;
    first ??= seen.ms;
    if (seen.busy || seen.ms > last) idleSince = now;
    last = seen.ms;
    if (seen.ms - first < limit && now - idleSince < IDLE_MS) return;
    stop();
    giveUp();
  }, SAMPLE_MS);
  function stop() {
    ended = true;
    clearInterval(timer);
  }
  return stop;
}

import { ZkLoraError } from '../errors.js';
import type { TaskStep, ThreadManager } from './curve.js';

// ffjavascript settles a task only when its worker answers. Under Node a task that traps is not answered (web-worker
// prints the error and goes on), and a thread that dies is not missed: the caller would wait for ever.

/** A task that has not been answered for one to two of these is followed by a probe. */
const PROBE_MS = 250;

/** Worker threads of ffjavascript; `working[i]` and `pendingDeferreds[i]` are the task of worker i. */
export interface WorkerPool extends ThreadManager {
  readonly workers: readonly PoolWorker[];
  readonly working: boolean[];
  readonly pendingDeferreds: Deferred[];
  /** Tasks for which no worker is free. */
  readonly actionQueue: { readonly deferred: Deferred }[];
  postAction(worker: number, ...task: unknown[]): Promise<Uint8Array[]>;
}

interface PoolWorker {
  postMessage(task: readonly TaskStep[]): void;
  terminate(): void;
  addEventListener(type: 'error' | 'close', listener: () => void): void;
}

interface Deferred {
  resolve(answer: Uint8Array[]): void;
  reject(error: unknown): void;
}

const PROBE = /^probe(\d+)$/;

/** A task that takes no memory, since there may be none left; the serial comes back as the name of an empty part. */
function probeTask(serial: number): TaskStep[] {
  return [{ cmd: 'GET', out: `probe${serial}`, var: 0, len: 0 }];
}

/** Serial of the probe that an answer is to. */
function serialIn(answer: object): number | undefined {
  const serial = Object.keys(answer)
    .map((name) => PROBE.exec(name)?.[1])
    .find((found) => found !== undefined);
  return serial === undefined ? undefined : Number(serial);
}

/**
 * Rejects with `INTERNAL` what a pool is working on once a thread of it traps or dies, and everything that it is asked
 * afterwards.
 *
 * A worker answers in the order in which it was asked: when a probe is answered and the task before it is not, then
 * that task trapped.
 *
 * @param onFailure called once, when the pool has become useless
 * @returns ends the watch, for a pool that is about to be stopped
 */
export function guardPool(pool: WorkerPool, onFailure: () => void, probeMs = PROBE_MS): () => void {
  const { workers, working, pendingDeferreds, actionQueue } = pool;
  /** Of each worker's task: its number, and the ticks of the timer that it has seen. */
  const tasks = workers.map(() => ({ serial: 0, ticks: 0 }));
  let timer: ReturnType<typeof setInterval> | undefined;
  let ended = false;

  const end = (): void => {
    ended = true;
    clearInterval(timer);
  };

  const fail = (what: string): void => {
    if (ended) return;
    end();
    const error = new ZkLoraError('INTERNAL', `a worker thread of the arithmetic ${what}; try again`);
    const refuse = (): Promise<never> => Promise.reject(error);
    pool.queueAction = refuse;
    pool.postAction = refuse;
    for (const worker of workers) worker.terminate();
    onFailure();
    pendingDeferreds.forEach((deferred, i) => {
      if (working[i]) deferred.reject(error);
    });
    for (const { deferred } of actionQueue.splice(0)) deferred.reject(error);
  };

  const tick = (): void => {
    if (!working.includes(true)) {
      clearInterval(timer);
      timer = undefined;
      return;
    }
    workers.forEach((worker, i) => {
      const task = tasks[i]!;
      if (!working[i]) return;
      task.ticks += 1;
      if (task.ticks === 2) worker.postMessage(probeTask(task.serial));
    });
  };

  const { postAction } = pool;
  pool.postAction = (i, ...rest) => {
    let answered: Promise<Uint8Array[]>;
    try {
      answered = postAction.call(pool, i, ...rest);
    } catch (cause) {
      // the library has booked the task as under way
      fail('could not be given its task');
      throw cause;
    }
    const { resolve, reject } = pendingDeferreds[i]!;
    const own = { serial: (tasks[i]!.serial + 1) >>> 0, ticks: 0 };
    tasks[i] = own;
    let open = true;
    pendingDeferreds[i] = {
      resolve: (answer) => {
        const probed = serialIn(answer);
        if (probed === undefined) {
          open = false;
          resolve(answer);
        } else if (probed === own.serial && open) {
          working[i] = true;
          fail('met an error of its own');
        } else {
          // the probe of the task before this one: the library has taken it for this one's answer
          working[i] = open;
        }
      },
      reject,
    };
    timer ??= setInterval(tick, probeMs);
    return answered;
  };
  for (const worker of workers) {
    worker.addEventListener('error', () => fail('failed'));
    worker.addEventListener('close', () => fail('ended'));
  }
  return end;
}

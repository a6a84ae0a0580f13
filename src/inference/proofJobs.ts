import { join } from 'node:path';
import { ZkLoraError } from '../errors.js';
import { isPresent, readFileBounded, writeFileAtomic } from '../files.js';
import {
  MAX_KEPT_JOBS,
  MAX_PROOF_BYTES,
  MAX_QUEUED_PROOFS,
  MAX_QUEUED_PROOFS_PER_USER,
  MAX_RUNNING_PROOFS,
  PROOF_TURN_MS,
} from './limits.js';
import type { ProofStatus } from './proofStates.js';
import { openSessionRecord, type SessionRecord } from './record.js';
import { refusal } from './refusal.js';

/** In the folder of a session, once it is made. */
export const PROOF_FILE = 'proof.zkl';

const FILE_MODE = 0o600;

/** Progress of a proof, for people. */
export interface ProofProgress {
  readonly step: string;
  readonly done: number;
  readonly total: number;
}

/**
 * Proves a closed session; injected, so that the service knows nothing of provers.
 *
 * @param onProgress throws once the proof is not wanted any more
 * @param signal the same, for provers that can stop between two reports
 */
export type ProveSession = (
  session: SessionRecord,
  onProgress: (progress: ProofProgress) => void,
  signal: AbortSignal,
) => Promise<Uint8Array>;

/**
 * A queue of proofs, one job for each session, named by the folder of its record. {@link LocalProofJobs} works on this
 * machine; a queue over several machines with a common file system can take its place. A job lives in memory: after a
 * restart its state is `none`, and starting it again begins a new proof with fresh blinders.
 */
export interface ProofJobs {
  /**
   * Begins the proof of a closed session, or joins the job under way. One that is made is not made again.
   *
   * @param userKey of the session; each may have a share of what waits
   * @throws ZkLoraError `SESSION_MISMATCH` when too many wait already
   */
  start(dir: string, userKey: string): Promise<ProofStatus>;
  /**
   * Calls back with the state, now and at each change, until the job has ended or `signal` is aborted.
   *
   * @returns the last state
   */
  watch(dir: string, onChange: (status: ProofStatus) => void, signal: AbortSignal): Promise<ProofStatus>;
  /** Stops a job; resolves when nothing works on it any more. A proof that is made stays. */
  cancel(dir: string): Promise<ProofStatus>;
  /**
   * The proof, when its job is done.
   *
   * @throws ZkLoraError what the job failed with; `SESSION_MISMATCH` when it was called off
   */
  proof(dir: string): Promise<Uint8Array>;
  /** Stops all jobs. */
  close(): Promise<void>;
}

interface Job {
  readonly userKey: string;
  status: ProofStatus;
  error?: unknown;
  readonly abort: AbortController;
  readonly watchers: Set<(status: ProofStatus) => void>;
  /** Resolves when nothing works on it any more. */
  readonly ended: Promise<void>;
  readonly end: () => void;
}

/** Proofs of this machine, a few at a time, each made by `prove`. */
export class LocalProofJobs implements ProofJobs {
  private readonly jobs = new Map<string, Job>();
  private readonly queue: string[] = [];
  private running = 0;

  constructor(private readonly prove: ProveSession) {}

  async start(dir: string, userKey: string): Promise<ProofStatus> {
    const status = await this.statusOf(dir);
    if (status.state === 'done') return status;
    // Looked at again: somebody else may have started it meanwhile.
    const job = this.jobs.get(dir);
    if (job !== undefined && isUnderWay(job.status)) {
      if (!job.abort.signal.aborted) return job.status;
      await job.ended;
      return this.start(dir, userKey);
    }
    if (this.queue.length >= MAX_QUEUED_PROOFS) {
      throw tooManyWait('too many proofs are waiting; try again later');
    }
    const mine = this.queue.filter((waiting) => this.jobs.get(waiting)!.userKey === userKey);
    if (mine.length >= MAX_QUEUED_PROOFS_PER_USER) {
      throw tooManyWait('too many proofs of this user are waiting; try again later');
    }
    this.jobs.delete(dir);
    this.jobs.set(dir, newJob(userKey));
    this.queue.push(dir);
    this.forgetOldest();
    this.next();
    return this.jobs.get(dir)!.status;
  }

  async watch(
    dir: string,
    onChange: (status: ProofStatus) => void,
    signal: AbortSignal,
  ): Promise<ProofStatus> {
    const first = await this.statusOf(dir);
    const job = this.jobs.get(dir);
    onChange(job?.status ?? first);
    if (job === undefined || !isUnderWay(job.status) || signal.aborted) return job?.status ?? first;
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        job.watchers.delete(tell);
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const tell = (status: ProofStatus): void => {
        try {
          onChange(status);
        } catch (error) {
          reject(error);
          leave();
        }
        if (!isUnderWay(status)) leave();
      };
      job.watchers.add(tell);
      signal.addEventListener('abort', leave);
    });
    return job.status;
  }

  async cancel(dir: string): Promise<ProofStatus> {
    const job = this.jobs.get(dir);
    if (job !== undefined && isUnderWay(job.status)) {
      job.abort.abort();
      const waiting = this.queue.indexOf(dir);
      if (waiting >= 0) {
        this.queue.splice(waiting, 1);
        this.finish(job, { state: 'cancelled' });
      }
      await job.ended;
    }
    return this.statusOf(dir);
  }

  async proof(dir: string): Promise<Uint8Array> {
    const job = this.jobs.get(dir);
    if (job?.status.state === 'failed') throw job.error;
    try {
      return await readFileBounded(join(dir, PROOF_FILE), MAX_PROOF_BYTES, 'proof');
    } catch (error) {
      if (!(error instanceof ZkLoraError) || error.code !== 'FILE_NOT_FOUND') throw error;
      throw refusal('FAILED_PRECONDITION', 'SESSION_MISMATCH', 'the proof was called off');
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.jobs.keys()].map((dir) => this.cancel(dir)));
  }

  private async statusOf(dir: string): Promise<ProofStatus> {
    const job = this.jobs.get(dir);
    if (job !== undefined) return job.status;
    return { state: (await isPresent(join(dir, PROOF_FILE))) ? 'done' : 'none' };
  }

  private next(): void {
    while (this.running < MAX_RUNNING_PROOFS) {
      const dir = this.queue.shift();
      if (dir === undefined) return;
      this.running += 1;
      void this.work(dir, this.jobs.get(dir)!).finally(() => {
        this.running -= 1;
        this.next();
      });
    }
  }

  private async work(dir: string, job: Job): Promise<void> {
    const { signal } = job.abort;
    const report = (progress: ProofProgress): void => {
      requireWanted(signal);
      this.tell(job, { state: 'running', progress });
    };
    this.tell(job, { state: 'running' });
    try {
      const proof = await this.prove(await openSessionRecord(dir), report, signal);
      requireWanted(signal);
      if (proof.length > MAX_PROOF_BYTES) throw new ZkLoraError('INTERNAL', 'the proof is too large');
      await writeFileAtomic(join(dir, PROOF_FILE), proof, { mode: FILE_MODE, overwrite: true });
      this.finish(job, { state: 'done' });
    } catch (error) {
      job.error = error;
      this.finish(job, { state: signal.aborted ? 'cancelled' : 'failed' });
    }
  }

  private finish(job: Job, status: ProofStatus): void {
    this.tell(job, status);
    job.end();
  }

  private tell(job: Job, status: ProofStatus): void {
    job.status = status;
    for (const watcher of [...job.watchers]) watcher(status);
  }

  /** States of jobs that have ended are kept for who asks, up to a limit. */
  private forgetOldest(): void {
    for (const [dir, job] of this.jobs) {
      if (this.jobs.size <= MAX_KEPT_JOBS) return;
      if (!isUnderWay(job.status)) this.jobs.delete(dir);
    }
  }
}

function newJob(userKey: string): Job {
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  return {
    userKey,
    status: { state: 'queued' },
    abort: new AbortController(),
    watchers: new Set(),
    ended,
    end,
  };
}

function tooManyWait(message: string): ZkLoraError {
  return refusal('RESOURCE_EXHAUSTED', 'SESSION_MISMATCH', message, PROOF_TURN_MS);
}

function isUnderWay({ state }: ProofStatus): boolean {
  return state === 'queued' || state === 'running';
}

/** @throws ZkLoraError `SESSION_MISMATCH` */
function requireWanted(signal: AbortSignal): void {
  if (signal.aborted) {
    throw refusal('FAILED_PRECONDITION', 'SESSION_MISMATCH', 'the proof was called off');
  }
}

import { LocalProofJobs, type ProofJobs, type ProofProgress, type ProveSession } from './proofJobs.js';
import type { ProofState, ProofStatus } from './proofStates.js';
import type { SessionRecord } from './record.js';

/** Proofs of a contributor's closed sessions: who asked for them, and who waits. */
export class SessionProofs {
  private readonly jobs: ProofJobs;
  /** Folders whose proofs go on without anybody who waits. */
  private readonly wanted = new Set<string>();
  /** How many wait for the proof of a folder. */
  private readonly waiting = new Map<string, number>();

  constructor(prove: ProveSession | ProofJobs) {
    this.jobs = typeof prove === 'function' ? new LocalProofJobs(prove) : prove;
  }

  /** The proof. The job stays when `signal` is aborted if {@link start} asked for it, and ends with it otherwise. */
  async prove(
    { dir, header }: SessionRecord,
    onProgress: (progress: ProofProgress) => void,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const { state } = await this.jobs.start(dir, header.userKey);
    if (state !== 'done') {
      this.waiting.set(dir, (this.waiting.get(dir) ?? 0) + 1);
      let stopped: Promise<unknown> | undefined;
      const leave = (): Promise<unknown> => {
        stopped ??= this.leave(dir);
        return stopped;
      };
      signal.addEventListener('abort', leave);
      try {
        await this.jobs.watch(dir, ({ progress }) => progress && onProgress(progress), signal);
      } finally {
        signal.removeEventListener('abort', leave);
        await leave();
      }
    }
    const proof = await this.jobs.proof(dir);
    this.wanted.delete(dir);
    return proof;
  }

  /** Puts a proof to work. */
  async start({ dir, header }: SessionRecord): Promise<ProofState> {
    const { state } = await this.jobs.start(dir, header.userKey);
    this.wanted.add(dir);
    return state;
  }

  /** See {@link ProofJobs.watch}. */
  async watch(
    { dir }: SessionRecord,
    onChange: (status: ProofStatus) => void,
    signal: AbortSignal,
  ): Promise<void> {
    await this.jobs.watch(dir, onChange, signal);
  }

  /** Stops the work on a proof. */
  async cancel({ dir }: SessionRecord): Promise<ProofState> {
    this.wanted.delete(dir);
    const { state } = await this.jobs.cancel(dir);
    return state;
  }

  /** Stops all jobs. */
  close(): Promise<void> {
    return this.jobs.close();
  }

  /** One fewer waits for the proof of a folder; the last one ends it, unless it was started for itself. */
  private async leave(dir: string): Promise<void> {
    const left = this.waiting.get(dir)! - 1;
    if (left > 0) this.waiting.set(dir, left);
    else this.waiting.delete(dir);
    if (left === 0 && !this.wanted.has(dir)) await this.jobs.cancel(dir);
  }
}

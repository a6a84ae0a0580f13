import { type ChildProcess, fork } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import type { AdapterSecret } from '../adapter/secret.js';
import type { AdapterCommitment, QuantizedModule } from '../adapter/types.js';
import { ZkLoraError } from '../errors.js';
import type { ProofProgress, ProveSession } from './proofJobs.js';
import { workerEntry } from './workerEntry.js';
import { fromPlainError, type PlainError } from './workerMessages.js';

export interface ProverOptions {
  /** Folder of the parameter set. */
  readonly parametersDir: string;
  readonly adapter: AdapterCommitment;
  /** The committed weights, in the commitment's order. */
  readonly modules: readonly QuantizedModule[];
  readonly secret: AdapterSecret;
}

/** What the process of a proof is told, over its channel. */
export interface ProofTask extends ProverOptions {
  readonly sessionDir: string;
}

export type ProofAnswer =
  | { readonly kind: 'progress'; readonly progress: ProofProgress }
  | { readonly kind: 'proof'; readonly proof: Uint8Array }
  | { readonly kind: 'error'; readonly error: PlainError };

/**
 * Proves each session in a process of its own, at low priority, so that the service keeps answering. A process and not
 * a thread: the library of the arithmetic starts threads itself, which it cannot from a thread, and an end by the system
 * stops all of it and gives all of its memory back.
 */
export function processProver(options: ProverOptions): ProveSession {
  return async (session, onProgress, signal) => {
    const child = fork(workerEntry('proofProcess'), {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const ended = new Promise<void>((resolve) =>
      child.once('close', () => resolve()).once('error', () => resolve()),
    );
    const stop = (): void => void child.kill('SIGKILL');
    signal.addEventListener('abort', stop);
    try {
      if (signal.aborted) stop();
      yieldTo(child);
      return await answerOf(child, { ...options, sessionDir: session.dir }, onProgress);
    } finally {
      signal.removeEventListener('abort', stop);
      stop();
      // The slot is free when the memory is.
      await ended;
    }
  };
}

function answerOf(
  child: ChildProcess,
  task: ProofTask,
  onProgress: (progress: ProofProgress) => void,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const lost = (cause?: unknown): void =>
      reject(new ZkLoraError('INTERNAL', 'the process of the proof ended before its proof', { cause }));
    child.on('message', (answer: ProofAnswer) => {
      try {
        if (answer.kind === 'progress') onProgress(answer.progress);
        else if (answer.kind === 'proof') resolve(answer.proof);
        else reject(fromPlainError(answer.error));
      } catch (error) {
        reject(error);
      }
    });
    child.once('error', lost);
    child.once('exit', () => lost());
    child.send(task, (error) => error && lost(error));
  });
}

/** Serving comes first where cores are few; a system that does not allow it changes nothing. */
function yieldTo({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // No permission, or the process is gone already, which its exit says.
  }
}

/** Where a task of the worker threads runs: in one of them, or in this thread. */
import { ZkLoraError } from '../errors.js';
import type { TaskStep } from './curve.js';
import type { Engine } from './engine.js';

/**
 * Queues a task for the worker threads, or runs it at once in this thread if it is `short`: if it takes hardly longer
 * than the two messages of a worker thread and its wake-up.
 */
export async function runTask(
  engine: Engine,
  task: readonly TaskStep[],
  length: 'short' | 'long',
): Promise<Uint8Array[]> {
  return length === 'short' ? runHere(engine, task) : engine.curve.tm.queueAction(task);
}

/** A step that only this thread knows: pieces in memory one behind the other, where a worker is sent a copy of all. */
export interface JoinStep {
  readonly cmd: 'JOIN';
  readonly var: number;
  readonly pieces: readonly Uint8Array[];
}

/** Bytes of a buffer; a view. */
export function bytesOf(buffer: Uint8Array | SharedArrayBuffer): Uint8Array {
  return buffer instanceof Uint8Array ? buffer : new Uint8Array(buffer);
}

/** Runs a task on the memory of this thread's WebAssembly instance, which is cleared after it. */
export function runHere(engine: Engine, task: readonly (TaskStep | JoinStep)[]): Uint8Array[] {
  return engine.sync(({ call, alloc, put, write, get }) => {
    const variables: number[] = [];
    const out: Uint8Array[] = [];
    for (const step of task) {
      switch (step.cmd) {
        case 'ALLOC':
          variables[step.var] = alloc(step.len);
          break;
        case 'ALLOCSET':
          variables[step.var] = put(bytesOf(step.buff));
          break;
        case 'JOIN': {
          let at = alloc(step.pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
          variables[step.var] = at;
          for (const piece of step.pieces) {
            write(at, piece);
            at += piece.byteLength;
          }
          break;
        }
        case 'SET':
          write(variables[step.var]!, step.buff);
          break;
        case 'CALL': {
          const params = step.params.map((param) =>
            'var' in param ? variables[param.var]! + (param.offset ?? 0) : param.val,
          );
          call[step.fnName]!(...params);
          break;
        }
        case 'GET':
          if (typeof step.out !== 'number') throw new ZkLoraError('INTERNAL', 'a part has no number');
          out[step.out] = get(variables[step.var]!, step.len);
      }
    }
    return out;
  });
}

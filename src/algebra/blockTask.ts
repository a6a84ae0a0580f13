/** Work on one block of bytes that a worker thread can do as well as this one. */
import type { TaskStep } from './curve.js';
import type { Engine } from './engine.js';

/** Variable of the block in the steps of a {@link BlockTask}. */
export const BLOCK = 0;

/** Steps that look at a block and keep nothing of it. */
export interface BlockTask {
  /** The block: one piece behind the other. */
  readonly pieces: readonly Uint8Array[];
  /** What is done with it: ALLOC, ALLOCSET and CALL. */
  readonly steps: readonly TaskStep[];
  /** Where the answer lies then. */
  readonly answer: { readonly var: number; readonly len: number };
  done(answer: Uint8Array): void;
}

/** Bytes of a task's block. */
export function blockBytes({ pieces }: BlockTask): number {
  return pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** Copies the pieces of a task to the start of a block. */
export function fillBlock(block: Uint8Array, { pieces }: BlockTask): void {
  let at = 0;
  for (const piece of pieces) {
    block.set(piece, at);
    at += piece.byteLength;
  }
}

/** Bytes of a buffer; a view. */
export function bytesOf(buffer: Uint8Array | SharedArrayBuffer): Uint8Array {
  return buffer instanceof Uint8Array ? buffer : new Uint8Array(buffer);
}

/** A task as a worker is given it. */
export function stepsOf({ steps, answer }: BlockTask, block: Uint8Array | SharedArrayBuffer): TaskStep[] {
  return [{ cmd: 'ALLOCSET', var: BLOCK, buff: block }, ...steps, { cmd: 'GET', out: 0, ...answer }];
}

/** Runs a task in this thread. */
export function runHere(engine: Engine, task: BlockTask): void {
  const answer = engine.sync(({ call, alloc, put, write, get }) => {
    const variables: number[] = [];
    let at = alloc(blockBytes(task));
    variables[BLOCK] = at;
    for (const piece of task.pieces) {
      write(at, piece);
      at += piece.byteLength;
    }
    for (const step of task.steps) {
      if (step.cmd === 'ALLOC') {
        variables[step.var] = alloc(step.len);
      } else if (step.cmd === 'ALLOCSET') {
        variables[step.var] = put(bytesOf(step.buff));
      } else if (step.cmd === 'CALL') {
        const values = step.params.map((param) =>
          'val' in param ? param.val : variables[param.var]! + (param.offset ?? 0),
        );
        call[step.fnName]!(...values);
      }
    }
    return get(variables[task.answer.var]!, task.answer.len);
  });
  task.done(answer);
}

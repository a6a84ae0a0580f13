/** Work on one block of bytes that a worker thread can do as well as this one. */
import type { TaskStep } from './curve.js';
import type { Engine } from './engine.js';
import { runHere } from './tasks.js';

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
  /** Whether the steps take so much memory that a worker should not have to. */
  readonly large?: boolean;
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

/** A task as a worker is given it, with a block that holds all pieces. */
export function stepsFor(task: BlockTask, block: Uint8Array | SharedArrayBuffer): TaskStep[] {
  return [{ cmd: 'ALLOCSET', var: BLOCK, buff: block }, ...task.steps, answerOf(task)];
}

/** Does a task in this thread. */
export function doHere(engine: Engine, task: BlockTask): void {
  const { pieces, steps } = task;
  const [answer] = runHere(engine, [{ cmd: 'JOIN', var: BLOCK, pieces }, ...steps, answerOf(task)]);
  task.done(answer!);
}

function answerOf({ answer }: BlockTask): TaskStep {
  return { cmd: 'GET', out: 0, ...answer };
}

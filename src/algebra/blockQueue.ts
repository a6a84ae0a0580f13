import { nextTurn } from '../nextTurn.js';
import { ahead } from './ahead.js';
import { type BlockTask, blockBytes, doHere, fillBlock, stepsFor } from './blockTask.js';
import type { Engine } from './engine.js';
import { bytesOf } from './tasks.js';

/** Bytes of a block for workers: long enough to be worth its messages and a copy of what it is multiplied with. */
export const BLOCK_BYTES = 2 ** 21;

/** Of a block for this thread: memory that is touched for the first time costs more than short blocks do. */
const OWN_BLOCK_BYTES = 2 ** 19;

/** Blocks that are with the workers at a time, at most: they bound the memory of copies, none longer than a block. */
const MAX_OUT = 8;

/** Tasks on blocks: for the worker threads while this one has other things to do, for this one then. */
export class BlockQueue {
  readonly #engine: Engine;
  readonly #waiting: BlockTask[] = [];
  /** What waits for this thread, and no worker takes. */
  readonly #own: BlockTask[] = [];
  readonly #out = new Set<Promise<void>>();
  /** Blocks that no worker reads any more. */
  readonly #spare: SharedArrayBuffer[] = [];
  readonly #maxOut: number;
  #shared = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#maxOut = Math.min(2 * engine.threads, MAX_OUT);
  }

  /** Bytes that the block of a task should have at most. */
  get blockBytes(): number {
    return this.#shared ? BLOCK_BYTES : OWN_BLOCK_BYTES;
  }

  get shared(): boolean {
    return this.#shared;
  }

  /** Has the workers take what is added from now on, but for what is too large for them. */
  share(): void {
    this.#shared = true;
  }

  /** Pieces of a task stay as they are until it is done. */
  add(task: BlockTask): void {
    if (!this.#shared || task.large || blockBytes(task) > BLOCK_BYTES) {
      this.#own.push(task);
      return;
    }
    this.#waiting.push(task);
    this.#post();
  }

  /**
   * Does what no worker has taken; other work gets its turn after each task.
   *
   * @throws what a task has thrown
   */
  async help(): Promise<void> {
    for (;;) {
      if (this.#failure) throw this.#failure.error;
      const task = this.#own.shift() ?? this.#waiting.shift();
      if (!task) return;
      doHere(this.#engine, task);
      await nextTurn();
    }
  }

  /** {@link BlockQueue.help}, until all tasks are done. */
  async finish(): Promise<void> {
    await this.help();
    await Promise.all(this.#out);
    if (this.#failure) throw this.#failure.error;
  }

  /** Forgets what waits, and resolves when no worker has a task of this queue. */
  async stop(): Promise<void> {
    this.#waiting.length = 0;
    this.#own.length = 0;
    await Promise.all(this.#out);
  }

  #post(): void {
    while (!this.#failure && this.#out.size < this.#maxOut) {
      const task = this.#waiting.shift();
      if (!task) return;
      const out = this.#send(task).catch((error: unknown) => {
        this.#failure ??= { error };
      });
      this.#out.add(out);
      void out.then(() => {
        this.#out.delete(out);
        this.#post();
      });
    }
  }

  async #send(task: BlockTask): Promise<void> {
    const { tm } = this.#engine.curve;
    const block = this.#blockFor(task);
    const [answer] = await ahead(this.#engine, () => tm.queueAction(stepsFor(task, block)));
    if (!(block instanceof Uint8Array)) this.#spare.push(block);
    task.done(answer!);
  }

  /** Copy of a task's block: in memory that a message need not copy, unless it is short. */
  #blockFor(task: BlockTask): Uint8Array | SharedArrayBuffer {
    const bytes = blockBytes(task);
    // a worker takes a shared block as a whole
    const long = 2 * bytes > BLOCK_BYTES;
    const block = (long && (this.#spare.pop() ?? sharedMemory(BLOCK_BYTES))) || new Uint8Array(bytes);
    fillBlock(bytesOf(block), task);
    return block;
  }
}

/** Memory that threads share; undefined where the platform gives none. */
export function sharedMemory(bytes: number): SharedArrayBuffer | undefined {
  // not in a page of a browser that is not isolated from others
  return 'SharedArrayBuffer' in globalThis ? new SharedArrayBuffer(bytes) : undefined;
}

import { nextTurn } from '../nextTurn.js';

/** How long work goes on before the thread's other work has its turn, in milliseconds. */
const TURN_MS = 4;

/** Work on which nothing that is under way depends, done piece by piece when the thread has nothing else to do. */
export class LaterWork {
  readonly #pieces: (() => Iterator<void>)[] = [];
  /** The first piece, once it was begun. */
  #begun: Iterator<void> | undefined;
  #isAwaited = false;

  /** Takes a piece that comes after those before it. */
  later(piece: () => void): void {
    this.laterInParts(() => ({
      next: () => {
        piece();
        return { done: true, value: undefined };
      },
    }));
  }

  /** {@link later} for a long piece: other work may have its turn between its parts. */
  laterInParts(parts: () => Iterator<void>): void {
    this.#pieces.push(parts);
    if (!this.#isAwaited) this.#wait();
  }

  /**
   * Does what is left, other work of the thread having its turn now and then. Nothing is taken meanwhile.
   *
   * @throws what a piece throws; it is tried again from its beginning the next time, with those after it
   */
  async end(): Promise<void> {
    while (this.#pieces.length > 0) {
      this.#turn(Number.POSITIVE_INFINITY);
      if (this.#pieces.length > 0) await nextTurn();
    }
  }

  /** Forgets what is left. */
  clear(): void {
    this.#pieces.length = 0;
    this.#begun = undefined;
  }

  #wait(): void {
    this.#isAwaited = true;
    const turn = (): void => {
      this.#isAwaited = false;
      if (this.#pieces.length === 0) return;
      try {
        this.#turn(1);
      } catch {
        // The piece stays, so that `end` fails with the reason.
        return;
      }
      if (this.#pieces.length > 0) this.#wait();
    };
    // a timer and not an immediate: messages that came in have their turn first
    setTimeout(turn, 0).unref();
  }

  /** Does so many pieces at most, or as far as it comes in {@link TURN_MS}. */
  #turn(pieces: number): void {
    const until = performance.now() + TURN_MS;
    for (let done = 0; done < pieces && this.#pieces.length > 0; ) {
      if (this.#part()) done += 1;
      if (performance.now() >= until) return;
    }
  }

  /** Does a part of the first piece. @returns whether that was the last one */
  #part(): boolean {
    try {
      this.#begun ??= this.#pieces[0]!();
      if (this.#begun.next().done !== true) return false;
    } catch (error) {
      this.#begun = undefined;
      throw error;
    }
    this.#begun = undefined;
    this.#pieces.shift();
    return true;
  }
}

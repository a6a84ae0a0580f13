/** Work on which nothing that is under way depends, done piece by piece when the thread has nothing else to do. */
export class LaterWork {
  readonly #pieces: (() => void)[] = [];
  #isAwaited = false;

  /** Takes a piece that comes after those before it. */
  later(piece: () => void): void {
    this.#pieces.push(piece);
    if (!this.#isAwaited) this.#wait();
  }

  /** Does what is left at once. @throws what a piece throws; it is tried again the next time, with those after it */
  end(): void {
    while (this.#pieces.length > 0) this.#one();
  }

  /** Forgets what is left. */
  clear(): void {
    this.#pieces.length = 0;
  }

  #wait(): void {
    this.#isAwaited = true;
    const turn = (): void => {
      this.#isAwaited = false;
      if (this.#pieces.length === 0) return;
      try {
        this.#one();
      } catch {
        // The piece stays, so that `end` fails with the reason.
        return;
      }
      if (this.#pieces.length > 0) this.#wait();
    };
    // a timer and not an immediate: messages that came in have their turn first
    setTimeout(turn, 0).unref();
  }

  #one(): void {
    this.#pieces[0]?.();
    this.#pieces.shift();
  }
}

/**
 * Work that is done one at a time, the users taking turns: whoever comes waits for at most one piece of each other user.
 * Pieces of one user keep their order.
 */
export class UserQueue {
  /** Pieces that wait, by user; the first user is being served. */
  private readonly waiting = new Map<string, (() => Promise<void>)[]>();
  private running: Promise<void> | undefined;

  run<T>(user: string, work: () => Promise<T>): Promise<T> {
    const result = new Promise<T>((resolve, reject) => {
      const piece = async (): Promise<void> => {
        try {
          resolve(await work());
        } catch (error) {
          reject(error);
        }
      };
      const own = this.waiting.get(user);
      if (own === undefined) this.waiting.set(user, [piece]);
      else own.push(piece);
    });
    this.running ??= this.serve();
    return result;
  }

  /** Resolves when nothing is waiting or under way. */
  async idle(): Promise<void> {
    while (this.running !== undefined) await this.running;
  }

  private async serve(): Promise<void> {
    // `run` has to know that somebody serves before anything is done
    await Promise.resolve();
    for (const [user, pieces] of this.waiting) {
      await pieces.shift()!();
      // Behind everybody who came meanwhile; the loop comes to what is set while it runs.
      this.waiting.delete(user);
      if (pieces.length > 0) this.waiting.set(user, pieces);
    }
    this.running = undefined;
  }
}

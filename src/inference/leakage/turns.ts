import { nextTurn } from '../../nextTurn.js';

/** Work, in multiplications, after which other requests get their turn. */
const TURN = 2 ** 22;

/** Lets other requests have their turn between pieces of long work. */
export class Turns {
  private work = 0;

  /** @returns whether enough was done for a turn of the others, which is over when the promise resolves */
  async did(multiplications: number): Promise<boolean> {
    this.work += multiplications;
    if (this.work <= TURN) return false;
    this.work = 0;
    await nextTurn();
    return true;
  }
}

import { MESSAGE_MS } from './limits.js';
import { refusal } from './refusal.js';

/** Bytes that messages of all streams together may hold for one purpose. */
export class MemoryBudget {
  private bytes = 0;

  /** @param what is under way, in the plural */
  constructor(
    private readonly most: number,
    private readonly what: string,
  ) {}

  /** @throws ZkLoraError `LIMIT_REACHED` beyond it */
  take(bytes: number): void {
    if (this.bytes + bytes > this.most) {
      throw refusal(
        'RESOURCE_EXHAUSTED',
        'LIMIT_REACHED',
        `too many large ${this.what}; try again later`,
        MESSAGE_MS,
      );
    }
    this.bytes += bytes;
  }

  give(bytes: number): void {
    this.bytes -= bytes;
  }
}

import type { ZkLoraError } from '../errors.js';
import { MESSAGE_MS } from './limits.js';
import { refusal } from './refusal.js';

/** Bytes that all streams or sessions together may hold for one purpose. */
export class MemoryBudget {
  private bytes = 0;

  /** @param refused what is thrown when `most` would be passed */
  constructor(
    private readonly most: number,
    private readonly refused: () => ZkLoraError,
  ) {}

  /** @throws what the constructor was given */
  take(bytes: number): void {
    if (!this.has(bytes)) throw this.refused();
    this.bytes += bytes;
  }

  /** Whether there is room for so many more. */
  has(bytes: number): boolean {
    return this.bytes + bytes <= this.most;
  }

  give(bytes: number): void {
    this.bytes -= bytes;
  }

  /** Bytes that are taken. */
  get taken(): number {
    return this.bytes;
  }
}

/** A budget of one of the limits.ts for messages that are under way on streams. @param what in the plural */
export function streamBudget(most: number, what: string): MemoryBudget {
  return new MemoryBudget(most, () =>
    refusal('RESOURCE_EXHAUSTED', 'LIMIT_REACHED', `too many large ${what}; try again later`, MESSAGE_MS),
  );
}

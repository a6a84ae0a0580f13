import { statfs } from 'node:fs/promises';
import type { ZkLoraError } from '../errors.js';
import { MIN_FREE_BYTES, MIN_FREE_FILES } from './limits.js';
import { refusal } from './refusal.js';

/** Keeps the sessions from filling the disk that they are on. */
export class DiskFloor {
  /** The last look at the disk. */
  private turn: Promise<unknown> = Promise.resolve();

  /**
   * @param dir folder of the sessions
   * @param minFree bytes that stay free
   */
  constructor(
    private readonly dir: string,
    private readonly minFree = MIN_FREE_BYTES,
  ) {}

  /** Bytes that may be written; below 0 where less than the floor is left. Questions are answered in their order. */
  async room(): Promise<number> {
    const free = this.turn.then(() => this.free());
    this.turn = free;
    return (await free) - this.minFree;
  }

  /** @throws ZkLoraError `LIMIT_REACHED` where less than the floor is left */
  async require(): Promise<void> {
    if ((await this.room()) < 0) throw diskFull();
  }

  /** Where a file system does not tell, or says that it has no blocks, writing will: a failed write is never answered. */
  private async free(): Promise<number> {
    try {
      const { blocks, bavail, bsize, files, ffree } = await statfs(this.dir);
      // a file system that counts files has no room without them, however many bytes are free
      if (files > 0 && ffree < MIN_FREE_FILES) return 0;
      return blocks === 0 ? Number.POSITIVE_INFINITY : bavail * bsize;
    } catch {
      return Number.POSITIVE_INFINITY;
    }
  }
}

/** @param retryMs see {@link refusal} */
export function diskFull(retryMs?: number): ZkLoraError {
  return refusal(
    'RESOURCE_EXHAUSTED',
    'LIMIT_REACHED',
    "the contributor's disk is full; try again later",
    retryMs,
  );
}

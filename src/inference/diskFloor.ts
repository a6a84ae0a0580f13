import { statfs } from 'node:fs/promises';
import { MIN_FREE_BYTES } from './limits.js';
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

  /**
   * Questions are answered in their order: what follows is counted in the order in which it was asked.
   *
   * @param bytes that are about to be written, by all calls under way
   * @throws ZkLoraError `LIMIT_REACHED` where less than the floor would be left
   */
  async require(bytes: number): Promise<void> {
    const free = this.turn.then(() => this.free());
    this.turn = free;
    if ((await free) - bytes >= this.minFree) return;
    throw refusal('RESOURCE_EXHAUSTED', 'LIMIT_REACHED', "the contributor's disk is full; try again later");
  }

  /** Where a file system does not tell, or says that it has no blocks, writing will: a failed write is never answered. */
  private async free(): Promise<number> {
    try {
      const { blocks, bavail, bsize } = await statfs(this.dir);
      return blocks === 0 ? Number.POSITIVE_INFINITY : bavail * bsize;
    } catch {
      return Number.POSITIVE_INFINITY;
    }
  }
}

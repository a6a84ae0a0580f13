import { MESSAGE_MS, PEER_SHARE } from './limits.js';
import type { Peer } from './peers.js';
import { refusal } from './refusal.js';

/** Bytes that messages of all streams together may hold for one purpose, and one peer a share of them. */
export class MemoryBudget {
  private bytes = 0;
  private readonly byPeer = new Map<Peer, number>();

  /** @param what is under way, in the plural */
  constructor(
    private readonly most: number,
    private readonly what: string,
  ) {}

  /**
   * @param peer whose share it is; without one the total is the only bound
   * @throws ZkLoraError `LIMIT_REACHED` beyond total or share
   */
  take(bytes: number, peer?: Peer): void {
    const held = this.heldBy(peer) + bytes;
    if (this.bytes + bytes > this.most || (peer !== undefined && held > PEER_SHARE * this.most)) {
      throw refusal(
        'RESOURCE_EXHAUSTED',
        'LIMIT_REACHED',
        `too many large ${this.what}; try again later`,
        MESSAGE_MS,
      );
    }
    this.bytes += bytes;
    if (peer !== undefined) this.byPeer.set(peer, held);
  }

  give(bytes: number, peer?: Peer): void {
    this.bytes -= bytes;
    if (peer === undefined) return;
    const held = this.heldBy(peer) - bytes;
    if (held > 0) this.byPeer.set(peer, held);
    else this.byPeer.delete(peer);
  }

  private heldBy(peer: Peer | undefined): number {
    return peer === undefined ? 0 : (this.byPeer.get(peer) ?? 0);
  }
}

import type { ZkLoraError } from '../errors.js';
import type { Clock } from './clock.js';
import {
  MAX_CALLS_PER_PEER,
  MAX_CONNECTIONS,
  MAX_CONNECTIONS_PER_PEER,
  MAX_OPEN_CALLS,
  REQUESTS_BURST,
  REQUESTS_PER_SECOND,
  STREAM_IDLE_MS,
} from './limits.js';
import { LOCAL_PEER, type Peer } from './peers.js';
import { refusal } from './refusal.js';
import { TokenBuckets } from './tokenBucket.js';

/** How much a service takes on at a time. */
export interface ServiceLimits {
  readonly connections: number;
  readonly connectionsPerPeer: number;
  /** Calls under way, streams included. */
  readonly calls: number;
  readonly callsPerPeer: number;
  /** New calls, and stages inside of streams. */
  readonly requestsPerSecond: number;
  readonly requestsBurst: number;
  /** Programs on this machine, among them a proxy in front of the service, are under the totals alone. */
  readonly peersOnThisMachine: 'unlimited' | 'limited';
}

export const DEFAULT_LIMITS: ServiceLimits = {
  connections: MAX_CONNECTIONS,
  connectionsPerPeer: MAX_CONNECTIONS_PER_PEER,
  calls: MAX_OPEN_CALLS,
  callsPerPeer: MAX_CALLS_PER_PEER,
  requestsPerSecond: REQUESTS_PER_SECOND,
  requestsBurst: REQUESTS_BURST,
  peersOnThisMachine: 'unlimited',
};

/** Nobody gives way. */
const nobody = (): void => undefined;

/** Counts what is under way, in all and for each peer. */
class Counter {
  private total = 0;
  private readonly byPeer = new Map<Peer, number>();

  constructor(
    private readonly most: number,
    private readonly mostPerPeer: number,
  ) {}

  /**
   * @param makeRoom tried when the total is reached, for a peer that is below its own limit
   * @returns what ends it, to be called any number of times; undefined when a limit is reached
   */
  take(peer: Peer, isLimited: boolean, makeRoom: () => void): (() => void) | undefined {
    if (isLimited && (this.byPeer.get(peer) ?? 0) >= this.mostPerPeer) return undefined;
    if (this.total >= this.most) makeRoom();
    if (this.total >= this.most) return undefined;
    // what gave way may have been of the same peer
    const count = this.byPeer.get(peer) ?? 0;
    this.total += 1;
    this.byPeer.set(peer, count + 1);
    let isTaken = true;
    return () => {
      if (isTaken) this.give(peer);
      isTaken = false;
    };
  }

  private give(peer: Peer): void {
    this.total -= 1;
    const count = this.byPeer.get(peer)! - 1;
    if (count > 0) this.byPeer.set(peer, count);
    else this.byPeer.delete(peer);
  }
}

/** Decides what comes in, before anything is read of it. */
export class Admission {
  private readonly connections: Counter;
  private readonly calls: Counter;
  private readonly requests: TokenBuckets;
  private isEnding = false;

  constructor(
    private readonly limits: ServiceLimits,
    clock: Clock,
  ) {
    this.connections = new Counter(limits.connections, limits.connectionsPerPeer);
    this.calls = new Counter(limits.calls, limits.callsPerPeer);
    const rate = { perSecond: limits.requestsPerSecond, burst: limits.requestsBurst };
    this.requests = new TokenBuckets(rate, () => clock.now());
  }

  /**
   * @param makeRoom has another connection end, if one can
   * @returns what ends the connection's count; undefined when it may not come in
   */
  connection(peer: Peer, makeRoom: () => void = nobody): (() => void) | undefined {
    return this.connections.take(peer, this.isLimited(peer), makeRoom);
  }

  /**
   * A call comes in.
   *
   * @throws ZkLoraError `LIMIT_REACHED`, `SHUTTING_DOWN`
   */
  request(peer: Peer): void {
    if (this.isEnding) throw shuttingDown();
    if (this.isLimited(peer) && !this.requests.tryTake(peer)) {
      throw refusal(
        'RESOURCE_EXHAUSTED',
        'LIMIT_REACHED',
        'too many requests a second; try again later',
        1000,
      );
    }
  }

  /**
   * A call that is let in begins.
   *
   * @param makeRoom has another call end, if one can
   * @returns what ends its count
   * @throws ZkLoraError `LIMIT_REACHED`
   */
  call(peer: Peer, makeRoom: () => void = nobody): () => void {
    const end = this.calls.take(peer, this.isLimited(peer), makeRoom);
    if (end === undefined) {
      throw refusal(
        'RESOURCE_EXHAUSTED',
        'LIMIT_REACHED',
        'too many calls are under way; try again later',
        STREAM_IDLE_MS,
      );
    }
    return end;
  }

  /** A further request on a stream. @returns milliseconds after which it may be taken up */
  delay(peer: Peer): number {
    return this.isLimited(peer) ? this.requests.reserve(peer) : 0;
  }

  /** Whose share of a {@link MemoryBudget} a peer's messages take; undefined for one that is under the totals alone. */
  shareOf(peer: Peer): Peer | undefined {
    return this.isLimited(peer) ? peer : undefined;
  }

  /** From now on no call begins. */
  end(): void {
    this.isEnding = true;
  }

  private isLimited(peer: Peer): boolean {
    return peer !== LOCAL_PEER || this.limits.peersOnThisMachine === 'limited';
  }
}

/** The answer to whoever comes while the service ends. */
export function shuttingDown(): ZkLoraError {
  return refusal('UNAVAILABLE', 'SHUTTING_DOWN', 'the contributor is shutting down; try again later');
}

/** Requests that may come at once, and how fast room for more comes back. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Peers remembered at a time; full buckets are forgotten first. A bucket takes about 100 bytes. */
const MAX_BUCKETS = 65_536;

interface Bucket {
  /** Below 0: the requests that wait. */
  tokens: number;
  /** Milliseconds of the clock. */
  at: number;
}

/** One token bucket for each peer. */
export class TokenBuckets {
  private readonly buckets = new Map<string, Bucket>();

  /** @param now milliseconds, never going back */
  constructor(
    private readonly rate: Rate,
    private readonly now: () => number,
  ) {}

  /** Takes one token, if there is one. */
  tryTake(peer: string): boolean {
    const bucket = this.refill(peer);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  /** Takes one token in any case. @returns milliseconds to wait for it */
  reserve(peer: string): number {
    const bucket = this.refill(peer);
    bucket.tokens -= 1;
    return bucket.tokens >= 0 ? 0 : (-bucket.tokens * 1000) / this.rate.perSecond;
  }

  private refill(peer: string): Bucket {
    const now = this.now();
    let bucket = this.buckets.get(peer);
    if (bucket === undefined) {
      if (this.buckets.size >= MAX_BUCKETS) this.forget(now);
      bucket = { tokens: this.rate.burst, at: now };
      this.buckets.set(peer, bucket);
    }
    bucket.tokens = this.level(bucket, now);
    bucket.at = now;
    return bucket;
  }

  private level({ tokens, at }: Bucket, now: number): number {
    return Math.min(this.rate.burst, tokens + ((now - at) * this.rate.perSecond) / 1000);
  }

  /** Those that are full again; where none is, all: one who can send from so many addresses is not held by this. */
  private forget(now: number): void {
    for (const [peer, bucket] of this.buckets) {
      if (this.level(bucket, now) >= this.rate.burst) this.buckets.delete(peer);
    }
    if (this.buckets.size >= MAX_BUCKETS) this.buckets.clear();
  }
}

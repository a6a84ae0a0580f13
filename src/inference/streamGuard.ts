import type { ServerHttp2Stream } from 'node:http2';
import { constants } from 'node:http2';
import type { Clock } from './clock.js';
import { MESSAGE_MS, STREAM_IDLE_MS } from './limits.js';
import type { MemoryBudget } from './memoryBudget.js';
import { MessageGuard } from './messageGuard.js';
import type { MethodLimits } from './methodLimits.js';
import type { Peer } from './peers.js';
import { refusal } from './refusal.js';

export interface StreamGuardOptions {
  readonly stream: ServerHttp2Stream;
  readonly memory: MemoryBudget;
  /** Whose share of the memory its messages take, if it has one. */
  readonly peer: Peer | undefined;
  readonly limits: MethodLimits;
  /** Answers that were given to the stream so far. */
  readonly answers: () => number;
  readonly clock: Clock;
  /** Ends the call with a status. */
  readonly refuse: (error: unknown) => void;
}

/** Watches one stream: the messages that arrive, and how long the other side takes. */
export class StreamGuard {
  private readonly messages: MessageGuard;
  /** When a request was last whole, or the stream began. */
  private lastRequest: number;
  private whole = 0;
  /** When the message that is arriving began. */
  private messageBegan: number;
  /** When the last answer was given to the stream, or nothing waited to be taken. */
  private unsentSince: number;
  private lastAnswer: number;

  constructor(private readonly options: StreamGuardOptions) {
    const { stream, memory, peer, limits, clock } = options;
    this.messages = new MessageGuard(memory, limits.bytes, peer);
    this.lastRequest = clock.now();
    this.messageBegan = this.lastRequest;
    this.unsentSince = this.lastRequest;
    this.lastAnswer = this.lastRequest;
    // ahead of the library's own listener, which puts messages together
    stream.prependListener('data', (data: Buffer) => this.take(data));
  }

  /** Requests that have come in whole. */
  get requests(): number {
    return this.whole;
  }

  /** Ends a stream whose other side is too slow. */
  sweep(): void {
    const { stream, clock, refuse } = this.options;
    const now = clock.now();
    if (this.isStalled(now)) {
      // An answer is stuck in the stream already: a status would be stuck behind it.
      stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      return;
    }
    const isArriving = this.messages.isInMessage || this.whole === 0;
    const since = isArriving ? this.messageBegan : this.lastRequest;
    if (!stream.readableEnded && now - since > (isArriving ? MESSAGE_MS : STREAM_IDLE_MS)) {
      refuse(
        refusal('RESOURCE_EXHAUSTED', 'LIMIT_REACHED', 'the stream was idle for too long; open another'),
      );
    }
  }

  /** An answer was given to the stream: gives back the memory of its request. */
  answered(): void {
    this.messages.answered();
    this.lastAnswer = this.options.clock.now();
    this.unsentSince = this.lastAnswer;
  }

  /** Since when the stream waits for its next request; undefined before the first, and while one arrives or its answer is taken. */
  get waitingSince(): number | undefined {
    const { answers, stream } = this.options;
    const isWaiting =
      this.whole > 0 && this.whole <= answers() && !this.messages.isInMessage && stream.writableLength === 0;
    return isWaiting ? Math.max(this.lastRequest, this.lastAnswer) : undefined;
  }

  /** Gives back the memory of all messages. */
  release(): void {
    this.messages.release();
  }

  private take(data: Buffer): void {
    const now = this.options.clock.now();
    if (!this.messages.isInMessage) this.messageBegan = now;
    try {
      const whole = this.messages.take(data);
      if (whole === 0) return;
      this.whole += whole;
      this.lastRequest = now;
      this.messageBegan = now;
      const { answers, limits } = this.options;
      if (this.whole - answers() > limits.unanswered) {
        throw refusal(
          'RESOURCE_EXHAUSTED',
          'LIMIT_REACHED',
          `a stream of this method has at most ${limits.unanswered} requests without an answer`,
        );
      }
    } catch (error) {
      this.messages.release();
      this.options.refuse(error);
    }
  }

  /** Whether an answer was not taken to its end in {@link MESSAGE_MS}, however slowly it is being taken. */
  private isStalled(now: number): boolean {
    if (this.options.stream.writableLength === 0) this.unsentSince = now;
    return now - this.unsentSince > MESSAGE_MS;
  }
}

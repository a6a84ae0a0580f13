import type { ServerHttp2Stream } from 'node:http2';
import { constants } from 'node:http2';
import type { Clock } from './clock.js';
import { MESSAGE_MS, STREAM_IDLE_MS } from './limits.js';
import type { MemoryBudget } from './memoryBudget.js';
import { MessageGuard } from './messageGuard.js';
import type { MethodLimits } from './methodLimits.js';
import { refusal } from './refusal.js';

export interface StreamGuardOptions {
  readonly stream: ServerHttp2Stream;
  readonly memory: MemoryBudget;
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
  /** Bytes that wait to be taken, and since when there are no fewer. */
  private unsent = 0;
  private unsentSince: number;

  constructor(private readonly options: StreamGuardOptions) {
    const { stream, memory, limits, clock } = options;
    this.messages = new MessageGuard(memory, limits.bytes);
    this.lastRequest = clock.now();
    this.messageBegan = this.lastRequest;
    this.unsentSince = this.lastRequest;
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

  /** Gives back the memory of the request that was answered. */
  answered(): void {
    this.messages.answered();
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

  /** Whether an answer waits, and nothing of it was taken, for {@link MESSAGE_MS}. */
  private isStalled(now: number): boolean {
    const unsent = this.options.stream.writableLength;
    if (this.unsent === 0 || unsent < this.unsent) this.unsentSince = now;
    this.unsent = unsent;
    return unsent > 0 && now - this.unsentSince > MESSAGE_MS;
  }
}

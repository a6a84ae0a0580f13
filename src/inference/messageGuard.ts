import { MAX_FRAMES_BASE, MAX_MESSAGE_BYTES, MIN_FRAME_BYTES } from './limits.js';
import type { MemoryBudget } from './memoryBudget.js';
import type { Peer } from './peers.js';
import { refusal } from './refusal.js';

/** A flag and the length, big-endian, before each message of gRPC. */
const PREFIX_BYTES = 5;

/**
 * Follows the framing of one stream's messages, ahead of the library that puts them together, and refuses what
 * would cost more than its bytes: messages beyond the limit at their first five bytes, compressed ones (a small one
 * may unpack to the limit), and those in tiny pieces, each of which takes an object of its own.
 */
export class MessageGuard {
  private readonly prefix = new Uint8Array(PREFIX_BYTES);
  private inPrefix = 0;
  private remaining = 0;
  /** Bytes that are counted of the message that is arriving. */
  private held = 0;
  /** Bytes of the messages that are whole and not answered, oldest first. */
  private readonly waiting: number[] = [];
  private pieces = 0;
  private received = 0;

  /**
   * @param memory for messages that have begun to arrive and are not answered, in all streams
   * @param maxBytes of one message of the method
   * @param peer whose share of the memory they take, if it has one
   */
  constructor(
    private readonly memory: MemoryBudget,
    private readonly maxBytes: number = MAX_MESSAGE_BYTES,
    private readonly peer?: Peer,
  ) {}

  /** Whether a message has begun and is not whole. */
  get isInMessage(): boolean {
    return this.remaining > 0 || this.inPrefix > 0;
  }

  /**
   * @returns number of messages that became whole
   * @throws ZkLoraError `LIMIT_REACHED`, `SESSION_MALFORMED`
   */
  take(data: Uint8Array): number {
    let whole = 0;
    this.pieces += 1;
    this.received += data.length;
    if (this.pieces > MAX_FRAMES_BASE + this.received / MIN_FRAME_BYTES) {
      throw refusal('RESOURCE_EXHAUSTED', 'LIMIT_REACHED', 'messages come in too many pieces');
    }
    for (let at = 0; at < data.length; ) {
      if (this.remaining === 0) {
        this.prefix[this.inPrefix] = data[at]!;
        this.inPrefix += 1;
        at += 1;
        if (this.inPrefix < PREFIX_BYTES) continue;
        this.inPrefix = 0;
        this.remaining = this.declared();
        if (this.remaining > 0) continue;
      } else {
        const part = Math.min(this.remaining, data.length - at);
        this.memory.take(part, this.peer);
        this.held += part;
        this.remaining -= part;
        at += part;
        if (this.remaining > 0) continue;
      }
      this.waiting.push(this.held);
      this.held = 0;
      whole += 1;
      this.pieces = 1;
      this.received = 0;
    }
    return whole;
  }

  /** Gives back what the oldest whole message holds. */
  answered(): void {
    this.memory.give(this.waiting.shift() ?? 0, this.peer);
  }

  /** Gives back what all messages hold. */
  release(): void {
    this.memory.give(
      this.waiting.splice(0).reduce((sum, bytes) => sum + bytes, this.held),
      this.peer,
    );
    this.held = 0;
  }

  private declared(): number {
    if (this.prefix[0] !== 0) {
      throw refusal('INVALID_ARGUMENT', 'SESSION_MALFORMED', 'compressed messages are not taken');
    }
    const bytes = new DataView(this.prefix.buffer).getUint32(1);
    if (bytes > this.maxBytes) {
      throw refusal(
        'RESOURCE_EXHAUSTED',
        'LIMIT_REACHED',
        `a message of this method has at most ${this.maxBytes} bytes`,
      );
    }
    return bytes;
  }
}

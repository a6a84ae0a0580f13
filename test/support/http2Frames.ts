import { connect, type Socket } from 'node:net';

/** HTTP/2 by hand (RFC 9113), for what no well-behaved library would send. */

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
} as const;
export const FLAG = { endStream: 1, ack: 1, endHeaders: 4 } as const;
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

const HEADER_BYTES = 9;
/** Bytes kept of what a server sends. */
const MAX_RECEIVED = 2 ** 26;

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(HEADER_BYTES);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream >>> 0, 5);
  return Buffer.concat([head, payload]);
}

/** Settings as pairs of identifier and value. */
export function settings(...pairs: readonly (readonly [number, number])[]): Buffer {
  const payload = Buffer.alloc(6 * pairs.length);
  for (const [i, [id, value]] of pairs.entries()) {
    payload.writeUInt16BE(id, 6 * i);
    payload.writeUInt32BE(value >>> 0, 6 * i + 2);
  }
  return frame(FRAME.settings, 0, 0, payload);
}

export function windowUpdate(stream: number, bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return frame(FRAME.window, 0, stream, payload);
}

export function reset(stream: number, code = 8): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(code);
  return frame(FRAME.reset, 0, stream, payload);
}

/** Header block without compression: literals that are not indexed (RFC 7541, 6.2.2). */
export function headerBlock(headers: readonly (readonly [string, string])[]): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of headers) {
    parts.push(Buffer.of(0), hpackString(name), hpackString(value));
  }
  return Buffer.concat(parts);
}

function hpackString(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  const head: number[] = [];
  if (bytes.length < 127) head.push(bytes.length);
  else {
    head.push(127);
    let rest = bytes.length - 127;
    for (; rest >= 128; rest = Math.floor(rest / 128)) head.push((rest % 128) + 128);
    head.push(rest);
  }
  return Buffer.concat([Buffer.from(head), bytes]);
}

/** HEADERS of a gRPC call. */
export function call(
  stream: number,
  path: string,
  metadata: readonly (readonly [string, string])[] = [],
): Buffer {
  const block = headerBlock([
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'localhost'],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
    ...metadata,
  ]);
  return frame(FRAME.headers, FLAG.endHeaders, stream, block);
}

/** A gRPC message with its prefix; the prefix may lie. */
export function grpcMessage(bytes: Uint8Array, declared = bytes.length, compressed = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(compressed, 0);
  prefix.writeUInt32BE(declared >>> 0, 1);
  return Buffer.concat([prefix, bytes]);
}

/** DATA frames of at most `size` bytes. */
export function data(
  stream: number,
  bytes: Uint8Array,
  options: { end?: boolean; size?: number } = {},
): Buffer {
  const { end = false, size = 16_384 } = options;
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length || frames.length === 0; at += size) {
    const isLast = at + size >= bytes.length;
    frames.push(frame(FRAME.data, isLast && end ? FLAG.endStream : 0, stream, bytes.subarray(at, at + size)));
  }
  return Buffer.concat(frames);
}

export interface ReceivedFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** A connection on which anything can be sent. */
export class RawConnection {
  readonly frames: ReceivedFrame[] = [];
  readonly closed: Promise<void>;
  private rest = Buffer.alloc(0);
  private kept = 0;
  private onFrame: () => void = () => undefined;

  private constructor(readonly socket: Socket) {
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => undefined);
    socket.on('close', () => this.onFrame());
    socket.on('data', (part: Buffer) => this.receive(part));
  }

  static open(port: number, host = '127.0.0.1'): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host }, () => resolve(new RawConnection(socket)));
      socket.once('error', reject);
    });
  }

  /** With preface and settings. */
  static async http2(port: number, ...pairs: readonly (readonly [number, number])[]): Promise<RawConnection> {
    const connection = await RawConnection.open(port);
    connection.send(PREFACE, settings(...pairs));
    return connection;
  }

  send(...parts: readonly Uint8Array[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(parts));
  }

  /** The first frame that fits, of those that came and those to come; undefined when the connection ends before. */
  async find(fits: (frame: ReceivedFrame) => boolean): Promise<ReceivedFrame | undefined> {
    for (;;) {
      const found = this.frames.find(fits);
      if (found !== undefined || this.socket.destroyed) return found;
      await new Promise<void>((resolve) => {
        this.onFrame = resolve;
      });
    }
  }

  /** Waits until the server has worked off what was sent: it answers a ping after that. */
  async settled(): Promise<void> {
    const payload = Buffer.alloc(8);
    payload.writeUInt32BE(this.frames.length + 1, 0);
    payload.writeUInt32BE(this.kept, 4);
    this.send(frame(FRAME.ping, 0, 0, payload));
    await this.find(
      ({ type, flags, payload: got }) => type === FRAME.ping && flags === 1 && got.equals(payload),
    );
  }

  destroy(): void {
    this.socket.destroy();
  }

  private receive(part: Buffer): void {
    this.kept += part.length;
    if (this.kept > MAX_RECEIVED) this.socket.destroy();
    this.rest = Buffer.concat([this.rest, part]);
    while (this.rest.length >= HEADER_BYTES) {
      const length = this.rest.readUIntBE(0, 3);
      if (this.rest.length < HEADER_BYTES + length) break;
      const received = {
        type: this.rest[3]!,
        flags: this.rest[4]!,
        stream: this.rest.readUInt32BE(5) & 0x7fffffff,
        payload: Buffer.from(this.rest.subarray(HEADER_BYTES, HEADER_BYTES + length)),
      };
      this.rest = this.rest.subarray(HEADER_BYTES + length);
      this.frames.push(received);
      if (received.type === FRAME.settings && received.flags === 0)
        this.send(frame(FRAME.settings, FLAG.ack, 0));
      if (received.type === FRAME.ping && received.flags === 0) {
        this.send(frame(FRAME.ping, FLAG.ack, 0, received.payload));
      }
    }
    this.onFrame();
  }
}

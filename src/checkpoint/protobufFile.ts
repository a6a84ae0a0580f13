import { ZkLoraError } from '../errors.js';
import { type OpenFile, readExactly } from './confined.js';

/** One field of a message in a file. */
export interface WireField {
  readonly number: number;
  /** 0: varint, 1: 8 bytes, 2: length-delimited, 5: 4 bytes. */
  readonly wireType: number;
  /** Value of a varint; 0 for the other wire types. */
  readonly value: number;
  /** Bytes of the body: of the payload of a length-delimited field, or the 4 or 8 bytes. */
  readonly begin: number;
  readonly end: number;
}

const WINDOW_BYTES = 64 * 1024;
const MAX_VARINT_BYTES = 10;

/** Reads protobuf fields of a file at positions, through one small window: memory stays constant. */
export class ProtobufFile {
  readonly #file: OpenFile;
  readonly #window = new Uint8Array(WINDOW_BYTES);
  #windowBegin = 0;
  #windowEnd = 0;

  constructor(file: OpenFile) {
    this.#file = file;
  }

  /** Fields of the message in a byte range, in order. @throws ZkLoraError `ONNX_MALFORMED` */
  async *fields(begin: number, end: number): AsyncGenerator<WireField> {
    let at = begin;
    while (at < end) {
      const tag = await this.#varint(at, end);
      const number = Math.floor(tag.value / 8);
      const wireType = tag.value % 8;
      if (number === 0) throw broken();
      at = tag.next;
      if (wireType === 0) {
        const { value, next } = await this.#varint(at, end);
        yield { number, wireType, value, begin: at, end: next };
        at = next;
        continue;
      }
      let length: number;
      if (wireType === 2) {
        const { value, next } = await this.#varint(at, end);
        length = value;
        at = next;
      } else if (wireType === 1) length = 8;
      else if (wireType === 5) length = 4;
      else throw broken();
      if (length > end - at) throw broken();
      yield { number, wireType, value: 0, begin: at, end: at + length };
      at += length;
    }
  }

  /** Bytes of a range of at most `maxBytes`. @throws ZkLoraError `ONNX_MALFORMED` */
  async bytes(begin: number, end: number, maxBytes: number, what: string): Promise<Uint8Array> {
    if (end - begin > maxBytes) {
      throw new ZkLoraError(
        'ONNX_MALFORMED',
        `${what} is longer than ${maxBytes} bytes; export the model again with raw tensor data`,
      );
    }
    const bytes = new Uint8Array(end - begin);
    await readExactly(this.#file, bytes, begin);
    return bytes;
  }

  /** Exact below 2^53; larger values (negative int64 among them) come out as some number of at least 2^53. */
  async #varint(at: number, end: number): Promise<{ value: number; next: number }> {
    let value = 0;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      if (at + i >= end) throw broken();
      const byte = await this.#byte(at + i);
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return { value, next: at + i + 1 };
    }
    throw broken();
  }

  async #byte(at: number): Promise<number> {
    if (at < this.#windowBegin || at >= this.#windowEnd) {
      const length = Math.min(WINDOW_BYTES, this.#file.size - at);
      await readExactly(this.#file, this.#window.subarray(0, length), at);
      this.#windowBegin = at;
      this.#windowEnd = at + length;
    }
    return this.#window[at - this.#windowBegin]!;
  }
}

function broken(): ZkLoraError {
  return new ZkLoraError('ONNX_MALFORMED', 'the model file is not a whole protobuf message; export it again');
}

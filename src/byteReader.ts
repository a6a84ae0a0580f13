/** Reads a buffer from start to end; integers are little-endian, as in all files of snarkjs. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #refuse: (reason: string) => Error;
  #at = 0;

  /** @param refuse makes the error that is thrown when the buffer ends too early or too late */
  constructor(bytes: Uint8Array, refuse: (reason: string) => Error) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#refuse = refuse;
  }

  /** A copy of the next bytes. */
  take(length: number): Uint8Array {
    return new Uint8Array(this.#bytes.subarray(this.#advance(length), this.#at));
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  /** A reader of the next `length` bytes, which this one skips. */
  part(length: number): ByteReader {
    return new ByteReader(this.#bytes.subarray(this.#advance(length), this.#at), this.#refuse);
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  expectEnd(): void {
    if (!this.atEnd) throw this.#refuse('bytes follow its last item');
  }

  #advance(length: number): number {
    const start = this.#at;
    if (length > this.#bytes.length - start) throw this.#refuse('it ends too early');
    this.#at += length;
    return start;
  }
}

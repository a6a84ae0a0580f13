import { ascii, bytes32, concatBytes, int, sha256, u32 } from './bytes.js';
import { mod } from './field.js';

/** docs/protocol.md section 6, "Transcript". */
export class Transcript {
  #state: Uint8Array;

  /** state = H(00 | label). */
  constructor(label: string) {
    this.#state = sha256(concatBytes(Uint8Array.of(0), ascii(label)));
  }

  /** state = H(01 | state | u8 len(label) | label | u32 len(data) | data). */
  absorb(label: string, data: Uint8Array): void {
    this.#state = sha256(concatBytes(Uint8Array.of(1), this.#state, named(label), u32(data.length), data));
  }

  /** Absorbs a scalar as 32 big-endian bytes. */
  absorbScalar(label: string, value: bigint): void {
    this.absorb(label, bytes32(value));
  }

  /** The next challenge, drawn again while `refused` says so. */
  challenge(label: string, refused: (value: bigint) => boolean = () => false): bigint {
    for (;;) {
      const front = concatBytes(Uint8Array.of(2), this.#state, named(label));
      const halves = [0, 1].map((i) => sha256(concatBytes(front, Uint8Array.of(i))));
      this.#state = sha256(concatBytes(Uint8Array.of(3), this.#state, named(label)));
      const value = mod(int(concatBytes(...halves)));
      if (!refused(value)) return value;
    }
  }
}

function named(label: string): Uint8Array {
  return concatBytes(Uint8Array.of(label.length), ascii(label));
}

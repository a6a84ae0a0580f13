import { encodeG1Compressed, encodeScalar, type G1Point, scalarFromWideBytes } from '../algebra/index.js';
import { concatBytes, u32, utf8ToBytes } from '../bytes.js';
import { sha256Of } from '../sha256.js';

// First byte of every hash: what is being hashed.
const INIT = 0;
const ABSORB = 1;
const SQUEEZE = 2;
const ADVANCE = 3;

/**
 * Fiat-Shamir transcript over SHA-256. docs/protocol.md, "Transcript".
 *
 * state_0 = H(00 | label); absorb: state = H(01 | state | len8(label) | label | len32(data) | data);
 * challenge: H(02 | state | len8(label) | label | 00) | H(02 | ... | 01) as a big-endian integer mod R, then
 * state = H(03 | state | len8(label) | label).
 */
export class Transcript {
  #state: Uint8Array;

  constructor(protocol: string) {
    this.#state = sha256Of(concatBytes(Uint8Array.of(INIT), utf8ToBytes(protocol)));
  }

  /** Absorbs labelled bytes. */
  absorb(label: string, data: Uint8Array): void {
    this.#state = sha256Of(concatBytes(this.#frame(ABSORB, label), u32(data.length), data));
  }

  /** Absorbs a point, compressed. */
  absorbPoint(label: string, point: G1Point): void {
    this.absorb(label, encodeG1Compressed(point));
  }

  /** Absorbs a scalar as 32 bytes, big-endian. */
  absorbScalar(label: string, scalar: bigint): void {
    this.absorb(label, encodeScalar(scalar));
  }

  /** Draws a scalar that depends on everything absorbed and drawn so far. */
  challenge(label: string): bigint {
    const frame = this.#frame(SQUEEZE, label);
    const wide = [0, 1].map((half) => sha256Of(concatBytes(frame, Uint8Array.of(half))));
    this.#state = sha256Of(this.#frame(ADVANCE, label));
    return scalarFromWideBytes(concatBytes(...wide));
  }

  /** Draws a scalar that passes the test, drawing again (from the advanced state) until one does. */
  challengeWhere(label: string, accept: (scalar: bigint) => boolean): bigint {
    for (;;) {
      const scalar = this.challenge(label);
      if (accept(scalar)) return scalar;
    }
  }

  /** Draws a non-zero scalar. */
  nonZeroChallenge(label: string): bigint {
    return this.challengeWhere(label, (scalar) => scalar !== 0n);
  }

  #frame(kind: number, label: string): Uint8Array {
    const bytes = utf8ToBytes(label);
    return concatBytes(Uint8Array.of(kind), this.#state, Uint8Array.of(bytes.length), bytes);
  }
}

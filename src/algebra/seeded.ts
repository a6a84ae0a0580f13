import { ChaCha } from 'ffjavascript';
import type { RandomStream } from './curve.js';
import type { Engine } from './engine.js';
import type { G1Point, G2Point } from './points.js';

/** Words of a hash that make the seed. */
const SEED_WORDS = 8;

/**
 * Scalars and points derived from a hash in the way of snarkjs, whose ceremony files are checked with them:
 * ChaCha20, keyed with the first 32 bytes read as big-endian words, and rejection sampling.
 *
 * Nobody knows discrete logarithms of the points. Not constant-time: for public hashes.
 */
export class SeededStream {
  readonly #engine: Engine;
  readonly #stream: RandomStream;

  /** @param hash at least 32 bytes */
  constructor(engine: Engine, hash: Uint8Array) {
    const view = new DataView(hash.buffer, hash.byteOffset, hash.byteLength);
    this.#engine = engine;
    this.#stream = new ChaCha(Array.from({ length: SEED_WORDS }, (_, i) => view.getUint32(4 * i)));
  }

  scalar(): bigint {
    const { Fr } = this.#engine.curve;
    return Fr.toObject(Fr.fromRng(this.#stream));
  }

  g1(): G1Point {
    const { G1 } = this.#engine.curve;
    return G1.toAffine(G1.fromRng(this.#stream)) as G1Point;
  }

  g2(): G2Point {
    const { G2 } = this.#engine.curve;
    return G2.toAffine(G2.fromRng(this.#stream)) as G2Point;
  }
}

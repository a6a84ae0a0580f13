import {
  type Engine,
  type FieldVector,
  Fr,
  G1_BYTES,
  type G1Sum,
  type G2Point,
  type PairingProduct,
  vectorToScalars,
} from '../algebra/index.js';
import type { PairingTerms } from './sumVerify.js';

interface Terms {
  readonly bases: G1Sum[];
  readonly scalars: bigint[];
  /** Index in `bases` by buffer, then by offset. */
  readonly places: Map<ArrayBufferLike, Map<number, number>>;
}

/**
 * Terms of a pairing product in which points that several proofs share (rows of one adapter, points of one
 * verification key) stand once, with the sum of their scalars.
 *
 * Points are the same when they are the same memory; it must not change before {@link MergedTerms.addTo}.
 */
export class MergedTerms implements PairingTerms {
  readonly #terms = new Map<G2Point, Terms>();
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  add(g2: G2Point, scalar: bigint, point: G1Sum): void {
    let terms = this.#terms.get(g2);
    if (!terms) {
      terms = { bases: [], scalars: [], places: new Map() };
      this.#terms.set(g2, terms);
    }
    let offsets = terms.places.get(point.buffer);
    if (!offsets) {
      offsets = new Map();
      terms.places.set(point.buffer, offsets);
    }
    const place = offsets.get(point.byteOffset);
    if (place === undefined) {
      offsets.set(point.byteOffset, terms.bases.length);
      terms.bases.push(point);
      terms.scalars.push(Fr.create(scalar));
    } else {
      terms.scalars[place] = Fr.add(terms.scalars[place]!, Fr.create(scalar));
    }
  }

  addMany(g2: G2Point, scalars: FieldVector, bases: Uint8Array): void {
    vectorToScalars(this.#engine, scalars).forEach((scalar, i) => {
      this.add(g2, scalar, bases.subarray(i * G1_BYTES, (i + 1) * G1_BYTES));
    });
  }

  /** Adds everything to a product. */
  addTo(product: PairingProduct): void {
    for (const [g2, { bases, scalars }] of this.#terms) {
      bases.forEach((base, i) => {
        product.add(g2, scalars[i]!, base);
      });
    }
  }
}

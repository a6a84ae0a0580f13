import { randomBytes } from '@noble/hashes/utils.js';
import type { Engine } from './engine.js';
import { Fr } from './scalar.js';

/**
 * A vector over F: 32 bytes an element, Montgomery form, little-endian (ffjavascript's own).
 *
 * Only this folder interprets the bytes.
 */
export type FieldVector = Uint8Array;

const SIZE = 32;

/** Number of elements. */
export function vectorLength(vector: FieldVector): number {
  return vector.byteLength / SIZE;
}

/** `count` elements of `vector` from element `from`, without copying. */
export function subVector(vector: FieldVector, from: number, count: number): FieldVector {
  return vector.subarray(from * SIZE, (from + count) * SIZE);
}

/** A longer vector of zeros with `vector` at element `offset`. */
export function padVector(vector: FieldVector, offset: number, length: number): FieldVector {
  const out = zeroVector(length);
  out.set(vector, offset * SIZE);
  return out;
}

/** Overwrites elements of `target` from element `offset` on. */
export function placeVector(target: FieldVector, vector: FieldVector, offset: number): void {
  target.set(vector, offset * SIZE);
}

/** The zero vector. */
export function zeroVector(length: number): FieldVector {
  return new Uint8Array(length * SIZE);
}

/** Montgomery form of integers given as 32 bytes each, little-endian, any value below 2^256. */
export function vectorFromBytes(engine: Engine, bytes: Uint8Array): FieldVector {
  return engine.sync(({ call, put, get }) => {
    const address = put(bytes);
    call.frm_batchToMontgomery!(address, bytes.byteLength / SIZE, address);
    return get(address, bytes.byteLength);
  });
}

/** Canonical integers, 32 bytes each, little-endian: the scalar form that multi-scalar multiplication takes. */
export function vectorToBytes(engine: Engine, vector: FieldVector): Uint8Array {
  return engine.sync(({ call, put, get }) => {
    const address = put(vector);
    call.frm_batchFromMontgomery!(address, vectorLength(vector), address);
    return get(address, vector.byteLength);
  });
}

const WORD_MASK = 2n ** 64n - 1n;

/** Vector of the given scalars, in [0, 2^256). */
export function vectorFromScalars(engine: Engine, scalars: readonly bigint[]): FieldVector {
  const view = new DataView(new ArrayBuffer(scalars.length * SIZE));
  scalars.forEach((scalar, i) => {
    let rest = scalar;
    for (let word = 0; word < 4; word++) {
      view.setBigUint64(i * SIZE + word * 8, rest & WORD_MASK, true);
      rest >>= 64n;
    }
  });
  return vectorFromBytes(engine, new Uint8Array(view.buffer));
}

/** Fills of the operating system's randomness are limited to 64 KiB. */
const RANDOM_CHUNK = 2 ** 10;

/** Uniform elements from the operating system's randomness (512 bits reduced: bias below 2^-256). */
export function randomVector(engine: Engine, length: number): FieldVector {
  const halves = [new Uint8Array(length * SIZE), new Uint8Array(length * SIZE)] as const;
  for (const half of halves) {
    for (let from = 0; from < half.length; from += RANDOM_CHUNK * SIZE) {
      const chunk = half.subarray(from, from + RANDOM_CHUNK * SIZE);
      chunk.set(randomBytes(chunk.length));
    }
  }
  const [low, high] = halves.map((half) => vectorFromBytes(engine, half)) as [FieldVector, FieldVector];
  return addScaled(engine, low, high, Fr.create(2n ** 256n));
}

/** The elements as bigints below R. */
export function vectorToScalars(engine: Engine, vector: FieldVector): bigint[] {
  const view = new DataView(vectorToBytes(engine, vector).buffer);
  const scalars: bigint[] = [];
  for (let at = 0; at < view.byteLength; at += SIZE) {
    let value = 0n;
    for (let word = 3; word >= 0; word--) value = (value << 64n) | view.getBigUint64(at + word * 8, true);
    scalars.push(value);
  }
  return scalars;
}

/** `(first, first*base, first*base^2, ...)`. */
export function powersVector(engine: Engine, base: bigint, length: number, first = 1n): FieldVector {
  return engine.sync(({ call, put, alloc, get }) => {
    const start = put(vectorFromScalars(engine, [first, base]));
    const out = alloc(length * SIZE);
    call.zk_powers!(start, start + SIZE, length, out);
    return get(out, length * SIZE);
  });
}

/** `length` times the same element. */
export function constantVector(engine: Engine, scalar: bigint, length: number): FieldVector {
  const vector = zeroVector(length);
  if (length > 0) vector.set(vectorFromScalars(engine, [scalar]));
  // what is filled, once more behind itself
  for (let filled = SIZE; filled < vector.byteLength; filled *= 2) vector.copyWithin(filled, 0, filled);
  return vector;
}

type Elementwise = 'zk_mul' | 'zk_add' | 'zk_sub';

function elementwise(engine: Engine, kernel: Elementwise, a: FieldVector, b: FieldVector): FieldVector {
  return engine.sync(({ call, put, get }) => {
    const pa = put(a);
    call[kernel]!(pa, put(b), vectorLength(a), pa);
    return get(pa, a.byteLength);
  });
}

/** Element-wise product. */
export function mulVectors(engine: Engine, a: FieldVector, b: FieldVector): FieldVector {
  return elementwise(engine, 'zk_mul', a, b);
}

/** Element-wise sum. */
export function addVectors(engine: Engine, a: FieldVector, b: FieldVector): FieldVector {
  return elementwise(engine, 'zk_add', a, b);
}

/** Element-wise difference. */
export function subVectors(engine: Engine, a: FieldVector, b: FieldVector): FieldVector {
  return elementwise(engine, 'zk_sub', a, b);
}

/** Every element times one scalar. */
export function scaleVector(engine: Engine, a: FieldVector, scalar: bigint): FieldVector {
  return engine.sync(({ call, put, get }) => {
    const pa = put(a);
    call.zk_scale!(pa, put(vectorFromScalars(engine, [scalar])), vectorLength(a), pa);
    return get(pa, a.byteLength);
  });
}

/** `sum + scalar * a`. */
export function addScaled(engine: Engine, sum: FieldVector, a: FieldVector, scalar: bigint): FieldVector {
  return engine.sync(({ call, put, get }) => {
    const out = put(sum);
    call.zk_addScaled!(put(a), put(vectorFromScalars(engine, [scalar])), vectorLength(a), out);
    return get(out, sum.byteLength);
  });
}

/** Inner product. */
export function dotVectors(engine: Engine, a: FieldVector, b: FieldVector): bigint {
  const product = engine.sync(({ call, put, alloc, get }) => {
    const out = alloc(SIZE);
    call.zk_dot!(put(a), put(b), vectorLength(a), out);
    return get(out, SIZE);
  });
  return vectorToScalars(engine, product)[0]!;
}

/** Exclusive running sums `(0, a0, a0+a1, ...)` and the total. */
export function prefixSums(engine: Engine, a: FieldVector): { sums: FieldVector; total: bigint } {
  const { sums, last } = engine.sync(({ call, put, alloc, get }) => {
    const pa = put(a);
    const total = alloc(SIZE);
    const out = alloc(a.byteLength);
    call.zk_prefixSum!(pa, total, vectorLength(a), out);
    return { sums: get(out, a.byteLength), last: get(total, SIZE) };
  });
  return { sums, total: vectorToScalars(engine, last)[0]! };
}

/** Element-wise inverse; zero stays zero. */
export function invertVector(engine: Engine, a: FieldVector): FieldVector {
  return engine.sync(({ call, put, get }) => {
    const pa = put(a);
    call.frm_batchInverse!(pa, SIZE, vectorLength(a), pa, SIZE);
    return get(pa, a.byteLength);
  });
}

/**
 * Quotient and remainder of a polynomial (coefficients, lowest first) by (X - z).
 *
 * The quotient has as many elements as `a`, the last one zero.
 */
export function divideByLinear(
  engine: Engine,
  a: FieldVector,
  z: bigint,
): { quotient: FieldVector; remainder: bigint } {
  const { quotient, carry } = engine.sync(({ call, put, alloc, get }) => {
    const point = put(vectorFromScalars(engine, [0n, z]));
    const out = alloc(a.byteLength);
    call.zk_divideLinear!(put(a), point, point + SIZE, vectorLength(a), out);
    return { quotient: get(out, a.byteLength), carry: get(point, SIZE) };
  });
  return { quotient, remainder: vectorToScalars(engine, carry)[0]! };
}

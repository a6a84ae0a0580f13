import { bn254 } from '@noble/curves/bn254.js';
import { bytesToNumberBE, numberToBytesBE } from '@noble/curves/utils.js';
import { concatBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { isBelow, LARGE_BYTES, Q_BYTES } from './coordinates.js';
import type { Engine } from './engine.js';
import { runningEngine } from './running.js';
import { Q, R, SCALAR_BYTES } from './scalar.js';

/** Affine G1 point that passed every check: x | y, Montgomery, little-endian, 64 bytes (ffjavascript's form). */
export type G1Point = Uint8Array & { readonly __group: 'G1' };

/** Affine G2 point that passed every check, 128 bytes in ffjavascript's form. */
export type G2Point = Uint8Array & { readonly __group: 'G2' };

export const G1_BYTES = 64;
export const G2_BYTES = 128;

/** The two source groups of the pairing. */
export type GroupName = 'G1' | 'G2';

/** Bytes of an affine point in ffjavascript's form. */
export const POINT_BYTES: Readonly<Record<GroupName, number>> = { G1: G1_BYTES, G2: G2_BYTES };

export const G1_COMPRESSED_BYTES = 32;
export const G2_COMPRESSED_BYTES = 64;

/** Jacobian points in ffjavascript's form. */
export const G1_JACOBIAN_BYTES = 96;
export const G2_JACOBIAN_BYTES = 192;

const FIELD_BYTES = 32;

// Top two bits of a compressed point: 10 the smaller y, 11 the larger one. 00 and 01 are never valid.
const FLAG_MASK = 0xc0;
const FLAG_SMALL_Y = 0x80;
const FLAG_LARGE_Y = 0xc0;

const { Fp, Fp2 } = bn254.fields;
type Fp2Element = ReturnType<typeof Fp2.create>;

/** 2^256 mod Q: one in Montgomery form. */
const MONTGOMERY_ONE = 2n ** 256n % Q;
const MONTGOMERY_INVERSE = Fp.inv(MONTGOMERY_ONE);

function invalid(reason: string, cause?: unknown): ZkLoraError {
  return new ZkLoraError('POINT_INVALID', `point refused: ${reason}`, cause === undefined ? {} : { cause });
}

function toMontgomery(value: bigint): Uint8Array {
  return numberToBytesBE(Fp.mul(value, MONTGOMERY_ONE), FIELD_BYTES).reverse();
}

function fromMontgomery(point: Uint8Array, index: number): bigint {
  // new Uint8Array copies; slice() of a Buffer would be a view
  const bytes = new Uint8Array(point.subarray(index * FIELD_BYTES, (index + 1) * FIELD_BYTES)).reverse();
  return Fp.mul(bytesToNumberBE(bytes), MONTGOMERY_INVERSE);
}

function readCoordinate(bytes: Uint8Array, index: number): bigint {
  const value = bytesToNumberBE(bytes.subarray(index * FIELD_BYTES, (index + 1) * FIELD_BYTES));
  if (value >= Q) throw invalid('coordinate is not below the field order');
  return value;
}

function expectLength(bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) throw invalid(`expected ${length} bytes, got ${bytes.length}`);
}

function checkG1(x: bigint, y: bigint): G1Point {
  if (x === 0n && y === 0n) throw invalid('the identity is not allowed here');
  try {
    bn254.G1.Point.fromAffine({ x, y }).assertValidity();
  } catch (cause) {
    throw invalid('not on the curve G1', cause);
  }
  return concatBytes(toMontgomery(x), toMontgomery(y)) as G1Point;
}

function checkG2(x: Fp2Element, y: Fp2Element): G2Point {
  if (Fp2.is0(x) && Fp2.is0(y)) throw invalid('the identity is not allowed here');
  const point = concatBytes(
    toMontgomery(x.c0),
    toMontgomery(x.c1),
    toMontgomery(y.c0),
    toMontgomery(y.c1),
  ) as G2Point;
  const engine = runningEngine();
  if (engine) {
    if (!isInG2(engine, point)) throw invalid('not in the group G2');
    return point;
  }
  try {
    // on the twist and in the subgroup of order R
    bn254.G2.Point.fromAffine({ x, y }).assertValidity();
  } catch (cause) {
    throw invalid('not in the group G2', cause);
  }
  return point;
}

/** R, 32 bytes, little-endian. */
const ORDER_BYTES = numberToBytesBE(R, SCALAR_BYTES).reverse();

/** Whether an affine point is on the twist and R times it is the identity; what assertValidity says, in a tenth. */
function isInG2(engine: Engine, point: G2Point): boolean {
  return engine.sync(({ call, put, alloc }) => {
    const address = put(point);
    if (call.g2m_inCurveAffine!(address) !== 1) return false;
    const multiple = alloc(G2_JACOBIAN_BYTES);
    call.g2m_timesScalarAffine!(address, put(ORDER_BYTES), SCALAR_BYTES, multiple);
    return call.g2m_isZero!(multiple) === 1;
  });
}

/**
 * Reads x | y, 32 bytes each, big-endian (the encoding of EIP-196).
 *
 * @throws ZkLoraError `POINT_INVALID` for a coordinate not below Q, a point off the curve, or the identity.
 */
export function decodeG1(bytes: Uint8Array): G1Point {
  expectLength(bytes, G1_BYTES);
  return checkG1(readCoordinate(bytes, 0), readCoordinate(bytes, 1));
}

/** Writes x | y, 32 bytes each, big-endian. */
export function encodeG1(point: G1Point): Uint8Array {
  return concatBytes(...[0, 1].map((i) => numberToBytesBE(fromMontgomery(point, i), FIELD_BYTES)));
}

/**
 * Reads x.c1 | x.c0 | y.c1 | y.c0, 32 bytes each, big-endian (the order of EIP-197).
 *
 * @throws ZkLoraError `POINT_INVALID` as for G1, and for a point outside the subgroup of order R.
 */
export function decodeG2(bytes: Uint8Array): G2Point {
  expectLength(bytes, G2_BYTES);
  const x = Fp2.create({ c1: readCoordinate(bytes, 0), c0: readCoordinate(bytes, 1) });
  const y = Fp2.create({ c1: readCoordinate(bytes, 2), c0: readCoordinate(bytes, 3) });
  return checkG2(x, y);
}

/** Writes x.c1 | x.c0 | y.c1 | y.c0, 32 bytes each, big-endian. */
export function encodeG2(point: G2Point): Uint8Array {
  return concatBytes(...[1, 0, 3, 2].map((i) => numberToBytesBE(fromMontgomery(point, i), FIELD_BYTES)));
}

function isLarge(y: bigint): boolean {
  return y > (Q - 1n) / 2n;
}

function isLargeFp2(y: Fp2Element): boolean {
  return y.c1 === 0n ? isLarge(y.c0) : isLarge(y.c1);
}

/** Splits the flag off the first byte; what remains is big-endian x. */
function readFlag(bytes: Uint8Array): { largeY: boolean; x: Uint8Array } {
  const flag = bytes[0]! & FLAG_MASK;
  if (flag !== FLAG_SMALL_Y && flag !== FLAG_LARGE_Y) throw invalid('unknown compression flag');
  const x = new Uint8Array(bytes);
  x[0]! &= ~FLAG_MASK;
  return { largeY: flag === FLAG_LARGE_Y, x };
}

/**
 * Reads a compressed G1 point: 32 bytes, big-endian x, the top two bits 10 for the smaller and 11 for the larger y.
 *
 * @throws ZkLoraError `POINT_INVALID` for a flag, x or point that is not valid; the identity has no encoding.
 */
export function decodeG1Compressed(bytes: Uint8Array): G1Point {
  expectLength(bytes, G1_COMPRESSED_BYTES);
  const { largeY, x } = readFlag(bytes);
  if (!isBelow(x, 0, Q_BYTES)) throw invalid('coordinate is not below the field order');
  const engine = runningEngine();
  if (engine) return pointAt(engine, x, largeY);
  const value = bytesToNumberBE(x);
  const root = sqrtOr(() => Fp.sqrt(Fp.add(Fp.mul(Fp.sqr(value), value), 3n)));
  return checkG1(value, isLarge(root) === largeY ? root : Fp.neg(root));
}

/** (Q + 1) / 4, 32 bytes, little-endian: Q is 3 mod 4, so this power of a square is a root of it. */
const ROOT_EXPONENT = numberToBytesBE((Q + 1n) / 4n, FIELD_BYTES).reverse();

/** b of the curve y^2 = x^3 + 3. */
const CURVE_B = toMontgomery(3n);

/**
 * The point with this x, in a fraction of the time without an engine. All points of the curve are in G1, and none is
 * the identity.
 *
 * @param x below Q, 32 bytes, big-endian
 */
function pointAt(engine: Engine, x: Uint8Array, largeY: boolean): G1Point {
  const { point, onCurve } = engine.sync(({ call, put, alloc, get }) => {
    const px = put(concatBytes(x.toReversed(), new Uint8Array(FIELD_BYTES)));
    const py = px + FIELD_BYTES;
    const [value, square] = [alloc(FIELD_BYTES), alloc(FIELD_BYTES)];
    call.f1m_toMontgomery!(px, px);
    call.f1m_square!(px, value);
    call.f1m_mul!(value, px, value);
    call.f1m_add!(value, put(CURVE_B), value);
    call.f1m_exp!(value, put(ROOT_EXPONENT), FIELD_BYTES, py);
    call.f1m_square!(py, square);
    const isRoot = call.f1m_eq!(square, value) === 1;
    call.f1m_fromMontgomery!(py, square);
    // the larger one of y and -y
    const large = !isBelow(get(square, FIELD_BYTES).reverse(), 0, LARGE_BYTES);
    if (large !== largeY) call.f1m_neg!(py, py);
    return { point: get(px, G1_BYTES), onCurve: isRoot };
  });
  if (!onCurve) throw invalid('x is not on the curve');
  return point as G1Point;
}

/** Writes a compressed G1 point. */
export function encodeG1Compressed(point: G1Point): Uint8Array {
  const out = numberToBytesBE(fromMontgomery(point, 0), FIELD_BYTES);
  out[0]! |= isLarge(fromMontgomery(point, 1)) ? FLAG_LARGE_Y : FLAG_SMALL_Y;
  return out;
}

/** b of the twist y^2 = x^3 + 3/(9+u). */
const TWIST_B = Fp2.div(Fp2.create({ c0: 3n, c1: 0n }), Fp2.create({ c0: 9n, c1: 1n }));

/**
 * Reads a compressed G2 point: x.c1 | x.c0, flags in the top two bits as for G1; the larger of y and -y is the
 * one with the larger c1, or with the larger c0 where c1 is zero.
 *
 * @throws ZkLoraError `POINT_INVALID` as {@link decodeG2}.
 */
export function decodeG2Compressed(bytes: Uint8Array): G2Point {
  expectLength(bytes, G2_COMPRESSED_BYTES);
  const flag = readFlag(bytes);
  const x = Fp2.create({ c1: readCoordinate(flag.x, 0), c0: readCoordinate(flag.x, 1) });
  const root = sqrtOr(() => Fp2.sqrt(Fp2.add(Fp2.mul(Fp2.sqr(x), x), TWIST_B)));
  return checkG2(x, isLargeFp2(root) === flag.largeY ? root : Fp2.neg(root));
}

/** Writes a compressed G2 point. */
export function encodeG2Compressed(point: G2Point): Uint8Array {
  const [x0, x1, y0, y1] = [0, 1, 2, 3].map((i) => fromMontgomery(point, i)) as [
    bigint,
    bigint,
    bigint,
    bigint,
  ];
  const out = concatBytes(numberToBytesBE(x1, FIELD_BYTES), numberToBytesBE(x0, FIELD_BYTES));
  out[0]! |= isLargeFp2(Fp2.create({ c0: y0, c1: y1 })) ? FLAG_LARGE_Y : FLAG_SMALL_Y;
  return out;
}

function sqrtOr<T>(sqrt: () => T): T {
  try {
    return sqrt();
  } catch (cause) {
    throw invalid('x is not on the curve', cause);
  }
}

/** Whether one of the affine points of G1 is the identity, all zeros. */
export function hasIdentity(points: Uint8Array): boolean {
  for (let at = 0; at < points.byteLength; at += G1_BYTES) {
    let i = 0;
    while (i < G1_BYTES && points[at + i] === 0) i++;
    if (i === G1_BYTES) return true;
  }
  return false;
}

/** Points of G1, the last of them once more until there are whole quads: a lane with another sum needs no care. */
export function wholeQuads(points: Uint8Array): Uint8Array {
  const quadBytes = 4 * G1_BYTES;
  const whole = new Uint8Array(quadBytes * Math.ceil(points.byteLength / quadBytes));
  whole.set(points);
  for (let at = points.byteLength; at < whole.byteLength; at += G1_BYTES)
    whole.set(points.subarray(-G1_BYTES), at);
  return whole;
}

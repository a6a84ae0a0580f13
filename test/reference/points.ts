import { pippenger } from '@noble/curves/abstract/curve.js';
import { bn254 } from '@noble/curves/bn254.js';
import { ascii, concatBytes, int, sha256 } from './bytes.js';
import { mod, Q, R } from './field.js';
import { demand } from './refusal.js';

export const G1 = bn254.G1.Point;
export const G2 = bn254.G2.Point;
export type G1Point = typeof G1.BASE;
export type G2Point = typeof G2.BASE;

const { Fp2 } = bn254.fields;
/** Right-hand constant of G2's curve equation, 3/(9 + u). */
const TWIST = Fp2.div(Fp2.fromBigTuple([3n, 0n]), Fp2.fromBigTuple([9n, 1n]));

/** Square root mod Q (Q = 3 mod 4), or undefined for a non-residue. */
function squareRoot(square: bigint): bigint | undefined {
  let root = 1n;
  let factor = square % Q;
  for (let rest = (Q + 1n) / 4n; rest > 0n; rest >>= 1n) {
    if (rest & 1n) root = (root * factor) % Q;
    factor = (factor * factor) % Q;
  }
  return (root * root) % Q === square % Q ? root : undefined;
}

/** G1 uncompressed: x | y. */
export function g1FromBytes(bytes: Uint8Array, what: string): G1Point {
  const x = int(bytes.subarray(0, 32));
  const y = int(bytes.subarray(32, 64));
  demand(bytes.length === 64 && x < Q && y < Q, `${what}: a coordinate is not below Q`);
  demand((y * y - x * x * x - 3n) % Q === 0n, `${what}: not on the curve`);
  return G1.fromAffine({ x, y });
}

/** Removes the two flag bits of a compressed point; tells whether y is the larger root. */
function splitFlags(bytes: Uint8Array, what: string): { readonly x: Uint8Array; readonly larger: boolean } {
  demand(bytes[0]! >= 0x80, `${what}: wrong flags`);
  const x = Uint8Array.from(bytes);
  x[0]! &= 0x3f;
  return { x, larger: bytes[0]! >= 0xc0 };
}

/** G1 compressed: flags and x. */
export function g1FromCompressed(bytes: Uint8Array, what: string): G1Point {
  const { x: encoded, larger } = splitFlags(bytes, what);
  const x = int(encoded);
  demand(x < Q, `${what}: a coordinate is not below Q`);
  const y = squareRoot(x ** 3n + 3n);
  demand(y !== undefined, `${what}: not on the curve`);
  return G1.fromAffine({ x, y: y > (Q - 1n) / 2n === larger ? y : Q - y });
}

/** G2 point from its affine coordinates; on the curve and in the subgroup of order R. */
function g2Checked(x: typeof Fp2.ONE, y: typeof Fp2.ONE, what: string): G2Point {
  const right = Fp2.add(Fp2.mul(Fp2.sqr(x), x), TWIST);
  demand(Fp2.eql(Fp2.sqr(y), right), `${what}: not on the curve`);
  const point = G2.fromAffine({ x, y });
  demand(point.multiplyUnsafe(R - 1n).equals(point.negate()), `${what}: outside the subgroup`);
  return point;
}

/** Coordinate c1 | c0. */
function fp2FromBytes(bytes: Uint8Array, what: string): typeof Fp2.ONE {
  const c1 = int(bytes.subarray(0, 32));
  const c0 = int(bytes.subarray(32, 64));
  demand(c0 < Q && c1 < Q, `${what}: a coordinate is not below Q`);
  return Fp2.fromBigTuple([c0, c1]);
}

/** G2 uncompressed: x.c1 | x.c0 | y.c1 | y.c0. */
export function g2FromBytes(bytes: Uint8Array, what: string): G2Point {
  demand(bytes.length === 128, `${what}: wrong length`);
  return g2Checked(fp2FromBytes(bytes.subarray(0, 64), what), fp2FromBytes(bytes.subarray(64), what), what);
}

/** G2 compressed: flags and x.c1 | x.c0. */
export function g2FromCompressed(bytes: Uint8Array, what: string): G2Point {
  const { x: encoded, larger } = splitFlags(bytes, what);
  const x = fp2FromBytes(encoded, what);
  const square = Fp2.add(Fp2.mul(Fp2.sqr(x), x), TWIST);
  let y: typeof Fp2.ONE;
  try {
    y = Fp2.sqrt(square);
  } catch {
    demand(false, `${what}: not on the curve`);
  }
  const deciding = y.c1 === 0n ? y.c0 : y.c1;
  return g2Checked(x, deciding > (Q - 1n) / 2n === larger ? y : Fp2.neg(y), what);
}

/** sum_i scalars[i] * points[i]; scalars are reduced mod R. */
export function combine(points: readonly G1Point[], scalars: readonly bigint[]): G1Point {
  return pippenger(G1, [...points], scalars.map(mod));
}

/** scalar * point. */
export function times(scalar: bigint, point: G1Point): G1Point {
  return point.multiplyUnsafe(mod(scalar));
}

/** One factor e(g1, g2) of a product of pairings. */
export type Factor = readonly [G1Point, G2Point];

/** Whether the product of the pairings is one; a factor with an identity counts as one. */
export function productIsOne(factors: readonly Factor[]): boolean {
  const pairs = factors.filter(([a, b]) => !a.is0() && !b.is0()).map(([g1, g2]) => ({ g1, g2 }));
  return bn254.fields.Fp12.eql(bn254.pairingBatch(pairs), bn254.fields.Fp12.ONE);
}

/** Hashes a label to a point of unknown logarithm (docs/protocol.md, "The point U"). */
export function hashToPoint(label: string): G1Point {
  for (let counter = 0; counter < 256; counter++) {
    const halves = [0, 1].map((half) => sha256(concatBytes(ascii(label), Uint8Array.of(0, counter, half))));
    const x = int(concatBytes(...halves)) % Q;
    const y = squareRoot(x ** 3n + 3n);
    if (y !== undefined) return G1.fromAffine({ x, y: 2n * y < Q ? y : Q - y });
  }
  throw new Error('no point found');
}

/**
 * Arithmetic on four field elements at a time, in the lanes of 128-bit vectors: generators of WebAssembly code.
 *
 * An element is 20 limbs of 13 bits, value = sum limb_i 2^(13 i). A "quad" holds four elements as ten vectors, 160
 * bytes: 32-bit lane e of vector i is limb_2i (low half) and limb_(2i+1) (high half) of element e. The one vector
 * instruction that multiplies eight 16-bit numbers and adds them in pairs (i32x4.dot_i16x8_s) then computes two
 * limb products of four elements.
 *
 * Multiplication is Montgomery's with 2^260, without final subtraction: for a below 2^260 and b below q the result
 * is below 2q. Bounds: operands have limbs of at most 8191 + 4 in size ("loose"), constants have signed limbs of at
 * most 4096, so a column of 20 + 20 products stays below 20 * 2^26.01 + 20 * 2^25 < 2^31 in the worst case.
 */
import { type Code, i32, v128, type WasmFunction } from './wasmCode.js';

export const LIMB_BITS = 13;
export const LIMBS = 20;
export const PAIRS = LIMBS / 2;
export const QUAD_BYTES = PAIRS * 16;

/** A multiplier that is the same in all lanes: words T_0..T_10, S_0..S_9, see {@link multiplierWords}. */
export const MULTIPLIER_BYTES = (2 * PAIRS + 1) * 4;

export const LIMB_MASK = 2 ** LIMB_BITS - 1;
const MASK_BOTH = LIMB_MASK * 0x10001;
const REDUCED_BITS = 2 * LIMB_BITS;
/** Half of a 32-bit lane. */
const HALF_BITS = 16;

const { i16x8, i32x4 } = v128;

/** Limbs in [-4096, 4095], lowest first; the value must be below 2^259. */
export function signedLimbs(value: bigint): number[] {
  const limbs: number[] = [];
  let rest = value;
  for (let i = 0; i < LIMBS; i++) {
    const limb = i === LIMBS - 1 ? rest : BigInt.asIntN(LIMB_BITS, rest);
    limbs.push(Number(limb));
    rest = (rest - limb) >> BigInt(LIMB_BITS);
  }
  return limbs;
}

/** Two 16-bit numbers as one word. */
export function packPair(low: number, high: number): number {
  return (low & 0xffff) | (high << 16);
}

/**
 * The 32-bit words of a multiplier: T_j = (b_2j, b_(2j-1)) for even columns, then S_j = (b_(2j+1), b_2j) for odd
 * ones. Column 2h is sum_i dot(A_i, T_(h-i)), column 2h+1 is sum_i dot(A_i, S_(h-i)).
 */
export function multiplierWords(value: bigint): number[] {
  const b = signedLimbs(value);
  const at = (i: number) => b[i] ?? 0;
  return [
    ...Array.from({ length: PAIRS + 1 }, (_, j) => packPair(at(2 * j), at(2 * j - 1))),
    ...Array.from({ length: PAIRS }, (_, j) => packPair(at(2 * j + 1), at(2 * j))),
  ];
}

/** Generator for one field; `modulus` is q of the file's comment, below 2^254. */
export class QuadField {
  readonly modulus: bigint;
  readonly #limbs: readonly number[];
  readonly #minusInverse: number;

  constructor(modulus: bigint) {
    this.modulus = modulus;
    this.#limbs = signedLimbs(modulus);
    // -1/q mod 2^26, by Newton's iteration from the inverse mod 2
    let inverse = 1n;
    for (let bits = 1; bits < REDUCED_BITS; bits *= 2) inverse *= 2n - modulus * inverse;
    this.#minusInverse = Number(BigInt.asUintN(REDUCED_BITS, -inverse));
  }

  /** Vectors a_0..a_9 of a quad in memory, into locals with the given prefix. */
  load(f: WasmFunction, prefix: string, address: Code): Code {
    const names = Array.from({ length: PAIRS }, (_, i) => `${prefix}${i}`);
    f.locals('v128', ...names);
    return names.flatMap((name, i) => f.set(name, v128.load(address, 16 * i)));
  }

  /** Locals with the given prefix, into a quad in memory. */
  store(f: WasmFunction, prefix: string, address: Code): Code {
    return Array.from({ length: PAIRS }, (_, i) =>
      v128.store(address, 16 * i, f.get(`${prefix}${i}`)),
    ).flat();
  }

  /** Columns c0..c38 of the product of locals `prefix` with a multiplier that `t` and `s` load. */
  columns(f: WasmFunction, prefix: string, t: (j: number) => Code, s: (j: number) => Code): Code {
    this.#columnLocals(f);
    f.locals('v128', 'word');
    const code: Code[] = [];
    const started = new Set<number>();
    const accumulate = (column: number, i: number) => {
      const product = i32x4.dot(f.get(`${prefix}${i}`), f.get('word'));
      const name = `c${column}`;
      code.push(f.set(name, started.has(column) ? i32x4.add(f.get(name), product) : product));
      started.add(column);
    };
    for (let j = 0; j <= PAIRS; j++) {
      code.push(f.set('word', t(j)));
      for (let i = 0; i < PAIRS; i++) if (2 * (i + j) < 2 * LIMBS - 1) accumulate(2 * (i + j), i);
      if (j === PAIRS) break;
      code.push(f.set('word', s(j)));
      for (let i = 0; i < PAIRS; i++) accumulate(2 * (i + j) + 1, i);
    }
    return code.flat();
  }

  /** Product columns with a constant multiplier in memory. */
  columnsByConstant(f: WasmFunction, prefix: string, address: Code): Code {
    return this.columns(
      f,
      prefix,
      (j) => v128.load32Splat(address, 4 * j),
      (j) => v128.load32Splat(address, 4 * (PAIRS + 1 + j)),
    );
  }

  /** Product columns of two quads in locals. */
  columnsByQuad(f: WasmFunction, a: string, b: string): Code {
    const half = (low: number, high: number) =>
      [0, 4, 8, 12].flatMap((lane) => [lane + low, lane + low + 1, lane + high, lane + high + 1]);
    // low half of the first vector and high half of the second: (b_2j, b_(2j-1))
    const blend = half(0, 18);
    const swap = half(2, 0);
    return this.columns(
      f,
      a,
      (j) => {
        if (j === 0) return v128.and(f.get(`${b}0`), v128.const32(0xffff));
        if (j === PAIRS) return v128.and(f.get(`${b}${PAIRS - 1}`), v128.const32(0xffff0000 | 0));
        return v128.shuffle(f.get(`${b}${j}`), f.get(`${b}${j - 1}`), blend);
      },
      (j) => v128.shuffle(f.get(`${b}${j}`), f.get(`${b}${j}`), swap),
    );
  }

  /**
   * Montgomery reduction of columns c0..c38: locals `out` become (sum c_k 2^(13 k)) / 2^260 mod q, limbs in [0, 8191],
   * below q plus a 2^260th of the input.
   */
  reduce(f: WasmFunction, out: string): Code {
    this.#columnLocals(f);
    const first = 2 * PAIRS;
    return [
      ...f.set('c39', v128.const32(0)),
      ...this.#cancel(f, PAIRS),
      ...this.#carryPairs(f, out, first, HALF_BITS),
    ];
  }

  /**
   * The same for a positive sum of columns c0..c(19 + 2 rounds) that is little longer than q: local i of `out` becomes
   * bits 26 i and on of (sum c_k 2^(13 k)) / 2^(26 rounds) mod q, below q plus a 2^(26 rounds)th of the input.
   */
  reduceShort(f: WasmFunction, out: string, rounds: number): Code {
    this.#columnLocals(f);
    return [...this.#cancel(f, rounds), ...this.#carryPairs(f, out, 2 * rounds, LIMB_BITS)];
  }

  /** Adds multiples of q so that the lowest `2 rounds` columns come to zero, and carries what they hold. */
  #cancel(f: WasmFunction, rounds: number): Code {
    f.locals('v128', 'm');
    const q = (j: number) => this.#limbs[j] ?? 0;
    const column = (k: number) => f.get(`c${k}`);
    const code: Code[] = [];
    for (let k = 0; k < 2 * rounds; k += 2) {
      const low = i32x4.add(column(k), i32x4.shl(column(k + 1), LIMB_BITS));
      code.push(
        f.set(
          'm',
          v128.and(i32x4.mul(low, v128.const32(this.#minusInverse)), v128.const32(2 ** REDUCED_BITS - 1)),
        ),
        // 26 bits as two limbs
        f.set(
          'm',
          v128.or(
            v128.and(f.get('m'), v128.const32(LIMB_MASK)),
            i32x4.shl(i32x4.shrU(f.get('m'), LIMB_BITS), HALF_BITS),
          ),
        ),
      );
      for (let j = 0; j <= LIMBS; j++) {
        const product = i32x4.dot(f.get('m'), v128.const32(packPair(q(j), q(j - 1))));
        code.push(f.set(`c${k + j}`, i32x4.add(column(k + j), product)));
      }
      const carried = i32x4.add(column(k + 1), i32x4.shrS(column(k), LIMB_BITS));
      code.push(f.set(`c${k + 2}`, i32x4.add(column(k + 2), i32x4.shrS(carried, LIMB_BITS))));
    }
    return code.flat();
  }

  /** Local i of `out` becomes limbs 2i and 2i + 1, at bit `shift`, of the value in the columns from `first` on. */
  #carryPairs(f: WasmFunction, out: string, first: number, shift: number): Code {
    f.locals('v128', 'carry', ...Array.from({ length: PAIRS }, (_, i) => `${out}${i}`));
    const column = (k: number) => f.get(`c${k}`);
    const code: Code[] = [];
    for (let i = 0; i < PAIRS; i++) {
      const k = first + 2 * i;
      if (i > 0) code.push(f.set(`c${k}`, i32x4.add(column(k), f.get('carry'))));
      code.push(f.set(`c${k + 1}`, i32x4.add(column(k + 1), i32x4.shrS(column(k), LIMB_BITS))));
      if (i < PAIRS - 1) code.push(f.set('carry', i32x4.shrS(column(k + 1), LIMB_BITS)));
      const high = i < PAIRS - 1 ? v128.and(column(k + 1), v128.const32(LIMB_MASK)) : column(k + 1);
      code.push(
        f.set(`${out}${i}`, v128.or(v128.and(column(k), v128.const32(LIMB_MASK)), i32x4.shl(high, shift))),
      );
    }
    return code.flat();
  }

  /** out = a + b, limbs not carried. */
  add(f: WasmFunction, out: string, a: string, b: string): Code {
    f.locals('v128', ...Array.from({ length: PAIRS }, (_, i) => `${out}${i}`));
    return Array.from({ length: PAIRS }, (_, i) =>
      f.set(`${out}${i}`, i16x8.add(f.get(`${a}${i}`), f.get(`${b}${i}`))),
    ).flat();
  }

  /** out = a - b + multiple * q, limbs not carried. */
  subtract(f: WasmFunction, out: string, a: string, b: string, multiple: number): Code {
    f.locals('v128', ...Array.from({ length: PAIRS }, (_, i) => `${out}${i}`));
    const limbs = signedLimbs(this.modulus * BigInt(multiple));
    return Array.from({ length: PAIRS }, (_, i) => {
      const difference = i16x8.sub(f.get(`${a}${i}`), f.get(`${b}${i}`));
      const constant = v128.const32(packPair(limbs[2 * i]!, limbs[2 * i + 1]!));
      return f.set(`${out}${i}`, i16x8.add(difference, constant));
    }).flat();
  }

  /**
   * One step of carrying in all limbs at once: sizes up to 2^15 become at most 8191 + 4. The top limb is left alone:
   * it holds what is above 2^247, and a value below 2^260 in size keeps it within 16 bits.
   */
  carry(f: WasmFunction, name: string): Code {
    f.locals('v128', 'over', 'overBefore');
    const code: Code[] = [];
    for (let i = 0; i < PAIRS; i++) {
      const local = `${name}${i}`;
      const last = i === PAIRS - 1;
      const mask = v128.const32(last ? LIMB_MASK | (0xffff << 16) : MASK_BOTH);
      code.push(f.set('over', i16x8.shrS(f.get(local), LIMB_BITS)));
      // carries of this vector's low limbs go to its high ones, those of the last vector's high limbs to the low
      let carried = i32x4.shl(f.get('over'), 16);
      if (i > 0) carried = v128.or(carried, i32x4.shrU(f.get('overBefore'), 16));
      code.push(f.set(local, i16x8.add(v128.and(f.get(local), mask), carried)));
      if (!last) code.push(f.set('overBefore', f.get('over')));
    }
    return code.flat();
  }

  #columnLocals(f: WasmFunction): void {
    f.locals('v128', ...Array.from({ length: 2 * LIMBS }, (_, k) => `c${k}`));
  }
}

/** i32 address of element `index` (i32) in an array. */
export function elementAt(base: Code, index: Code, bytes: number): Code {
  return i32.add(base, i32.mul(index, i32.const(bytes)));
}

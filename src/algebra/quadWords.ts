/**
 * Between field elements as four 64-bit words and as limbs of 13 bits: generators of WebAssembly code.
 */
import { LIMB_BITS, LIMB_MASK, LIMBS, PAIRS } from './quadField.js';
import { type Code, i32, i64, v128, type WasmFunction, when } from './wasmCode.js';

const { i64x2 } = v128;

export const ELEMENT_BYTES = 32;

/** Indices of the words of an element. */
export const WORDS = [0, 1, 2, 3] as const;

/** The chunk of bits [from, from + count) of the i64 locals w0..w3. */
export function bits(f: WasmFunction, from: number, count: number): Code {
  const word = Math.floor(from / 64);
  const shift = from % 64;
  let value = shift === 0 ? f.get(`w${word}`) : i64.shrU(f.get(`w${word}`), i64.const(shift));
  if (shift + count > 64 && word < 3) {
    value = i64.or(value, i64.shl(f.get(`w${word + 1}`), i64.const(64 - shift)));
  }
  return i64.and(value, i64.const(2 ** count - 1));
}

/** Signed limbs (at most 4096 in size) of the canonical element at an address, into the i64 locals b0..b19. */
export function cutSigned(f: WasmFunction, address: Code): Code[] {
  f.locals('i64', ...WORDS.map((i) => `w${i}`), 'carry', ...Array.from({ length: LIMBS }, (_, i) => `b${i}`));
  const code: Code[] = [
    ...WORDS.map((i) => f.set(`w${i}`, i64.load(address, 8 * i))),
    f.set('carry', i64.const(0)),
  ];
  for (let i = 0; i < LIMBS; i++) {
    const limb = f.get(`b${i}`);
    // the top limb has fewer bits: it absorbs the last carry
    const from = LIMB_BITS * i;
    const chunk = bits(f, from, Math.min(LIMB_BITS, 256 - from));
    code.push(f.set(`b${i}`, i64.add(chunk, f.get('carry'))));
    if (i === LIMBS - 1) break;
    code.push(
      f.set('carry', i64.shrU(i64.add(limb, i64.const(2 ** (LIMB_BITS - 1))), i64.const(LIMB_BITS))),
      f.set(`b${i}`, i64.sub(limb, i64.shl(f.get('carry'), i64.const(LIMB_BITS)))),
    );
  }
  return code;
}

/** The words of a multiplier (quadField.ts), from the limbs of {@link cutSigned}. */
export function storeMultiplier(f: WasmFunction, out: Code): Code[] {
  const pack = (low: number, high: number): Code => {
    const lowHalf = low < LIMBS ? i64.and(f.get(`b${low}`), i64.const(0xffff)) : i64.const(0);
    return high < 0 ? lowHalf : i64.or(lowHalf, i64.shl(f.get(`b${high}`), i64.const(16)));
  };
  const code: Code[] = [];
  for (let j = 0; j <= PAIRS; j++) code.push(i64.store32(out, 4 * j, pack(2 * j, 2 * j - 1)));
  for (let j = 0; j < PAIRS; j++) code.push(i64.store32(out, 4 * (PAIRS + 1 + j), pack(2 * j + 1, 2 * j)));
  return code;
}

/** The element at one lane of a reduced quad, into w0..w3. */
export function collect(f: WasmFunction, address: Code): Code {
  f.locals('i64', 'pair');
  const code: Code[] = WORDS.map((i) => f.set(`w${i}`, i64.const(0)));
  for (let i = 0; i < PAIRS; i++) {
    const from = 2 * LIMB_BITS * i;
    const word = Math.floor(from / 64);
    const shift = from % 64;
    const low = i64.and(f.get('pair'), i64.const(LIMB_MASK));
    const high = i64.shl(i64.shrU(f.get('pair'), i64.const(16)), i64.const(LIMB_BITS));
    code.push(f.set('pair', i64.load32U(address, 16 * i)), f.set('pair', i64.or(low, high)));
    code.push(f.set(`w${word}`, i64.or(f.get(`w${word}`), i64.shl(f.get('pair'), i64.const(shift)))));
    if (shift + 2 * LIMB_BITS > 64 && word < 3) {
      code.push(f.set(`w${word + 1}`, i64.shrU(f.get('pair'), i64.const(64 - shift))));
    }
  }
  return code.flat();
}

/** Subtracts the modulus from w0..w3 if they hold at least as much. */
export function reduceOnce(f: WasmFunction, modulus: bigint): Code {
  const m = WORDS.map((i) => (modulus >> BigInt(64 * i)) & (2n ** 64n - 1n));
  f.locals('i64', 'd0', 'd1', 'd2', 'd3', 'borrow', 'next');
  const get = (name: string) => f.get(name);
  const difference: Code[] = [f.set('borrow', i64.const(0))];
  for (const i of WORDS) {
    const [w, d] = [get(`w${i}`), get(`d${i}`)];
    difference.push(
      f.set(`d${i}`, i64.sub(w, i64.const(m[i]!))),
      f.set('next', i64.extendU(i32.or(i64.ltU(w, i64.const(m[i]!)), i64.ltU(d, get('borrow'))))),
      f.set(`d${i}`, i64.sub(d, get('borrow'))),
      f.set('borrow', get('next')),
    );
  }
  const keep = when(i64.eqz(get('borrow')), ...WORDS.map((i) => f.set(`w${i}`, get(`d${i}`))));
  // most values have a smaller top word: one comparison settles them
  return when(i64.geU(get('w3'), i64.const(m[3]!)), ...difference, keep);
}

/**
 * The four elements whose bits from 26 i on are in lanes 0 to 3 of the locals `prefix` i: canonical, 32 bytes each, at
 * the address `out`. They are below 2q.
 *
 * @param reduce code that reduces the element at an address by q once
 */
export function storeFour(
  f: WasmFunction,
  prefix: string,
  out: Code,
  modulus: bigint,
  reduce: (address: Code) => Code,
): Code {
  f.locals('v128', 'chunk', ...WORDS.map((i) => `v${i}`));
  const code: Code[] = [];
  const top = modulus >> 192n;
  for (const half of [0, 1]) {
    code.push(...WORDS.map((i) => f.set(`v${i}`, v128.const32(0))));
    for (let i = 0; i < PAIRS; i++) {
      const from = 2 * LIMB_BITS * i;
      const word = Math.floor(from / 64);
      const shift = from % 64;
      const pair = f.get(`${prefix}${i}`);
      const add = (target: number, value: Code) =>
        code.push(f.set(`v${target}`, v128.or(f.get(`v${target}`), value)));
      code.push(f.set('chunk', half === 0 ? i64x2.extendLowU(pair) : i64x2.extendHighU(pair)));
      add(word, i64x2.shl(f.get('chunk'), shift));
      if (shift + 2 * LIMB_BITS > 64 && word < 3) add(word + 1, i64x2.shrU(f.get('chunk'), 64 - shift));
    }
    for (const lane of [0, 1]) {
      const at = ELEMENT_BYTES * (2 * half + lane);
      const lanes = [0, 16].flatMap((from) => Array.from({ length: 8 }, (_, i) => from + 8 * lane + i));
      const two = (low: number, high: number) => v128.shuffle(f.get(`v${low}`), f.get(`v${high}`), lanes);
      code.push(
        v128.store(out, at, two(0, 1)),
        v128.store(out, at + 16, two(2, 3)),
        // most values have a smaller top word than q
        when(i64.geU(i64x2.extract(f.get('v3'), lane), i64.const(top)), reduce(i32.add(out, i32.const(at)))),
      );
    }
  }
  return code.flat();
}

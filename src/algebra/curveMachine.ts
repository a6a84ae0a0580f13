/**
 * What the kernels of G1 share: quads in memory with the operations on them, and the way between words and quads.
 */
import { CUBE_ROOT } from './endomorphism.js';
import {
  LIMB_BITS,
  LIMB_MASK,
  multiplierWords,
  PAIRS,
  packPair,
  QUAD_BYTES,
  type QuadField,
} from './quadField.js';
import { Q } from './scalar.js';
import { type Code, call, i32, type ModuleBuilder, v128, WasmFunction } from './wasmCode.js';

/** Bytes of a point: three quads. */
export const POINT_QUAD_BYTES = 3 * QUAD_BYTES;

/** Lanes of a quad. */
export const LANES = [0, 1, 2, 3] as const;

const { i16x8 } = v128;

/** Quads at fixed addresses and the operations on them. */
export class Machine {
  /** Signs of the lanes, one vector: 0 or -1. */
  readonly signs: number;
  /** A gathered point. */
  readonly point: number;
  /** Multiplier from ffjavascript's form x 2^256 to x 2^260. */
  readonly enter: number;
  /** Multiplier back. */
  readonly leave: number;
  /** Multipliers by the cube roots of unity. */
  readonly roots: readonly number[];
  readonly #slots = new Map<string, number>();

  constructor(
    readonly module: ModuleBuilder,
    field: QuadField,
  ) {
    this.signs = module.alloc(16);
    this.point = module.alloc(POINT_QUAD_BYTES);
    this.enter = module.alloc(multiplierBytes(2n ** 264n % field.modulus));
    this.leave = module.alloc(multiplierBytes(2n ** 256n % field.modulus));
    this.roots = [CUBE_ROOT, CUBE_ROOT ** 2n].map((root) =>
      module.alloc(multiplierBytes((root << 260n) % field.modulus)),
    );
    twoOperands(field, (f) => [field.columnsByQuad(f, 'a', 'b'), field.reduce(f, 'a')], 'a').addTo(
      module,
      'zg_mul',
    );
    twoOperands(field, (f) => [field.add(f, 's', 'a', 'b'), field.carry(f, 's')], 's').addTo(
      module,
      'zg_sum',
    );
    for (const multiple of [0, 8, 16] as const) {
      twoOperands(field, (f) => [field.subtract(f, 's', 'a', 'b', multiple), field.carry(f, 's')], 's').addTo(
        module,
        multiple === 0 ? 'zg_difference' : `zg_sub${multiple}`,
      );
    }
    const byWords = new WasmFunction(['a', 'b', 'out']);
    byWords.emit(
      field.load(byWords, 'a', byWords.get('a')),
      field.columnsByConstant(byWords, 'a', byWords.get('b')),
      field.reduce(byWords, 'a'),
      field.store(byWords, 'a', byWords.get('out')),
    );
    byWords.addTo(module, 'zg_mulWords');
    const sign = new WasmFunction(['a']);
    sign.locals('v128', 'sign');
    sign.emit(
      sign.set('sign', v128.load(i32.const(this.signs))),
      ...Array.from({ length: PAIRS }, (_, i) => {
        const flipped = v128.xor(v128.load(sign.get('a'), 16 * i), sign.get('sign'));
        return v128.store(sign.get('a'), 16 * i, i16x8.sub(flipped, sign.get('sign')));
      }),
    );
    sign.addTo(module, 'zg_applySigns');
  }

  /** Address of a named quad of a function. */
  slot(name: string): Code {
    let address = this.#slots.get(name);
    if (address === undefined) {
      address = this.module.alloc(QUAD_BYTES);
      this.#slots.set(name, address);
    }
    return i32.const(address);
  }

  mul(a: Code, b: Code, out: Code): Code {
    return call(this.module, 'zg_mul', a, b, out);
  }

  mulWords(a: Code, words: Code, out: Code): Code {
    return call(this.module, 'zg_mulWords', a, words, out);
  }

  sum(a: Code, b: Code, out: Code): Code {
    return call(this.module, 'zg_sum', a, b, out);
  }

  /** a - b, which may be negative */
  difference(a: Code, b: Code, out: Code): Code {
    return call(this.module, 'zg_difference', a, b, out);
  }

  /** a - b + 8q */
  sub8(a: Code, b: Code, out: Code): Code {
    return call(this.module, 'zg_sub8', a, b, out);
  }

  /** a - b + 16q */
  sub16(a: Code, b: Code, out: Code): Code {
    return call(this.module, 'zg_sub16', a, b, out);
  }
}

function multiplierBytes(value: bigint): number[] {
  return wordBytes(multiplierWords(value));
}

function twoOperands(
  field: QuadField,
  compute: (f: WasmFunction) => readonly Code[],
  result: string,
): WasmFunction {
  const f = new WasmFunction(['a', 'b', 'out']);
  f.emit(
    field.load(f, 'a', f.get('a')),
    field.load(f, 'b', f.get('b')),
    ...compute(f),
    field.store(f, result, f.get('out')),
  );
  return f;
}

export function at(base: Code, offset: number): Code {
  return offset === 0 ? base : i32.add(base, i32.const(offset));
}

/** Limbs of x 2^260 mod q, two in a word, as in one lane of a quad. */
export function limbPairs(value: bigint): number[] {
  const shifted = (value << 260n) % Q;
  const limb = (k: number) => Number((shifted >> BigInt(LIMB_BITS * k)) & BigInt(LIMB_MASK));
  return Array.from({ length: PAIRS }, (_, i) => packPair(limb(2 * i), limb(2 * i + 1)));
}

/** Words of 32 bits, little-endian. */
export function wordBytes(words: readonly number[]): number[] {
  return words.flatMap((word) => [0, 8, 16, 24].map((shift) => (word >>> shift) & 255));
}

/** Copies whole quads. */
export function copyQuads(to: Code, from: Code, quads: number): Code {
  return Array.from({ length: quads * PAIRS }, (_, i) =>
    v128.store(to, 16 * i, v128.load(from, 16 * i)),
  ).flat();
}

/** Names of the locals that hold the lanes' addresses of words. */
const POINTERS = LANES.map((lane) => `p${lane}`);

/**
 * Words of four elements or points, at p0..p3, to as many vectors in memory. Reads up to three words more.
 *
 * @param vectors number of words of each
 */
export function gatherWords(f: WasmFunction, to: Code, vectors: number): Code {
  const turn = transpose(f);
  const code: Code[] = [];
  for (let first = 0; first < vectors; first += 4) {
    code.push(...LANES.map((l) => f.set(`r${l}`, v128.loadUnaligned(f.get(POINTERS[l]!), 4 * first))));
    code.push(...turn);
    const lanes = LANES.filter((lane) => first + lane < vectors);
    code.push(...lanes.map((l) => v128.store(to, 16 * (first + l), f.get(`r${l}`))));
  }
  return code.flat();
}

/** Back: vectors in memory to words at p0..p3; a multiple of four. */
export function scatterWords(f: WasmFunction, from: Code, vectors: number): Code {
  const turn = transpose(f);
  const code: Code[] = [];
  for (let first = 0; first < vectors; first += 4) {
    code.push(...LANES.map((l) => f.set(`r${l}`, v128.load(from, 16 * (first + l)))));
    code.push(...turn);
    code.push(...LANES.map((l) => v128.storeUnaligned(f.get(POINTERS[l]!), 4 * first, f.get(`r${l}`))));
  }
  return code.flat();
}

/** Transposes the 4 x 4 words of locals r0..r3. */
function transpose(f: WasmFunction): Code[] {
  f.locals('v128', 'r0', 'r1', 'r2', 'r3', 't0', 't1', 't2', 't3');
  const words = (...lanes: readonly number[]) =>
    lanes.flatMap((lane) => [0, 1, 2, 3].map((b) => 4 * lane + b));
  const mix = (a: string, b: string, ...lanes: readonly number[]) =>
    v128.shuffle(f.get(a), f.get(b), words(...lanes));
  return [
    f.set('t0', mix('r0', 'r1', 0, 4, 1, 5)),
    f.set('t1', mix('r2', 'r3', 0, 4, 1, 5)),
    f.set('t2', mix('r0', 'r1', 2, 6, 3, 7)),
    f.set('t3', mix('r2', 'r3', 2, 6, 3, 7)),
    f.set('r0', mix('t0', 't1', 0, 1, 4, 5)),
    f.set('r1', mix('t0', 't1', 2, 3, 6, 7)),
    f.set('r2', mix('t2', 't3', 0, 1, 4, 5)),
    f.set('r3', mix('t2', 't3', 2, 3, 6, 7)),
  ];
}

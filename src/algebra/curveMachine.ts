/**
 * What the kernels of the curve compute with: quads in memory with the operations on them, as coordinates of G1.
 */
import { CUBE_ROOT } from './endomorphism.js';
import { invertQuad, reduceSmall, storeQuad } from './laneKernels.js';
import { quadBytes } from './laneWords.js';
import { multiplierWords, PAIRS, QUAD_BYTES, type QuadField } from './quadField.js';
import { type Code, call, i32, type ModuleBuilder, v128, WasmFunction, wordBytes } from './wasmCode.js';

const { i16x8 } = v128;

/**
 * Coordinates of points, four at a time in vector lanes, at addresses in memory. Operations may write where they read.
 */
export interface Coordinates {
  readonly module: ModuleBuilder;
  readonly machine: Machine;
  /** What the names of its kernels begin with. */
  readonly prefix: 'zg' | 'zh';
  /** Quads of a coordinate. */
  readonly quads: 1 | 2;
  /** Bytes of a coordinate. */
  readonly bytes: number;
  /** Address of a named coordinate at a fixed place. */
  slot(name: string): Code;
  mul(a: Code, b: Code, out: Code): Code;
  sum(a: Code, b: Code, out: Code): Code;
  /** a - b, which may be negative */
  difference(a: Code, b: Code, out: Code): Code;
  /** a - b for b < 8q, and not negative where the formulas rely on that */
  sub8(a: Code, b: Code, out: Code): Code;
  /** The same for b < 16q. */
  sub16(a: Code, b: Code, out: Code): Code;
  /** a = a mod q, up to a fiftieth of q below 0 or above q, for a of less than 6 q in size */
  reduce(a: Code): Code;
  /** a = -a in the lanes that the machine's signs say */
  applySigns(a: Code): Code;
  /** a = 1 / a in all lanes; if one is zero the machine's flag is set and a is undefined. */
  invert(a: Code): Code;
}

/** Fixed places by name. */
export class Slots {
  readonly #addresses = new Map<string, number>();

  /** @param bytes of each */
  constructor(
    private readonly module: ModuleBuilder,
    private readonly bytes: number,
  ) {}

  /** The address of a name, the same each time. */
  at(name: string): Code {
    let address = this.#addresses.get(name);
    if (address === undefined) {
      address = this.module.alloc(this.bytes);
      this.#addresses.set(name, address);
    }
    return i32.const(address);
  }
}

/** Coordinates in the prime field, of G1; quads at fixed addresses and the operations on them. */
export class Machine implements Coordinates {
  readonly machine = this;
  readonly prefix = 'zg';
  readonly quads = 1;
  readonly bytes = QUAD_BYTES;
  /** A quad of zeros. */
  readonly zero: number;
  /** A quad of ones. */
  readonly one: number;
  /** One word: 1 after an inversion of zero. */
  readonly failed: number;
  /** Signs of the lanes, one vector: 0 or -1. */
  readonly signs: number;
  /** Multiplier from ffjavascript's form x 2^256 to x 2^260. */
  readonly enter: number;
  /** Multiplier back. */
  readonly leave: number;
  /** Multiplier by the cube root of unity W. */
  readonly root: number;
  readonly #slots: Slots;

  constructor(
    readonly module: ModuleBuilder,
    field: QuadField,
  ) {
    this.#slots = new Slots(module, QUAD_BYTES);
    this.signs = module.alloc(16);
    this.zero = module.alloc(QUAD_BYTES);
    this.one = module.alloc(quadBytes(1n));
    this.failed = module.alloc(4);
    this.enter = module.alloc(multiplierBytes(2n ** 264n % field.modulus));
    this.leave = module.alloc(multiplierBytes(2n ** 256n % field.modulus));
    this.root = module.alloc(multiplierBytes((CUBE_ROOT << 260n) % field.modulus));
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
    reduceSmall(field).addTo(module, 'zg_reduceSmall');
    storeQuad(this, field).addTo(module, 'zg_storeQuad');
    invertQuad(this).addTo(module, 'zg_invert');
  }

  slot(name: string): Code {
    return this.#slots.at(name);
  }

  /** The sign of a lane for {@link applySigns}: minus where the lowest bit of `bits` is set. */
  setSign(lane: number, bits: Code): Code {
    return i32.store(i32.const(this.signs), 4 * lane, i32.sub(i32.const(0), i32.and(bits, i32.const(1))));
  }

  mul(a: Code, b: Code, out: Code): Code {
    return call(this.module, 'zg_mul', a, b, out);
  }

  /** Four canonical elements in the library's form, `stride` bytes apart, from one of at least -8q and below 8q. */
  store(a: Code, out: Code, stride: number): Code {
    return call(this.module, 'zg_storeQuad', a, out, i32.const(stride));
  }

  /** A quad from four elements in the library's form. */
  enterQuad(elements: readonly Code[], out: Code): Code {
    return [
      ...call(this.module, 'zq_load', ...elements, i32.const(1), out),
      ...this.mulWords(out, i32.const(this.enter), out),
    ];
  }

  mulWords(a: Code, words: Code, out: Code): Code {
    return call(this.module, 'zg_mulWords', a, words, out);
  }

  sum(a: Code, b: Code, out: Code): Code {
    return call(this.module, 'zg_sum', a, b, out);
  }

  reduce(a: Code): Code {
    return call(this.module, 'zg_reduceSmall', a);
  }

  applySigns(a: Code): Code {
    return call(this.module, 'zg_applySigns', a);
  }

  invert(a: Code): Code {
    return call(this.module, 'zg_invert', a);
  }

  difference(a: Code, b: Code, out: Code): Code {
    return call(this.module, 'zg_difference', a, b, out);
  }

  /** With 8 q added. */
  sub8(a: Code, b: Code, out: Code): Code {
    return call(this.module, 'zg_sub8', a, b, out);
  }

  /** With 16 q added. */
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

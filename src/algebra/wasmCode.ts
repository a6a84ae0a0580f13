/**
 * A small assembler for WebAssembly functions, for kernels whose loops over limbs are unrolled by a program.
 *
 * Expressions are byte sequences that leave one value on the stack, statements leave none. Opcodes: WebAssembly
 * Core Specification 2.0, section 5.4 (binary format of instructions).
 */

/** Instructions in binary form. */
export type Code = readonly number[];

export type ValueType = 'i32' | 'i64' | 'v128';

const VALUE_TYPES = { i32: 0x7f, i64: 0x7e, v128: 0x7b } as const;

/** LEB128, unsigned. */
export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low | 128 : low);
  } while (rest > 0);
  return bytes;
}

/** LEB128, signed. */
function signed(value: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; ) {
    const low = Number(rest & 127n);
    rest >>= 7n;
    const done = (rest === 0n && low < 64) || (rest === -1n && low >= 64);
    bytes.push(done ? low : low | 128);
    if (done) return bytes;
  }
}

const binary =
  (...opcode: number[]) =>
  (a: Code, b: Code): Code => [...a, ...b, ...opcode];

const unary =
  (...opcode: number[]) =>
  (a: Code): Code => [...a, ...opcode];

/** Instruction of the vector extension: prefix and LEB128 number. */
const vector = (number: number): number[] => [0xfd, ...unsigned(number)];

/** 32-bit integers; also addresses. */
export const i32 = {
  const: (value: number): Code => [0x41, ...signed(BigInt(value | 0))],
  add: binary(0x6a),
  sub: binary(0x6b),
  mul: binary(0x6c),
  and: binary(0x71),
  or: binary(0x72),
  xor: binary(0x73),
  shl: binary(0x74),
  shrS: binary(0x75),
  shrU: binary(0x76),
  eqz: unary(0x45),
  ltU: binary(0x49),
  gtU: binary(0x4b),
  divU: binary(0x6e),
  load: (address: Code, offset = 0): Code => [...address, 0x28, 2, ...unsigned(offset)],
  load8U: (address: Code, offset = 0): Code => [...address, 0x2d, 0, ...unsigned(offset)],
  load16S: (address: Code, offset = 0): Code => [...address, 0x2e, 1, ...unsigned(offset)],
  store: (address: Code, offset: number, value: Code): Code => [
    ...address,
    ...value,
    0x36,
    2,
    ...unsigned(offset),
  ],
  store16: (address: Code, offset: number, value: Code): Code => [
    ...address,
    ...value,
    0x3b,
    1,
    ...unsigned(offset),
  ],
};

/** 64-bit integers. */
export const i64 = {
  const: (value: bigint | number): Code => [0x42, ...signed(BigInt.asIntN(64, BigInt(value)))],
  add: binary(0x7c),
  sub: binary(0x7d),
  mul: binary(0x7e),
  and: binary(0x83),
  or: binary(0x84),
  shl: binary(0x86),
  shrS: binary(0x87),
  shrU: binary(0x88),
  eqz: unary(0x50),
  ltU: binary(0x54),
  geU: binary(0x5a),
  /** Of an i32, without sign. */
  extendU: unary(0xad),
  wrap: unary(0xa7),
  load: (address: Code, offset = 0): Code => [...address, 0x29, 3, ...unsigned(offset)],
  load32U: (address: Code, offset = 0): Code => [...address, 0x35, 2, ...unsigned(offset)],
  store: (address: Code, offset: number, value: Code): Code => [
    ...address,
    ...value,
    0x37,
    3,
    ...unsigned(offset),
  ],
  store32: (address: Code, offset: number, value: Code): Code => [
    ...address,
    ...value,
    0x3e,
    2,
    ...unsigned(offset),
  ],
  store16: (address: Code, offset: number, value: Code): Code => [
    ...address,
    ...value,
    0x3d,
    1,
    ...unsigned(offset),
  ],
};

/** float64. */
export const f64 = {
  add: binary(0xa0),
  store: (address: Code, offset: number, value: Code): Code => [
    ...address,
    ...value,
    0x39,
    3,
    ...unsigned(offset),
  ],
};

/** Bytes of 32-bit words, little-endian. */
export function wordBytes(words: readonly number[]): number[] {
  return words.flatMap((word) => [0, 8, 16, 24].map((shift) => (word >>> shift) & 255));
}

/** 128-bit vectors; names say the lanes that an instruction sees. */
export const v128 = {
  load: (address: Code, offset = 0): Code => [...address, ...vector(0), 4, ...unsigned(offset)],
  /** Any alignment. */
  loadUnaligned: (address: Code, offset = 0): Code => [...address, ...vector(0), 0, ...unsigned(offset)],
  /** Eight bytes into the low half, zeros above. */
  load64Zero: (address: Code, offset = 0): Code => [...address, ...vector(93), 0, ...unsigned(offset)],
  /** One 32-bit word in all four lanes. */
  load32Splat: (address: Code, offset = 0): Code => [...address, ...vector(9), 2, ...unsigned(offset)],
  /** One 64-bit word in both lanes. */
  load64Splat: (address: Code, offset = 0): Code => [...address, ...vector(10), 3, ...unsigned(offset)],
  store: (address: Code, offset: number, value: Code): Code => [
    ...address,
    ...value,
    ...vector(11),
    4,
    ...unsigned(offset),
  ],
  /** Any alignment. */
  storeUnaligned: (address: Code, offset: number, value: Code): Code => [
    ...address,
    ...value,
    ...vector(11),
    0,
    ...unsigned(offset),
  ],
  /** The same 32-bit word in all four lanes. */
  const32: (word: number): Code => v128.const(word, word, word, word),
  /** Four 32-bit words, lowest first. */
  const: (...words: readonly [number, number, number, number]): Code => [...vector(12), ...wordBytes(words)],
  and: binary(...vector(0x4e)),
  /** a and not b. */
  andNot: binary(...vector(0x4f)),
  or: binary(...vector(0x50)),
  xor: binary(...vector(0x51)),
  /** Bits of a where the mask is one, of b elsewhere. */
  select: (a: Code, b: Code, mask: Code): Code => [...a, ...b, ...mask, ...vector(0x52)],
  /** Bytes of the concatenation a | b, by index 0..31. */
  shuffle: (a: Code, b: Code, lanes: readonly number[]): Code => [...a, ...b, ...vector(13), ...lanes],
  i16x8: {
    add: binary(...vector(0x8e)),
    sub: binary(...vector(0x91)),
    mul: binary(...vector(0x95)),
    shrS: (a: Code, bits: number): Code => [...a, ...i32.const(bits), ...vector(0x8c)],
  },
  i32x4: {
    add: binary(...vector(0xae)),
    sub: binary(...vector(0xb1)),
    mul: binary(...vector(0xb5)),
    /** The larger one of each lane, without sign. */
    maxU: binary(...vector(0xb9)),
    /** Signed 16-bit products, added in pairs: lane i = a[2i] b[2i] + a[2i+1] b[2i+1]. */
    dot: binary(...vector(0xba)),
    shl: (a: Code, bits: number): Code => [...a, ...i32.const(bits), ...vector(0xab)],
    shrS: (a: Code, bits: number): Code => [...a, ...i32.const(bits), ...vector(0xac)],
    shrU: (a: Code, bits: number): Code => [...a, ...i32.const(bits), ...vector(0xad)],
  },
  i64x2: {
    add: binary(...vector(0xce)),
    shl: (a: Code, bits: number): Code => [...a, ...i32.const(bits), ...vector(0xcb)],
    shrU: (a: Code, bits: number): Code => [...a, ...i32.const(bits), ...vector(0xcd)],
    /** Lane 0 or 1, as an i64. */
    extract: (a: Code, lane: number): Code => [...a, ...vector(29), lane],
    extendLow: unary(...vector(0xc7)),
    extendHigh: unary(...vector(0xc8)),
    extendLowU: unary(...vector(0xc9)),
    extendHighU: unary(...vector(0xca)),
  },
  f32x4: {
    /** Two float64 lanes, rounded to float32, in the low half; zeros above. */
    demoteZero: unary(...vector(0x5e)),
  },
  f64x2: {
    add: binary(...vector(0xf0)),
    sub: binary(...vector(0xf1)),
    mul: binary(...vector(0xf2)),
    /** The larger one of each lane, of numbers that are not NaN. */
    max: binary(...vector(0xf7)),
    /** Of the two low float32 lanes, exactly. */
    promoteLow: unary(...vector(0x5f)),
    /** Of the two low int32 lanes, exactly. */
    convertLow: unary(...vector(0xfe)),
    /** Of the two low 32-bit lanes without sign, exactly. */
    convertLowU: unary(...vector(0xff)),
    /** Lane 0 or 1, as an f64. */
    extract: (a: Code, lane: number): Code => [...a, ...vector(33), lane],
  },
};

/** Runs `body` if `condition` (i32) is not zero. */
export function when(condition: Code, ...body: readonly Code[]): Code {
  return [...condition, 0x04, 0x40, ...body.flat(), 0x0b];
}

/** Runs `then` if `condition` (i32) is not zero, else `otherwise`. */
export function choose(condition: Code, then: readonly Code[], otherwise: readonly Code[]): Code {
  return [...condition, 0x04, 0x40, ...then.flat(), 0x05, ...otherwise.flat(), 0x0b];
}

/** Runs `body` as long as `condition` (i32) holds; tested first. */
export function whileLoop(condition: Code, ...body: readonly Code[]): Code {
  // block { loop { br_if 1 (not condition); body; br 0 } }
  return [0x02, 0x40, 0x03, 0x40, ...condition, 0x45, 0x0d, 1, ...body.flat(), 0x0c, 0, 0x0b, 0x0b];
}

/** The part of wasmbuilder's function object that is replaced. */
interface BuiltFunction {
  getBody(): number[];
}

/** The part of wasmbuilder's module builder that is used. */
export interface ModuleBuilder {
  readonly functions: BuiltFunction[];
  readonly functionIdxByName: Readonly<Record<string, number>>;
  addFunction(name: string): BuiltFunction & { addParam(name: string, type: string): void };
  exportFunction(name: string): void;
  alloc(size: number): number;
  alloc(bytes: readonly number[]): number;
}

/** One function: named parameters (all i32), named locals, code. */
export class WasmFunction {
  readonly #params: readonly string[];
  readonly #names = new Map<string, number>();
  readonly #locals: number[] = [];
  readonly #code: number[] = [];

  constructor(params: readonly string[]) {
    this.#params = params;
    params.forEach((name, i) => {
      this.#names.set(name, i);
    });
  }

  /** Declares locals, zero at the start of each call; the same name twice is one local. */
  locals(type: ValueType, ...names: readonly string[]): void {
    for (const name of names) {
      const index = this.#names.get(name);
      if (index === undefined) {
        this.#names.set(name, this.#params.length + this.#locals.length);
        this.#locals.push(VALUE_TYPES[type]);
      } else if (this.#locals[index - this.#params.length] !== VALUE_TYPES[type]) {
        throw new Error(`${name} has another type`);
      }
    }
  }

  get(name: string): Code {
    return [0x20, ...this.#index(name)];
  }

  set(name: string, value: Code): Code {
    return [...value, 0x21, ...this.#index(name)];
  }

  /** Adds a constant to an i32 local. */
  bump(name: string, step: number): Code {
    return this.set(name, i32.add(this.get(name), i32.const(step)));
  }

  emit(...code: readonly Code[]): void {
    for (const part of code) for (const byte of part) this.#code.push(byte);
  }

  /** Adds the function to a module under a new name, exported. */
  addTo(module: ModuleBuilder, name: string): void {
    const target = module.addFunction(name);
    for (const param of this.#params) target.addParam(param, 'i32');
    target.getBody = () => this.#body();
    module.exportFunction(name);
  }

  #index(name: string): number[] {
    const index = this.#names.get(name);
    if (index === undefined) throw new Error(`no local ${name}`);
    return unsigned(index);
  }

  #body(): number[] {
    const declarations = this.#locals.flatMap((type) => [1, type]);
    const body = [...unsigned(this.#locals.length), ...declarations, ...this.#code, 0x0b];
    return [...unsigned(body.length), ...body];
  }
}

/** Calls a function of the module. */
export function call(module: ModuleBuilder, name: string, ...args: readonly Code[]): Code {
  return [...args.flat(), 0x10, ...unsigned(module.functionIdxByName[name]!)];
}

/**
 * WebAssembly kernels for G1, four points at a time in vector lanes (see quadField.ts): bucket sums for
 * multi-scalar multiplication and sums of a few points with common scalars.
 *
 * Jacobian coordinates; a point is three quads X, Y, Z, 480 bytes, values x 2^260. The formulas do not cover the
 * identity, equal and opposite points: there H = 0, so Z3 = 0, and a zero Z stays zero through every later addition
 * and doubling. Callers start from random points, take them off at the end, and fall back to the library when a
 * final Z is zero. Every result is thus right for every input.
 *
 * Bounds in multiples of q: X < 15, Y < 13, Z < 2 before and after each operation; a product of values below A q and
 * B q is below (A B / 84 + 1) q.
 */
import { CUBE_ROOT } from './endomorphism.js';
import {
  LIMB_BITS,
  LIMB_MASK,
  MULTIPLIER_BYTES,
  multiplierWords,
  PAIRS,
  packPair,
  QUAD_BYTES,
  QuadField,
} from './quadField.js';
import { collect, cutSigned, ELEMENT_BYTES, reduceOnce, storeMultiplier, WORDS } from './quadWords.js';
import { Q } from './scalar.js';
import {
  type Code,
  call,
  choose,
  i32,
  i64,
  type ModuleBuilder,
  v128,
  WasmFunction,
  whileLoop,
} from './wasmCode.js';

/** Bytes of a point: three quads. */
export const POINT_QUAD_BYTES = 3 * QUAD_BYTES;

/** Bytes of a bucket: the 30 words of one lane of a point, and two unused. */
export const BUCKET_BYTES = 128;

/** Bytes of a base: multipliers of x and y. */
export const BASE_BYTES = 2 * MULTIPLIER_BYTES;

/** Bytes of an operand of `zg_combine`: quads of x, W x, W^2 x (endomorphism.ts) and y. */
export const OPERAND_BYTES = 4 * QUAD_BYTES;

/** Bytes of a recoded scalar. */
export const RECODED_BYTES = 40;

const LANES = [0, 1, 2, 3] as const;
const X = 0;
const Y = QUAD_BYTES;
const Z = 2 * QUAD_BYTES;

const { i16x8 } = v128;

/** Adds the kernels. */
export function addCurveKernels(module: ModuleBuilder): void {
  const field = new QuadField(Q);
  const machine = new Machine(module, field);
  expandBases().addTo(module, 'zg_expandBases');
  recode().addTo(module, 'zg_recode');
  windowDigits().addTo(module, 'zg_windowDigits');
  rowDigits().addTo(module, 'zg_rowDigits');
  fill().addTo(module, 'zg_fill');
  addMixed(module, machine, 'words').addTo(module, 'zg_addWords');
  addMixed(module, machine, 'quads').addTo(module, 'zg_addQuads');
  addPoints(module, machine).addTo(module, 'zg_add');
  doublePoint(module, machine).addTo(module, 'zg_double');
  accumulate(module, machine).addTo(module, 'zg_accumulate');
  sumBuckets(module, machine).addTo(module, 'zg_sumBuckets');
  loadAffine(module, machine).addTo(module, 'zg_loadAffine');
  combine(module, machine).addTo(module, 'zg_combine');
  storePoints(module, machine, field).addTo(module, 'zg_storePoints');
}

/** Quads at fixed addresses and the operations on them. */
class Machine {
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
    for (const multiple of [8, 16] as const) {
      twoOperands(field, (f) => [field.subtract(f, 's', 'a', 'b', multiple), field.carry(f, 's')], 's').addTo(
        module,
        `zg_sub${multiple}`,
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
  return multiplierWords(value).flatMap((word) => [0, 8, 16, 24].map((shift) => (word >>> shift) & 255));
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

function at(base: Code, offset: number): Code {
  return offset === 0 ? base : i32.add(base, i32.const(offset));
}

/** Multipliers of 16 x and 16 y of n affine points: 16 x 2^256 is x 2^260, below 16 q, which multipliers may be. */
function expandBases(): WasmFunction {
  const f = new WasmFunction(['points', 'n', 'out']);
  f.locals('i32', 'coordinates');
  const body = [...cutSigned(f, f.get('points'), 4)];
  body.push(...storeMultiplier(f, f.get('out')));
  f.emit(
    f.set('coordinates', i32.shl(f.get('n'), i32.const(1))),
    whileLoop(
      f.get('coordinates'),
      ...body,
      f.bump('points', ELEMENT_BYTES),
      f.bump('out', MULTIPLIER_BYTES),
      f.bump('coordinates', -1),
    ),
  );
  return f;
}

/** out[i] = scalars[i] + offset, 40 bytes each; scalars of 32 bytes below 2^256, offset of 40 bytes. */
function recode(): WasmFunction {
  const f = new WasmFunction(['scalars', 'n', 'offset', 'out']);
  f.locals('i64', 'carry', 'sum', 'word');
  const get = (name: string) => f.get(name);
  const body: Code[] = [f.set('carry', i64.const(0))];
  for (const i of [0, 1, 2, 3, 4]) {
    body.push(
      f.set('word', i < 4 ? i64.load(get('scalars'), 8 * i) : i64.const(0)),
      f.set('sum', i64.add(get('word'), get('carry'))),
      f.set('carry', i64.extendU(i64.ltU(get('sum'), get('carry')))),
      f.set('word', i64.load(get('offset'), 8 * i)),
      f.set('sum', i64.add(get('sum'), get('word'))),
      f.set('carry', i64.add(get('carry'), i64.extendU(i64.ltU(get('sum'), get('word'))))),
      i64.store(get('out'), 8 * i, get('sum')),
    );
  }
  f.emit(
    whileLoop(
      get('n'),
      ...body,
      f.bump('scalars', ELEMENT_BYTES),
      f.bump('out', RECODED_BYTES),
      f.bump('n', -1),
    ),
  );
  return f;
}

/**
 * Four digits of each recoded scalar, int16: lane l has bits [first + l width, + width) less 2^(width - 1).
 *
 * Reads eight bytes from the byte of the first bit on: the buffer needs eight bytes of slack.
 */
function windowDigits(): WasmFunction {
  const f = new WasmFunction(['scalars', 'n', 'first', 'width', 'out']);
  f.locals('i32', 'bit', 'mask', 'half');
  const get = (name: string) => f.get(name);
  const body: Code[] = [f.set('bit', get('first'))];
  for (const lane of LANES) {
    const address = i32.add(get('scalars'), i32.shrU(get('bit'), i32.const(3)));
    const shift = i64.extendU(i32.and(get('bit'), i32.const(7)));
    const digit = i32.and(i64.wrap(i64.shrU(i64.load(address), shift)), get('mask'));
    body.push(
      i32.store16(get('out'), 2 * lane, i32.sub(digit, get('half'))),
      f.set('bit', i32.add(get('bit'), get('width'))),
    );
  }
  f.emit(
    f.set('half', i32.shl(i32.const(1), i32.sub(get('width'), i32.const(1)))),
    f.set('mask', i32.sub(i32.shl(get('half'), i32.const(1)), i32.const(1))),
    whileLoop(get('n'), ...body, f.bump('scalars', RECODED_BYTES), f.bump('out', 8), f.bump('n', -1)),
  );
  return f;
}

/** Digits of two int16 rows: w = d0 + 256 d1 with d0 in [-128, 127] and d1 in [-128, 128]; lanes a0, a1, b0, b1. */
function rowDigits(): WasmFunction {
  const f = new WasmFunction(['a', 'b', 'n', 'out']);
  f.locals('i32', 'value');
  const body: Code[] = [];
  (['a', 'b'] as const).forEach((row, i) => {
    // 128 + 128 * 256, so that both digits come out 128 too large
    body.push(
      f.set('value', i32.add(i32.load16S(f.get(row)), i32.const(32896))),
      i32.store16(f.get('out'), 4 * i, i32.sub(i32.and(f.get('value'), i32.const(255)), i32.const(128))),
      i32.store16(f.get('out'), 4 * i + 2, i32.sub(i32.shrU(f.get('value'), i32.const(8)), i32.const(128))),
    );
  });
  f.emit(whileLoop(f.get('n'), ...body, f.bump('a', 2), f.bump('b', 2), f.bump('out', 8), f.bump('n', -1)));
  return f;
}

/** n copies of one bucket. */
function fill(): WasmFunction {
  const f = new WasmFunction(['buckets', 'n', 'bucket']);
  const copy = Array.from({ length: BUCKET_BYTES / 16 }, (_, i) =>
    v128.store(f.get('buckets'), 16 * i, v128.load(f.get('bucket'), 16 * i)),
  );
  f.emit(whileLoop(f.get('n'), ...copy, f.bump('buckets', BUCKET_BYTES), f.bump('n', -1)));
  return f;
}

/**
 * The common end of both additions: from U2 - U1 (H), S2 - S1 (r), U1 and S1 to X3, Y3; Z3 = `z` H.
 *
 * X3 = r^2 - H^3 - 2 U1 H^2, Y3 = r (U1 H^2 - X3) - S1 H^3.
 */
function finishAddition(m: Machine, p: Code, u1: Code, s1: Code, z: Code): Code[] {
  const [h, r, hh, hhh, v, t] = ['h', 'r', 'hh', 'hhh', 'v', 't'].map((name) => m.slot(name)) as [
    Code,
    Code,
    Code,
    Code,
    Code,
    Code,
  ];
  return [
    m.mul(h, h, hh),
    m.mul(h, hh, hhh),
    m.mul(u1, hh, v),
    m.mul(s1, hhh, m.slot('sh')),
    m.mul(z, h, at(p, Z)),
    m.sum(v, v, t),
    m.sum(t, hhh, t),
    m.mul(r, r, hh),
    m.sub8(hh, t, at(p, X)),
    m.sub16(v, at(p, X), t),
    m.mul(r, t, hh),
    m.sub8(hh, m.slot('sh'), at(p, Y)),
  ];
}

/**
 * p += (x, +-y): an affine point, as multipliers (the same in all lanes) or as quads; signs by the machine's vector.
 */
function addMixed(module: ModuleBuilder, m: Machine, form: 'words' | 'quads'): WasmFunction {
  const f = new WasmFunction(['p', 'x', 'y']);
  const p = f.get('p');
  const [zz, u2, s2] = [m.slot('zz'), m.slot('u2'), m.slot('s2')];
  const product = (a: Code, coordinate: 'x' | 'y', out: Code) =>
    form === 'words' ? m.mulWords(a, f.get(coordinate), out) : m.mul(a, f.get(coordinate), out);
  f.emit(
    m.mul(at(p, Z), at(p, Z), zz),
    product(zz, 'x', u2),
    m.mul(zz, at(p, Z), zz),
    product(zz, 'y', s2),
    call(module, 'zg_applySigns', s2),
    m.sub16(u2, at(p, X), m.slot('h')),
    m.sub16(s2, at(p, Y), m.slot('r')),
    ...finishAddition(m, p, at(p, X), at(p, Y), at(p, Z)),
  );
  return f;
}

/** p += q */
function addPoints(_module: ModuleBuilder, m: Machine): WasmFunction {
  const f = new WasmFunction(['p', 'q']);
  const p = f.get('p');
  const q = f.get('q');
  const [z1, z2, u1, s1, u2, s2, zz] = ['z1', 'z2', 'u1', 's1', 'u2', 's2', 'zz'].map((name) =>
    m.slot(name),
  ) as [Code, Code, Code, Code, Code, Code, Code];
  f.emit(
    m.mul(at(p, Z), at(p, Z), z1),
    m.mul(at(q, Z), at(q, Z), z2),
    m.mul(at(p, X), z2, u1),
    m.mul(at(q, X), z1, u2),
    m.mul(at(q, Z), z2, z2),
    m.mul(at(p, Z), z1, z1),
    m.mul(at(p, Y), z2, s1),
    m.mul(at(q, Y), z1, s2),
    m.sub8(u2, u1, m.slot('h')),
    m.sub8(s2, s1, m.slot('r')),
    m.mul(at(p, Z), at(q, Z), zz),
    ...finishAddition(m, p, u1, s1, zz),
  );
  return f;
}

/** p = 2p: M = 3 X^2, S = 4 X Y^2, X3 = M^2 - 2S, Y3 = M (S - X3) - 8 Y^4, Z3 = 2 Y Z. */
function doublePoint(_module: ModuleBuilder, m: Machine): WasmFunction {
  const f = new WasmFunction(['p']);
  const p = f.get('p');
  const [a, b, b2, b4, s, t] = ['u1', 's1', 'z1', 'z2', 'u2', 't'].map((name) => m.slot(name)) as [
    Code,
    Code,
    Code,
    Code,
    Code,
    Code,
  ];
  f.emit(
    m.mul(at(p, X), at(p, X), a),
    m.mul(at(p, Y), at(p, Y), b),
    m.sum(b, b, b2),
    m.sum(b2, b2, b4),
    m.mul(at(p, X), b4, s),
    m.mul(b2, b4, b4),
    m.sum(at(p, Y), at(p, Y), t),
    m.mul(t, at(p, Z), at(p, Z)),
    m.sum(a, a, t),
    m.sum(t, a, a),
    m.mul(a, a, b),
    m.sum(s, s, t),
    m.sub8(b, t, at(p, X)),
    m.sub16(s, at(p, X), t),
    m.mul(a, t, b),
    m.sub8(b, b4, at(p, Y)),
  );
  return f;
}

/** Words of four buckets (pointers p0..p3) to the vectors of a point in memory, or back: 4 x 4 transpositions. */
function transpose(f: WasmFunction, point: number, direction: 'gather' | 'scatter'): Code {
  f.locals('v128', 'r0', 'r1', 'r2', 'r3', 't0', 't1', 't2', 't3');
  const words = (...lanes: readonly number[]) =>
    lanes.flatMap((lane) => [0, 1, 2, 3].map((b) => 4 * lane + b));
  const mix = (a: string, b: string, ...lanes: readonly number[]) =>
    v128.shuffle(f.get(a), f.get(b), words(...lanes));
  const code: Code[] = [];
  // the last group has two vectors only; buckets have two unused words
  for (let group = 0; group < 8; group++) {
    const lanes = LANES.filter((lane) => 4 * group + lane < 3 * PAIRS);
    if (direction === 'gather') {
      code.push(...LANES.map((l) => f.set(`r${l}`, v128.load(f.get(`p${l}`), 16 * group))));
    } else {
      const load = (l: number) => v128.load(i32.const(point), 16 * (4 * group + l));
      code.push(...LANES.map((l) => f.set(`r${l}`, lanes.includes(l) ? load(l) : v128.const32(0))));
    }
    code.push(
      f.set('t0', mix('r0', 'r1', 0, 4, 1, 5)),
      f.set('t1', mix('r2', 'r3', 0, 4, 1, 5)),
      f.set('t2', mix('r0', 'r1', 2, 6, 3, 7)),
      f.set('t3', mix('r2', 'r3', 2, 6, 3, 7)),
      f.set('r0', mix('t0', 't1', 0, 1, 4, 5)),
      f.set('r1', mix('t0', 't1', 2, 3, 6, 7)),
      f.set('r2', mix('t2', 't3', 0, 1, 4, 5)),
      f.set('r3', mix('t2', 't3', 2, 3, 6, 7)),
    );
    if (direction === 'gather') {
      code.push(...lanes.map((l) => v128.store(i32.const(point), 16 * (4 * group + l), f.get(`r${l}`))));
    } else {
      code.push(...LANES.map((l) => v128.store(f.get(`p${l}`), 16 * group, f.get(`r${l}`))));
    }
  }
  return code.flat();
}

/**
 * Adds each base, or its negative, to four buckets: lane l to bucket |digit_l| of its own array. Bucket 0 takes what
 * is multiplied by zero.
 *
 * @param digits four int16 a base
 * @param stride bytes from the buckets of one lane to those of the next
 */
function accumulate(module: ModuleBuilder, m: Machine): WasmFunction {
  const f = new WasmFunction(['bases', 'digits', 'n', 'buckets', 'stride']);
  f.locals('i32', 'p0', 'p1', 'p2', 'p3', 'digit', 'sign', 'array');
  const get = (name: string) => f.get(name);
  const body: Code[] = [f.set('array', get('buckets'))];
  for (const lane of LANES) {
    const size = i32.sub(i32.xor(get('digit'), get('sign')), get('sign'));
    body.push(
      f.set('digit', i32.load16S(get('digits'), 2 * lane)),
      f.set('sign', i32.shrS(get('digit'), i32.const(31))),
      i32.store(i32.const(m.signs), 4 * lane, get('sign')),
      f.set(`p${lane}`, i32.add(get('array'), i32.mul(size, i32.const(BUCKET_BYTES)))),
      f.set('array', i32.add(get('array'), get('stride'))),
    );
  }
  f.emit(
    whileLoop(
      get('n'),
      ...body,
      transpose(f, m.point, 'gather'),
      call(
        module,
        'zg_addWords',
        i32.const(m.point),
        get('bases'),
        i32.add(get('bases'), i32.const(MULTIPLIER_BYTES)),
      ),
      transpose(f, m.point, 'scatter'),
      f.bump('bases', BASE_BYTES),
      f.bump('digits', 8),
      f.bump('n', -1),
    ),
  );
  return f;
}

/** total += sum_b b * bucket_b over buckets 1..n of four arrays; `running` and `total` come in as random points. */
function sumBuckets(module: ModuleBuilder, m: Machine): WasmFunction {
  const f = new WasmFunction(['buckets', 'stride', 'n', 'running', 'total']);
  f.locals('i32', 'p0', 'p1', 'p2', 'p3');
  const get = (name: string) => f.get(name);
  f.emit(
    f.set('p0', i32.add(get('buckets'), i32.mul(get('n'), i32.const(BUCKET_BYTES)))),
    ...([1, 2, 3] as const).map((l) => f.set(`p${l}`, i32.add(get(`p${l - 1}`), get('stride')))),
    whileLoop(
      get('n'),
      transpose(f, m.point, 'gather'),
      call(module, 'zg_add', get('running'), i32.const(m.point)),
      call(module, 'zg_add', get('total'), get('running')),
      ...LANES.map((l) => f.bump(`p${l}`, -BUCKET_BYTES)),
      f.bump('n', -1),
    ),
  );
  return f;
}

/** An operand of {@link combine} from four affine points, `stride` bytes apart. */
function loadAffine(module: ModuleBuilder, m: Machine): WasmFunction {
  const f = new WasmFunction(['points', 'stride', 'out']);
  f.locals('i32', 'p1', 'p2', 'p3');
  const get = (name: string) => f.get(name);
  const pointers = ['points', 'p1', 'p2', 'p3'];
  f.emit(...([1, 2, 3] as const).map((l) => f.set(`p${l}`, i32.add(get(pointers[l - 1]!), get('stride')))));
  for (const [coordinate, offset] of [
    [0, 0],
    [1, 3 * QUAD_BYTES],
  ] as const) {
    const out = at(get('out'), offset);
    const sources = pointers.map((pointer) => at(get(pointer), coordinate * ELEMENT_BYTES));
    f.emit(call(module, 'zq_load', ...sources, i32.const(1), out), m.mulWords(out, i32.const(m.enter), out));
  }
  m.roots.forEach((root, i) => {
    f.emit(m.mulWords(get('out'), i32.const(root), at(get('out'), (i + 1) * QUAD_BYTES)));
  });
  return f;
}

/**
 * p = start 2^k + sum of points with common scalars, by double-and-add: the program has a byte for each step: 0 doubles,
 * 1 + 8j + 2u adds W^u times point j, one more subtracts it; `points` are operands of {@link loadAffine}.
 */
function combine(module: ModuleBuilder, m: Machine): WasmFunction {
  const f = new WasmFunction(['p', 'start', 'points', 'program', 'length']);
  f.locals('i32', 'step', 'quad');
  const get = (name: string) => f.get(name);
  const quad = (index: Code) => i32.add(get('points'), i32.mul(index, i32.const(QUAD_BYTES)));
  const add: Code[] = [
    f.set('step', i32.sub(get('step'), i32.const(1))),
    f.set('quad', i32.shrU(get('step'), i32.const(1))),
    f.set('step', i32.sub(i32.const(0), i32.and(get('step'), i32.const(1)))),
    ...LANES.map((l) => i32.store(i32.const(m.signs), 4 * l, get('step'))),
    call(module, 'zg_addQuads', get('p'), quad(get('quad')), quad(i32.or(get('quad'), i32.const(3)))),
  ];
  f.emit(
    ...Array.from({ length: 3 * PAIRS }, (_, i) =>
      v128.store(get('p'), 16 * i, v128.load(get('start'), 16 * i)),
    ),
    whileLoop(
      get('length'),
      f.set('step', i32.load8U(get('program'))),
      choose(get('step'), add, [call(module, 'zg_double', get('p'))]),
      f.bump('program', 1),
      f.bump('length', -1),
    ),
  );
  return f;
}

/** Four Jacobian points in ffjavascript's form, 96 bytes each, from a point quad. */
function storePoints(_module: ModuleBuilder, m: Machine, field: QuadField): WasmFunction {
  const f = new WasmFunction(['p', 'out']);
  f.locals('i32', 'lane', 'from');
  f.locals('i64', ...WORDS.map((i) => `w${i}`));
  const get = (name: string) => f.get(name);
  [X, Y, Z].forEach((offset, i) => {
    const scratch = m.slot('t');
    f.emit(
      m.mulWords(at(get('p'), offset), i32.const(m.leave), scratch),
      f.set('from', scratch),
      f.set('lane', i32.const(4)),
      whileLoop(
        get('lane'),
        collect(f, get('from')),
        reduceOnce(f, field.modulus),
        reduceOnce(f, field.modulus),
        ...WORDS.map((w) => i64.store(get('out'), ELEMENT_BYTES * i + 8 * w, f.get(`w${w}`))),
        f.bump('from', 4),
        f.bump('out', 3 * ELEMENT_BYTES),
        f.bump('lane', -1),
      ),
      f.bump('out', -4 * 3 * ELEMENT_BYTES),
    );
  });
  return f;
}

/** One lane's words of a Jacobian point (x, y, 1), the template of {@link fill}. */
export function bucketWords(x: bigint, y: bigint): Uint8Array {
  const words = new Int32Array(BUCKET_BYTES / 4);
  [x, y, 1n].forEach((coordinate, c) => {
    const value = (coordinate << 260n) % Q;
    for (let i = 0; i < PAIRS; i++) {
      const limb = (k: number) => Number((value >> BigInt(LIMB_BITS * k)) & BigInt(LIMB_MASK));
      words[c * PAIRS + i] = packPair(limb(2 * i), limb(2 * i + 1));
    }
  });
  return new Uint8Array(words.buffer);
}

/** The same affine point in all four lanes, as a point quad. */
export function pointQuad(x: bigint, y: bigint): Uint8Array {
  const words = new Int32Array(bucketWords(x, y).buffer);
  const quad = new Int32Array(POINT_QUAD_BYTES / 4);
  for (let i = 0; i < 3 * PAIRS; i++) quad.fill(words[i]!, 4 * i, 4 * i + 4);
  return new Uint8Array(quad.buffer);
}

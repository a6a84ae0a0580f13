/**
 * WebAssembly kernels for bucket sums in affine coordinates, four windows at a time in vector lanes: the points of a
 * bucket are added in pairs, the sums in pairs again, and all additions of a round share one inversion (Montgomery's
 * trick). An addition takes 6 multiplications in place of the 11 of a mixed addition in Jacobian coordinates.
 *
 * A point in memory is 20 words, x then y as ten pairs of limbs each, values x 2^260. An item is the address of a
 * point; bit 0 says that its negative is meant. Each lane has its own list of items, ordered by bucket, and for each
 * bucket the address where its items end.
 *
 * Two points of a pair with the same x have no slope: then the product of the round is zero, no round counts, and all
 * items are added one by one to a random point (`zg_sumItems`), which nothing but its own multiples can meet.
 *
 * Bounds in multiples of q, after round j: x in (-0.1, 2), |y| < 2 (j + 1); values may be negative. Rounds halve the
 * lists, so j <= 16 and every difference stays below 84 q, which is 2^260.
 */
import {
  at,
  copyQuads,
  gatherWords,
  LANES,
  limbPairs,
  type Machine,
  POINT_QUAD_BYTES,
  scatterWords,
  wordBytes,
} from './curveMachine.js';
import { LIMB_BITS, PAIRS, packPair, QUAD_BYTES, type QuadField, signedLimbs } from './quadField.js';
import { collect, ELEMENT_BYTES, reduceOnce, WORDS } from './quadWords.js';
import { Q } from './scalar.js';
import {
  type Code,
  call,
  i32,
  i64,
  type ModuleBuilder,
  v128,
  WasmFunction,
  when,
  whileLoop,
} from './wasmCode.js';

/** Bytes of an affine point as the lists refer to it. */
export const POINT_BYTES = 2 * PAIRS * 4;

/** Bytes of a pair of items with the address for their sum. */
export const PAIR_BYTES = 12;

/** Bytes that a round keeps of each quad of pairs: the difference of x, and the product of those before it. */
export const WORK_BYTES = 2 * QUAD_BYTES;

const ITEM_BYTES = 4;

/** Fewer pairs than this cost less as single additions than an inversion does. */
const MIN_PAIRS = 16;

const { i16x8, i32x4 } = v128;

/** Adds the kernels; those of quadKernels.ts and the library's field `f1m` must be there. */
export function addAffineKernels(module: ModuleBuilder, m: Machine, field: QuadField): void {
  const memory = new AffineMemory(module);
  loadPoints(module, m).addTo(module, 'zg_loadPoints');
  sortLane().addTo(module, 'zg_sortLane');
  pairLane(memory).addTo(module, 'zg_pairLane');
  padLane(memory).addTo(module, 'zg_padLane');
  reduceSmall(field).addTo(module, 'zg_reduceSmall');
  invert(module, m, memory, field).addTo(module, 'zg_invert');
  addPairs(module, m, memory).addTo(module, 'zg_addPairs');
  sumItems(module, m, memory).addTo(module, 'zg_sumItems');
  sumAffine(module, memory).addTo(module, 'zg_sumAffine');
}

/** Fixed addresses. */
class AffineMemory {
  /** A pair of points with different x, for lanes that have none left. */
  readonly pair: readonly [number, number];
  /** Where the sum of that pair goes. */
  readonly unused: number;
  /** Quad of ones. */
  readonly one: number;
  readonly zero: number;
  /** Ends of the four lists of pairs; next free results of the lanes. */
  readonly pairEnds: number;
  readonly results: number;
  /** 1 after an inversion of zero. */
  readonly failed: number;
  /** Room for elements of 32 bytes. */
  readonly elements: number;
  /** Two gathered points. */
  readonly left: number;
  readonly right: number;
  /** Words of the lanes that take part. */
  readonly active: number;
  readonly saved: number;

  constructor(module: ModuleBuilder) {
    this.pair = [module.alloc(pointWords(1n, 2n)), module.alloc(pointWords(...DOUBLE_GENERATOR))];
    this.unused = module.alloc(POINT_BYTES);
    this.one = module.alloc(quadOf(1n));
    this.zero = module.alloc(QUAD_BYTES);
    this.pairEnds = module.alloc(16);
    this.results = module.alloc(16);
    this.failed = module.alloc(4);
    this.elements = module.alloc(ELEMENTS * ELEMENT_BYTES);
    this.left = module.alloc(2 * QUAD_BYTES);
    this.right = module.alloc(2 * QUAD_BYTES);
    this.active = module.alloc(16);
    this.saved = module.alloc(POINT_QUAD_BYTES);
  }

  element(i: number): Code {
    return i32.const(this.elements + i * ELEMENT_BYTES);
  }
}

const ELEMENTS = 12;

/** 2 (1, 2): slope 3/4. */
const DOUBLE_GENERATOR = ((): [bigint, bigint] => {
  const slope = (3n * inverse(4n)) % Q;
  const x = (slope * slope + Q - 2n) % Q;
  return [x, (slope * (Q + 1n - x) + Q - 2n) % Q];
})();

function inverse(value: bigint): bigint {
  let [power, result] = [value, 1n];
  for (let e = Q - 2n; e > 0n; e >>= 1n) {
    if (e & 1n) result = (result * power) % Q;
    power = (power * power) % Q;
  }
  return result;
}

function pointWords(x: bigint, y: bigint): number[] {
  return wordBytes([...limbPairs(x), ...limbPairs(y)]);
}

function quadOf(value: bigint): number[] {
  return wordBytes(limbPairs(value).flatMap((word) => [word, word, word, word]));
}

/** n affine points in ffjavascript's form, n a multiple of four, to points of this file. */
function loadPoints(module: ModuleBuilder, m: Machine): WasmFunction {
  const f = new WasmFunction(['points', 'n', 'out']);
  f.locals('i32', 'p0', 'p1', 'p2', 'p3');
  const point = i32.const(m.point);
  const load = [0, 1].flatMap((coordinate) => {
    const to = at(point, coordinate * QUAD_BYTES);
    const sources = LANES.map((l) =>
      i32.add(f.get('points'), i32.const((2 * l + coordinate) * ELEMENT_BYTES)),
    );
    return [call(module, 'zq_load', ...sources, i32.const(1), to), m.mulWords(to, i32.const(m.enter), to)];
  });
  f.emit(
    whileLoop(
      f.get('n'),
      ...load,
      ...LANES.map((l) => f.set(`p${l}`, at(f.get('out'), l * POINT_BYTES))),
      scatterWords(f, point, 2 * PAIRS),
      f.bump('points', 8 * ELEMENT_BYTES),
      f.bump('out', 4 * POINT_BYTES),
      f.bump('n', -4),
    ),
  );
  return f;
}

/**
 * Items of one lane, ordered by bucket, from its digits: `ends[b]` is where those of bucket b end, `ends[0]` where
 * those of bucket 1 begin. What is multiplied by zero becomes no item.
 *
 * @param digits int16, eight bytes apart, at most `buckets` in size
 */
function sortLane(): WasmFunction {
  const f = new WasmFunction(['digits', 'n', 'points', 'buckets', 'ends', 'items']);
  f.locals('i32', 'end', 'left', 'digit', 'sign', 'size', 'from');
  const get = (name: string) => f.get(name);
  const read = [
    f.set('digit', i32.load16S(get('from'))),
    f.set('sign', i32.shrS(get('digit'), i32.const(31))),
    f.set('size', i32.sub(i32.xor(get('digit'), get('sign')), get('sign'))),
    f.set('end', i32.add(get('ends'), i32.shl(get('size'), i32.const(2)))),
  ];
  const next = [f.bump('from', 8), f.bump('left', -1)];
  f.emit(
    f.set('left', i32.add(get('buckets'), i32.const(1))),
    f.set('end', get('ends')),
    whileLoop(get('left'), i32.store(get('end'), 0, i32.const(0)), f.bump('end', 4), f.bump('left', -1)),
    f.set('left', get('n')),
    f.set('from', get('digits')),
    whileLoop(
      get('left'),
      ...read,
      i32.store(get('end'), 0, i32.add(i32.load(get('end')), i32.const(ITEM_BYTES))),
      ...next,
    ),
    // counts to beginnings
    i32.store(get('ends'), 0, get('items')),
    f.set('end', at(get('ends'), 4)),
    f.set('left', get('buckets')),
    whileLoop(
      get('left'),
      f.set('size', i32.load(get('end'))),
      i32.store(get('end'), 0, get('items')),
      f.set('items', i32.add(get('items'), get('size'))),
      f.bump('end', 4),
      f.bump('left', -1),
    ),
    f.set('left', get('n')),
    f.set('from', get('digits')),
    whileLoop(
      get('left'),
      ...read,
      when(
        get('size'),
        f.set('items', i32.load(get('end'))),
        i32.store(get('items'), 0, i32.sub(get('points'), get('sign'))),
        i32.store(get('end'), 0, at(get('items'), ITEM_BYTES)),
      ),
      f.bump('points', POINT_BYTES),
      ...next,
    ),
  );
  return f;
}

/** Pairs of the items of each bucket of one lane; in the list the sum takes the place of its two items. */
function pairLane(memory: AffineMemory): WasmFunction {
  const f = new WasmFunction(['lane', 'ends', 'buckets', 'pairs']);
  f.locals('i32', 'read', 'write', 'end', 'result');
  const get = (name: string) => f.get(name);
  const cell = (base: number) => i32.add(i32.const(base), i32.shl(get('lane'), i32.const(2)));
  f.emit(
    f.set('read', i32.load(get('ends'))),
    f.set('write', get('read')),
    f.set('result', i32.load(cell(memory.results))),
    whileLoop(
      get('buckets'),
      f.bump('ends', 4),
      f.set('end', i32.load(get('ends'))),
      whileLoop(
        i32.ltU(at(get('read'), ITEM_BYTES), get('end')),
        i32.store(get('pairs'), 0, i32.load(get('read'))),
        i32.store(get('pairs'), 4, i32.load(get('read'), ITEM_BYTES)),
        i32.store(get('pairs'), 8, get('result')),
        i32.store(get('write'), 0, get('result')),
        f.bump('pairs', PAIR_BYTES),
        f.bump('result', POINT_BYTES),
        f.bump('write', ITEM_BYTES),
        f.bump('read', 2 * ITEM_BYTES),
      ),
      when(
        i32.ltU(get('read'), get('end')),
        i32.store(get('write'), 0, i32.load(get('read'))),
        f.bump('write', ITEM_BYTES),
        f.bump('read', ITEM_BYTES),
      ),
      i32.store(get('ends'), 0, get('write')),
      f.bump('buckets', -1),
    ),
    i32.store(cell(memory.results), 0, get('result')),
    i32.store(cell(memory.pairEnds), 0, get('pairs')),
  );
  return f;
}

/** Fills the list of pairs of one lane, up to `end`, with a pair whose sum nobody uses. */
function padLane(memory: AffineMemory): WasmFunction {
  const f = new WasmFunction(['pairs', 'end']);
  f.emit(
    whileLoop(
      i32.ltU(f.get('pairs'), f.get('end')),
      i32.store(f.get('pairs'), 0, i32.const(memory.pair[0])),
      i32.store(f.get('pairs'), 4, i32.const(memory.pair[1])),
      i32.store(f.get('pairs'), 8, i32.const(memory.unused)),
      f.bump('pairs', PAIR_BYTES),
    ),
  );
  return f;
}

/** a = a mod q, up to a fiftieth of q below 0 or above q, for a of less than 6 q in size. */
function reduceSmall(field: QuadField): WasmFunction {
  const f = new WasmFunction(['a']);
  f.locals('v128', 'factor');
  const loaded = field.load(f, 'a', f.get('a'));
  const limbs = signedLimbs(field.modulus);
  // q in units of the top limb, inverted
  const scale = Number((65536n << BigInt(LIMB_BITS * (2 * PAIRS - 1))) / field.modulus);
  const top = i32x4.shrS(f.get(`a${PAIRS - 1}`), 16);
  const quotient = i32x4.shrS(i32x4.mul(top, v128.const32(scale)), 16);
  f.emit(
    loaded,
    f.set('factor', i32x4.sub(v128.const32(0), quotient)),
    f.set('factor', v128.or(v128.and(f.get('factor'), v128.const32(0xffff)), i32x4.shl(f.get('factor'), 16))),
    ...Array.from({ length: PAIRS }, (_, i) => {
      const q = v128.const32(packPair(limbs[2 * i]!, limbs[2 * i + 1]!));
      return f.set(`a${i}`, i16x8.add(f.get(`a${i}`), i16x8.mul(f.get('factor'), q)));
    }),
    field.carry(f, 'a'),
    field.store(f, 'a', f.get('a')),
  );
  return f;
}

/** a = 1 / a in all lanes; if one is zero nothing changes but the flag. */
function invert(module: ModuleBuilder, m: Machine, memory: AffineMemory, field: QuadField): WasmFunction {
  const f = new WasmFunction(['a']);
  f.locals('i32', 'from', 'to', 'left');
  f.locals('i64', ...WORDS.map((i) => `w${i}`));
  const element = (i: number) => memory.element(i);
  const mul = (a: number, b: number, out: number) =>
    call(module, 'f1m_mul', element(a), element(b), element(out));
  const scratch = m.slot('t');
  // 0..3 the lanes, 4 and 5 products of two, 6 of all, 7 its inverse, then the inverses of 4 and 5 in 8 and 9
  f.emit(
    // a positive multiple, canonical in the library's form
    m.sub8(f.get('a'), i32.const(memory.zero), scratch),
    m.mulWords(scratch, i32.const(m.leave), scratch),
    f.set('from', scratch),
    f.set('to', element(0)),
    f.set('left', i32.const(4)),
    whileLoop(
      f.get('left'),
      collect(f, f.get('from')),
      reduceOnce(f, field.modulus),
      reduceOnce(f, field.modulus),
      ...WORDS.map((w) => i64.store(f.get('to'), 8 * w, f.get(`w${w}`))),
      f.bump('from', 4),
      f.bump('to', ELEMENT_BYTES),
      f.bump('left', -1),
    ),
    mul(0, 1, 4),
    mul(2, 3, 5),
    mul(4, 5, 6),
    i32.store(i32.const(memory.failed), 0, call(module, 'f1m_isZero', element(6))),
    when(
      i32.eqz(i32.load(i32.const(memory.failed))),
      call(module, 'f1m_inverse', element(6), element(7)),
      mul(7, 5, 8),
      mul(7, 4, 9),
      mul(8, 1, 4),
      mul(8, 0, 5),
      mul(9, 3, 6),
      mul(9, 2, 7),
      call(module, 'zq_load', element(4), element(5), element(6), element(7), i32.const(1), f.get('a')),
      m.mulWords(f.get('a'), i32.const(m.enter), f.get('a')),
    ),
  );
  return f;
}

/**
 * Adds the points of n pairs of each lane, n > 0: slope d = (y2 - y1) / (x2 - x1), x3 = d^2 - x1 - x2,
 * y3 = d (x1 - x3) - y1.
 *
 * @param stride bytes from the pairs of one lane to those of the next
 * @param work room for n entries
 */
function addPairs(module: ModuleBuilder, m: Machine, memory: AffineMemory): WasmFunction {
  const f = new WasmFunction(['pairs', 'stride', 'n', 'work']);
  f.locals('i32', 'left', ...LANES.flatMap((l) => [`e${l}`, `p${l}`]));
  const get = (name: string) => f.get(name);
  const [left, right] = [i32.const(memory.left), i32.const(memory.right)];
  const [xa, ya, xb, yb] = [left, at(left, QUAD_BYTES), right, at(right, QUAD_BYTES)];
  const [product, slope, t] = [m.slot('product'), m.slot('slope'), m.slot('u1')];
  const [difference, before] = [get('work'), at(get('work'), QUAD_BYTES)];
  const gather = (to: Code, item: 0 | 1, vectors: number): Code[] => [
    ...LANES.map((l) => f.set(`p${l}`, i32.and(i32.load(get(`e${l}`), 4 * item), i32.const(-2)))),
    gatherWords(f, to, vectors),
  ];
  const sign = (item: 0 | 1, y: Code): Code[] => [
    ...LANES.map((l) =>
      i32.store(
        i32.const(m.signs),
        4 * l,
        i32.sub(i32.const(0), i32.and(i32.load(get(`e${l}`), 4 * item), i32.const(1))),
      ),
    ),
    call(module, 'zg_applySigns', y),
  ];
  f.emit(
    f.set('e0', get('pairs')),
    ...([1, 2, 3] as const).map((l) => f.set(`e${l}`, i32.add(get(`e${l - 1}`), get('stride')))),
    copyQuads(product, i32.const(memory.one), 1),
    f.set('left', get('n')),
    whileLoop(
      get('left'),
      ...gather(left, 0, PAIRS),
      ...gather(right, 1, PAIRS),
      m.difference(xb, xa, difference),
      copyQuads(before, product, 1),
      m.mul(difference, product, product),
      ...LANES.map((l) => f.bump(`e${l}`, PAIR_BYTES)),
      f.bump('work', WORK_BYTES),
      f.bump('left', -1),
    ),
    call(module, 'zg_invert', product),
    when(
      i32.eqz(i32.load(i32.const(memory.failed))),
      f.set('left', get('n')),
      whileLoop(
        get('left'),
        // entries count from the last one
        ...LANES.map((l) => f.bump(`e${l}`, -PAIR_BYTES)),
        f.bump('work', -WORK_BYTES),
        ...gather(left, 0, 2 * PAIRS),
        ...sign(0, ya),
        ...gather(right, 1, 2 * PAIRS),
        ...sign(1, yb),
        m.mul(product, before, t),
        m.mul(product, difference, product),
        m.difference(yb, ya, slope),
        m.mul(slope, t, slope),
        m.mul(slope, slope, t),
        m.sum(xb, xa, xb),
        m.difference(t, xb, xb),
        call(module, 'zg_reduceSmall', xb),
        m.difference(xa, xb, t),
        m.mul(slope, t, yb),
        m.difference(yb, ya, yb),
        ...LANES.map((l) => f.set(`p${l}`, i32.load(get(`e${l}`), 8))),
        scatterWords(f, right, 2 * PAIRS),
        f.bump('left', -1),
      ),
    ),
  );
  return f;
}

/**
 * total += sum_b b * (sum of the items of bucket b) over buckets 1..n of four lanes; `running` and `total` come in as
 * random points.
 *
 * @param stride bytes from the ends of one lane to those of the next
 */
function sumItems(module: ModuleBuilder, m: Machine, memory: AffineMemory): WasmFunction {
  const f = new WasmFunction(['ends', 'stride', 'n', 'running', 'total']);
  f.locals(
    'i32',
    'all',
    'any',
    'bucket',
    'has',
    ...LANES.flatMap((l) => [`b${l}`, `i${l}`, `e${l}`, `p${l}`]),
  );
  f.locals('v128', 'mask');
  const get = (name: string) => f.get(name);
  const [x, y] = [i32.const(memory.left), i32.const(memory.left + QUAD_BYTES)];
  const look = [
    f.set('any', i32.const(0)),
    f.set('all', i32.const(-1)),
    ...LANES.flatMap((l) => [
      f.set('has', i32.sub(i32.const(0), i32.ltU(get(`i${l}`), get(`e${l}`)))),
      i32.store(i32.const(memory.active), 4 * l, get('has')),
      f.set('any', i32.or(get('any'), get('has'))),
      f.set('all', i32.and(get('all'), get('has'))),
    ]),
  ];
  const take = LANES.flatMap((l) => [
    f.set('has', i32.load(i32.const(memory.active), 4 * l)),
    f.set(`p${l}`, i32.const(memory.pair[0])),
    when(get('has'), f.set(`p${l}`, i32.load(get(`i${l}`)))),
    i32.store(i32.const(m.signs), 4 * l, i32.sub(i32.const(0), i32.and(get(`p${l}`), i32.const(1)))),
    f.set(`p${l}`, i32.and(get(`p${l}`), i32.const(-2))),
    // minus -1
    f.set(`i${l}`, i32.sub(get(`i${l}`), i32.shl(get('has'), i32.const(2)))),
  ]);
  const keep = Array.from({ length: 3 * PAIRS }, (_, i) =>
    v128.store(
      get('running'),
      16 * i,
      v128.select(v128.load(get('running'), 16 * i), v128.load(i32.const(memory.saved), 16 * i), get('mask')),
    ),
  );
  f.emit(
    f.set('bucket', i32.shl(get('n'), i32.const(2))),
    f.set('b0', i32.add(get('ends'), get('bucket'))),
    ...([1, 2, 3] as const).map((l) => f.set(`b${l}`, i32.add(get(`b${l - 1}`), get('stride')))),
    whileLoop(
      get('n'),
      ...LANES.flatMap((l) => [
        f.set(`e${l}`, i32.load(get(`b${l}`))),
        f.bump(`b${l}`, -4),
        f.set(`i${l}`, i32.load(get(`b${l}`))),
      ]),
      ...look,
      whileLoop(
        get('any'),
        ...take,
        gatherWords(f, x, 2 * PAIRS),
        copyQuads(i32.const(memory.saved), get('running'), 3),
        call(module, 'zg_addQuads', get('running'), x, y),
        when(i32.eqz(get('all')), f.set('mask', v128.load(i32.const(memory.active))), ...keep),
        ...look,
      ),
      call(module, 'zg_add', get('total'), get('running')),
      f.bump('n', -1),
    ),
  );
  return f;
}

/**
 * total += sum_i digit_i * point_i for four lanes of digits, plus `buckets` times the running point that comes in.
 *
 * @param points of {@link loadPoints}
 * @param digits four int16 a point, at most `buckets` in size
 * @param lists room for items (4 n words), ends (4 (buckets + 1) words) and pairs (4 (n / 2 + 1) entries)
 * @param results room for 4 n points
 * @param work room for n / 2 + 1 entries
 */
function sumAffine(module: ModuleBuilder, memory: AffineMemory): WasmFunction {
  const f = new WasmFunction([
    'points',
    'digits',
    'n',
    'buckets',
    'lists',
    'results',
    'work',
    'running',
    'total',
  ]);
  f.locals('i32', 'items', 'ends', 'endsStride', 'pairs', 'pairsStride', 'most', 'lane', 'to', 'bound');
  const get = (name: string) => f.get(name);
  const sortAll = LANES.map((l) =>
    call(
      module,
      'zg_sortLane',
      at(get('digits'), 2 * l),
      get('n'),
      get('points'),
      get('buckets'),
      i32.add(get('ends'), i32.mul(get('endsStride'), i32.const(l))),
      i32.add(get('items'), i32.mul(get('n'), i32.const(ITEM_BYTES * l))),
    ),
  );
  const pairsOf = (l: number) => i32.add(get('pairs'), i32.mul(get('pairsStride'), i32.const(l)));
  const round: Code[] = [
    f.set('most', i32.const(0)),
    ...LANES.flatMap((l) => [
      call(
        module,
        'zg_pairLane',
        i32.const(l),
        i32.add(get('ends'), i32.mul(get('endsStride'), i32.const(l))),
        get('buckets'),
        pairsOf(l),
      ),
      f.set('to', i32.sub(i32.load(i32.const(memory.pairEnds), 4 * l), pairsOf(l))),
      when(i32.ltU(get('most'), get('to')), f.set('most', get('to'))),
    ]),
    ...LANES.map((l) =>
      call(
        module,
        'zg_padLane',
        i32.load(i32.const(memory.pairEnds), 4 * l),
        i32.add(pairsOf(l), get('most')),
      ),
    ),
    f.set('most', i32.divU(get('most'), i32.const(PAIR_BYTES))),
    when(
      get('most'),
      call(module, 'zg_addPairs', get('pairs'), get('pairsStride'), get('most'), get('work')),
    ),
    // half as many or fewer next time
    f.set('bound', i32.shrU(get('most'), i32.const(1))),
    when(i32.load(i32.const(memory.failed)), ...sortAll, f.set('bound', i32.const(0))),
  ];
  f.emit(
    f.set('items', get('lists')),
    f.set('ends', i32.add(get('items'), i32.mul(get('n'), i32.const(4 * ITEM_BYTES)))),
    f.set('endsStride', i32.shl(i32.add(get('buckets'), i32.const(1)), i32.const(2))),
    f.set('pairs', i32.add(get('ends'), i32.shl(get('endsStride'), i32.const(2)))),
    f.set('bound', i32.shrU(get('n'), i32.const(1))),
    f.set('pairsStride', i32.mul(i32.add(get('bound'), i32.const(1)), i32.const(PAIR_BYTES))),
    ...LANES.map((l) =>
      i32.store(
        i32.const(memory.results),
        4 * l,
        i32.add(get('results'), i32.mul(get('n'), i32.const(POINT_BYTES * l))),
      ),
    ),
    ...sortAll,
    i32.store(i32.const(memory.failed), 0, i32.const(0)),
    whileLoop(i32.gtU(get('bound'), i32.const(MIN_PAIRS)), ...round),
    call(module, 'zg_sumItems', get('ends'), get('endsStride'), get('buckets'), get('running'), get('total')),
  );
  return f;
}

/** Room for the lists of {@link sumAffine}, bytes. */
export function listBytes(count: number, buckets: number): number {
  return 4 * (count * ITEM_BYTES + (buckets + 1) * 4 + ((count >> 1) + 1) * PAIR_BYTES);
}

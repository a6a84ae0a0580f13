/**
 * WebAssembly kernels for products of small-integer matrices with field vectors, see limbs.ts.
 *
 * A field vector comes as planes: blocks of eight elements, each 20 vectors of 16 bytes; lane e of vector l is limb l
 * of element e, 13 bits with sign (|limb| <= 4096). Sums of eight products (int16 x limb), 2^30 at most, are exact in 32 bits.
 */
import { LIMB_BITS, LIMB_MASK, LIMBS, QuadField, signedLimbs } from './quadField.js';
import { cutSigned, ELEMENT_BYTES, reduceOnce, storeFour, WORDS } from './quadWords.js';
import { R } from './scalar.js';
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

/** Elements of one block of planes. */
export const PLANE_ELEMENTS = 8;

/** Bytes of one block of planes. */
export const PLANE_BYTES = LIMBS * 16;

/** Columns that zk_multiplyRows takes at a time: four vectors of a row. */
export const MULTIPLY_COLUMNS = 32;

/** Rows that zk_multiplyRows takes at a time: the lanes of a quad. */
export const MULTIPLY_ROWS = 4;

const ROWS = [0, 1, 2, 3] as const;
const VECTORS = [0, 1, 2, 3] as const;
const { i32x4, i64x2 } = v128;

/** Adds the kernels. */
export function addLimbKernels(module: ModuleBuilder): void {
  const field = new QuadField(R);
  planes().addTo(module, 'zk_planes');
  reduceElement(R).addTo(module, 'zk_reduce');
  combineRows(module, field).addTo(module, 'zk_combineRows');
  multiplyRows(module, field).addTo(module, 'zk_multiplyRows');
  cutLong().addTo(module, 'zk_cutLong');
  fifthDigits().addTo(module, 'zk_fifthDigits');
  multiplyLong(module).addTo(module, 'zk_multiplyLong');
}

/** Four rows of sums: 20 vectors each. */
const SUMS_BYTES = MULTIPLY_ROWS * LIMBS * 16;

/** Planes of n canonical elements, n a multiple of eight. */
function planes(): WasmFunction {
  const f = new WasmFunction(['a', 'n', 'out']);
  f.locals('i32', 'lane');
  const body: Code[] = cutSigned(f, f.get('a'));
  for (let l = 0; l < LIMBS; l++) body.push(i64.store16(f.get('out'), 16 * l, f.get(`b${l}`)));
  f.emit(
    whileLoop(
      f.get('n'),
      ...body,
      f.bump('a', ELEMENT_BYTES),
      f.bump('n', -1),
      // the next lane, or after eight of them the next block
      f.set('lane', i32.and(i32.add(f.get('lane'), i32.const(1)), i32.const(PLANE_ELEMENTS - 1))),
      f.set(
        'out',
        i32.add(
          i32.add(f.get('out'), i32.const(2)),
          i32.mul(i32.eqz(f.get('lane')), i32.const(PLANE_BYTES - 2 * PLANE_ELEMENTS)),
        ),
      ),
    ),
  );
  return f;
}

/** Subtracts q from the element at an address if it holds at least as much. */
function reduceElement(modulus: bigint): WasmFunction {
  const f = new WasmFunction(['a']);
  f.locals('i64', ...WORDS.map((i) => `w${i}`));
  f.emit(
    ...WORDS.map((i) => f.set(`w${i}`, i64.load(f.get('a'), 8 * i))),
    reduceOnce(f, modulus),
    ...WORDS.map((i) => i64.store(f.get('a'), 8 * i, f.get(`w${i}`))),
  );
  return f;
}

/** Rounds of 26 bits that a sum is reduced by. */
const ROUNDS = 2;

/** The kernels' sums come divided by this. */
export const SUM_DIVISOR = 2n ** BigInt(2 * LIMB_BITS * ROUNDS);

/** Columns by which q is raised to make sums positive. */
const RAISED = 3;

/**
 * From columns c0..c20 (the rest is set here): adds q 2^39 so that the sum is positive, divides by 2^52 modulo q, and
 * writes four elements to `out`.
 *
 * |sum| is below terms * 2^15 * 2^254 <= 2^291 for the 2^22 terms that c20 has room for, and q 2^39 above that. What comes
 * out is below q + 2^242.
 */
function finish(module: ModuleBuilder, f: WasmFunction, field: QuadField, out: Code): Code {
  const q = signedLimbs(field.modulus);
  const code: Code[] = [];
  for (let k = RAISED; k < LIMBS + 2 * ROUNDS; k++) {
    const limb = v128.const32(q[k - RAISED] ?? 0);
    code.push(f.set(`c${k}`, k <= LIMBS ? i32x4.add(f.get(`c${k}`), limb) : limb));
  }
  code.push(
    field.reduceShort(f, 'r', ROUNDS),
    storeFour(f, 'r', out, field.modulus, (address) => call(module, 'zk_reduce', address)),
  );
  return code.flat();
}

/**
 * out[c] = sum_r w_r matrix[r, c] for 8 * blocks columns; `octets` times eight rows are read, the planes say zero
 * where there is no row.
 *
 * @param stride bytes from row to row
 */
function combineRows(module: ModuleBuilder, field: QuadField): WasmFunction {
  const f = new WasmFunction(['matrix', 'stride', 'octets', 'planes', 'blocks', 'out']);
  f.locals('i32', 'row', 'rest', 'limbs');
  const sums = (half: string) => Array.from({ length: LIMBS + 1 }, (_, l) => `${half}${l}`);
  // row pairs interleaved: (r, r+1) of four columns; low and high half of eight columns
  f.locals('v128', 'even', 'odd', ...ROWS.flatMap((p) => [`low${p}`, `high${p}`]));
  f.locals('v128', 'word', 'sum', ...sums('x'), ...sums('y'));
  const get = (name: string) => f.get(name);
  const interleave = (from: number) =>
    [0, 1, 2, 3].flatMap((lane) => [
      2 * lane + from,
      2 * lane + from + 1,
      2 * lane + from + 16,
      2 * lane + from + 17,
    ]);

  const octet: Code[] = [];
  for (const p of ROWS) {
    octet.push(
      f.set('even', v128.loadUnaligned(get('row'))),
      f.set('row', i32.add(get('row'), get('stride'))),
      f.set('odd', v128.loadUnaligned(get('row'))),
      f.set('row', i32.add(get('row'), get('stride'))),
      f.set(`low${p}`, v128.shuffle(get('even'), get('odd'), interleave(0))),
      f.set(`high${p}`, v128.shuffle(get('even'), get('odd'), interleave(8))),
    );
  }
  for (let l = 0; l < LIMBS; l++) {
    for (const p of ROWS) {
      octet.push(f.set('word', v128.load32Splat(get('limbs'), 16 * l + 4 * p)));
      for (const [half, pair] of [
        ['x', `low${p}`],
        ['y', `high${p}`],
      ]) {
        octet.push(f.set(`${half}${l}`, i32x4.add(get(`${half}${l}`), i32x4.dot(get(pair!), get('word')))));
      }
    }
  }
  for (const half of ['x', 'y']) {
    for (let l = 0; l < LIMBS; l++) {
      const [low, high] = [`${half}${l}`, `${half}${l + 1}`];
      octet.push(
        f.set(high, i32x4.add(get(high), i32x4.shrS(get(low), LIMB_BITS))),
        f.set(low, v128.and(get(low), v128.const32(LIMB_MASK))),
      );
    }
  }
  const output = (half: string, offset: number): Code[] => [
    ...sums(half).map((name, l) => f.set(`c${l}`, get(name))),
    finish(module, f, field, i32.add(get('out'), i32.const(offset))),
  ];
  f.locals('v128', ...Array.from({ length: 2 * LIMBS }, (_, k) => `c${k}`));
  f.emit(
    whileLoop(
      get('blocks'),
      ...[...sums('x'), ...sums('y')].map((name) => f.set(name, v128.const32(0))),
      f.set('row', get('matrix')),
      f.set('rest', get('octets')),
      f.set('limbs', get('planes')),
      whileLoop(get('rest'), ...octet, f.bump('limbs', PLANE_BYTES), f.bump('rest', -1)),
      ...output('x', 0),
      ...output('y', 4 * ELEMENT_BYTES),
      f.bump('matrix', 2 * PLANE_ELEMENTS),
      f.bump('out', 2 * 4 * ELEMENT_BYTES),
      f.bump('blocks', -1),
    ),
  );
  return f;
}

/**
 * out[r] = sum_c matrix[r, c] v[c] for 4 * quads rows and 32 * blocks columns; the planes say zero where there is no
 * column.
 *
 * @param stride bytes from row to row
 */
function multiplyRows(module: ModuleBuilder, field: QuadField): WasmFunction {
  const f = new WasmFunction(['matrix', 'stride', 'quads', 'planes', 'blocks', 'out']);
  f.locals('i32', 'rest', 'limbs', 'counter', 'sums', ...ROWS.map((r) => `row${r}`));
  const entry = (r: number, v: number) => `m${r}${v}`;
  f.locals(
    'v128',
    ...ROWS.flatMap((r) => VECTORS.map((v) => entry(r, v))),
    ...VECTORS.map((v) => `p${v}`),
    'sum',
  );
  f.locals('v128', ...Array.from({ length: 2 * LIMBS }, (_, k) => `c${k}`));
  f.locals('i64', ...ROWS.flatMap((r) => [`total${r}`, `carry${r}`]));
  const get = (name: string) => f.get(name);
  const sums = module.alloc(SUMS_BYTES);

  const clear: Code[] = [];
  for (let at = 0; at < SUMS_BYTES; at += 16) {
    clear.push(v128.store(i32.const(sums), at, v128.const32(0)));
  }
  const loads: Code[] = ROWS.flatMap((r) =>
    VECTORS.map((v) => f.set(entry(r, v), v128.loadUnaligned(get(`row${r}`), 16 * v))),
  );
  const oneLimb: Code[] = [
    ...VECTORS.map((v) => f.set(`p${v}`, v128.load(get('limbs'), v * PLANE_BYTES))),
    ...ROWS.flatMap((r) => [
      f.set(
        'sum',
        VECTORS.map((v) => i32x4.dot(get(entry(r, v)), get(`p${v}`))).reduce((a, b) => i32x4.add(a, b)),
      ),
      v128.store(
        get('sums'),
        16 * r,
        i64x2.add(
          v128.load(get('sums'), 16 * r),
          i64x2.add(i64x2.extendLow(get('sum')), i64x2.extendHigh(get('sum'))),
        ),
      ),
    ]),
    f.bump('limbs', 16),
    f.bump('sums', 16 * MULTIPLY_ROWS),
    f.bump('counter', -1),
  ];
  // 64-bit sums to limbs of 13 bits, lane r of vector l for row r; what is left belongs to 2^260
  const normalise: Code[] = ROWS.map((r) => f.set(`carry${r}`, i64.const(0)));
  for (let l = 0; l <= LIMBS; l++) {
    for (const r of ROWS) {
      const at = 16 * (MULTIPLY_ROWS * l + r);
      const carry = get(`carry${r}`);
      if (l === LIMBS) {
        normalise.push(i64.store32(i32.const(sums), 16 * l + 4 * r, carry));
        continue;
      }
      const pair = i64.add(i64.load(i32.const(sums), at), i64.load(i32.const(sums), at + 8));
      normalise.push(f.set(`total${r}`, i64.add(pair, carry)));
      normalise.push(f.set(`carry${r}`, i64.shrS(get(`total${r}`), i64.const(LIMB_BITS))));
    }
    if (l === LIMBS) break;
    for (const r of ROWS) {
      const low = i64.and(get(`total${r}`), i64.const(LIMB_MASK));
      normalise.push(i64.store32(i32.const(sums), 16 * l + 4 * r, low));
    }
  }
  const columns = Array.from({ length: LIMBS + 1 }, (_, l) =>
    f.set(`c${l}`, v128.load(i32.const(sums), 16 * l)),
  );
  f.emit(
    whileLoop(
      get('quads'),
      ...clear,
      f.set('row0', get('matrix')),
      ...([1, 2, 3] as const).map((r) => f.set(`row${r}`, i32.add(get(`row${r - 1}`), get('stride')))),
      f.set('rest', get('blocks')),
      f.set('limbs', get('planes')),
      whileLoop(
        get('rest'),
        ...loads,
        f.set('sums', i32.const(sums)),
        f.set('counter', i32.const(LIMBS)),
        whileLoop(get('counter'), ...oneLimb),
        // the loop over limbs has walked one block of planes, of four
        f.bump('limbs', 3 * PLANE_BYTES),
        ...ROWS.map((r) => f.bump(`row${r}`, 2 * MULTIPLY_COLUMNS)),
        f.bump('rest', -1),
      ),
      ...normalise,
      ...columns,
      finish(module, f, field, get('out')),
      f.set('matrix', i32.add(get('matrix'), i32.shl(get('stride'), i32.const(2)))),
      f.bump('out', 4 * ELEMENT_BYTES),
      f.bump('quads', -1),
    ),
  );
  return f;
}

/** Digits of an int64 to the base 2^16. */
export const LONG_DIGITS = 5;

/** int64 that zk_cutLong takes at a time; digits lie in multiples of so many. */
export const CUT_ENTRIES = 8;

/** 2^15 in each digit but the fourth: the 16-bit words of a sum with it are the digits, all but the fourth raised by 2^15. */
const RAISE = 2n ** 15n * (1n + 2n ** 16n + 2n ** 32n);

/** Both 64-bit lanes of a vector. */
function splat(word: bigint): Code {
  const halves = [word & 0xffffffffn, word >> 32n].map((half) => Number(BigInt.asIntN(32, half)));
  return v128.const(halves[0]!, halves[1]!, halves[0]!, halves[1]!);
}

/**
 * Signed 16-bit digits of 8 * blocks int64: value = sum_k digit_k 2^(16 k), k < 5, digit k < 4 of entry i at
 * out + k stride + 2i.
 *
 * The fifth digit is 0 but for values from 2^63 - 2^47 - 2^31 - 2^15 on, where it is 1: the word at `flag` says whether
 * there are any.
 */
function cutLong(): WasmFunction {
  const f = new WasmFunction(['a', 'blocks', 'stride', 'out', 'flag']);
  const pairs = [0, 1, 2, 3] as const;
  f.locals('i32', 'at');
  f.locals('v128', 'value', 'overflow', ...pairs.map((p) => `r${p}`), ...pairs.map((p) => `t${p}`));
  const get = (name: string) => f.get(name);
  /** Bytes of the given 16-bit words of two vectors. */
  const words = (...indices: readonly number[]) => indices.flatMap((i) => [2 * i, 2 * i + 1]);
  const body: Code[] = pairs.flatMap((p) => [
    f.set('value', v128.loadUnaligned(get('a'), 16 * p)),
    f.set(`r${p}`, i64x2.add(get('value'), splat(RAISE))),
    // negative, of a value that is not
    f.set('overflow', v128.or(get('overflow'), v128.andNot(get(`r${p}`), get('value')))),
  ]);
  // digits 0 and 1 of four entries, digits 2 and 3, and the same of the next four
  for (const [t, low, digit] of [
    [0, 0, 0],
    [1, 0, 2],
    [2, 2, 0],
    [3, 2, 2],
  ] as const) {
    const lanes = [digit, digit + 1].flatMap((d) => [d, d + 4, d + 8, d + 12]);
    body.push(f.set(`t${t}`, v128.shuffle(get(`r${low}`), get(`r${low + 1}`), words(...lanes))));
  }
  body.push(f.set('at', get('out')));
  for (let k = 0; k < LONG_DIGITS - 1; k++) {
    const first = k % 2 === 0 ? 0 : 4;
    const lanes = [0, 8].flatMap((vector) => [0, 1, 2, 3].map((i) => vector + first + i));
    const pair = k < 2 ? 0 : 1;
    const raised = v128.shuffle(get(`t${pair}`), get(`t${pair + 2}`), words(...lanes));
    const digits = k === LONG_DIGITS - 2 ? raised : v128.xor(raised, v128.const32(0x80008000 | 0));
    body.push(v128.storeUnaligned(get('at'), 0, digits), f.set('at', i32.add(get('at'), get('stride'))));
  }
  f.emit(
    whileLoop(
      get('blocks'),
      ...body,
      f.bump('a', 8 * CUT_ENTRIES),
      f.bump('out', 2 * CUT_ENTRIES),
      f.bump('blocks', -1),
    ),
    i64.store32(
      get('flag'),
      0,
      i64.shrU(i64.or(i64x2.extract(get('overflow'), 0), i64x2.extract(get('overflow'), 1)), i64.const(63)),
    ),
  );
  return f;
}

/** The fifth digits of n int64 (zk_cutLong), entry i at out + 2i. */
function fifthDigits(): WasmFunction {
  const f = new WasmFunction(['a', 'n', 'out']);
  f.locals('i64', 'value');
  const raised = i64.add(f.get('value'), i64.const(RAISE));
  f.emit(
    whileLoop(
      f.get('n'),
      f.set('value', i64.load(f.get('a'))),
      i64.store16(
        f.get('out'),
        0,
        i64.shrU(i64.and(raised, i64.sub(i64.const(-1), f.get('value'))), i64.const(63)),
      ),
      f.bump('a', 8),
      f.bump('out', 2),
      f.bump('n', -1),
    ),
  );
  return f;
}

/**
 * zk_multiplyRows for `rows` int64 rows, -2^63 excluded: digits of `chunk` rows at a time, multiplied from the highest
 * down, the fifth only where there is one.
 *
 * @param chunk a multiple of four
 * @param digits scratch for five digits of `chunk` rows, `stride` bytes each, whole quads of rows and blocks of columns behind
 * @param sums scratch for four sums of `chunk` rows
 * @param radix address of the element 2^16
 * @param flag address of a word
 */
function multiplyLong(module: ModuleBuilder): WasmFunction {
  const scratch = ['digits', 'stride', 'sums', 'radix', 'flag'];
  const f = new WasmFunction(['matrix', 'rows', 'cols', 'chunk', 'planes', 'blocks', ...scratch, 'out']);
  f.locals('i32', 'count', 'entries');
  const get = (name: string) => f.get(name);
  const digit = (k: number) => i32.add(get('digits'), i32.mul(get('stride'), i32.const(k)));
  const sumBytes = i32.mul(get('chunk'), i32.const(ELEMENT_BYTES));
  const sum = (k: number) =>
    k === 0 ? get('out') : i32.add(get('sums'), i32.mul(sumBytes, i32.const(k - 1)));
  const multiply = (k: number) => {
    const rowBytes = i32.shl(get('cols'), i32.const(1));
    const quads = i32.shrU(i32.add(get('count'), i32.const(MULTIPLY_ROWS - 1)), i32.const(2));
    return call(module, 'zk_multiplyRows', digit(k), rowBytes, quads, get('planes'), get('blocks'), sum(k));
  };
  const addNext = (k: number) => call(module, 'zk_addScaled', sum(k + 1), get('radix'), get('count'), sum(k));
  const cutBlocks = i32.shrU(i32.add(get('entries'), i32.const(CUT_ENTRIES - 1)), i32.const(3));
  const [fifth, fourth] = [LONG_DIGITS - 1, LONG_DIGITS - 2];
  f.emit(
    whileLoop(
      get('rows'),
      f.set('count', get('chunk')),
      when(i32.ltU(get('rows'), get('chunk')), f.set('count', get('rows'))),
      f.set('entries', i32.mul(get('count'), get('cols'))),
      call(module, 'zk_cutLong', get('matrix'), cutBlocks, get('stride'), digit(0), get('flag')),
      multiply(fourth),
      when(
        i32.load(get('flag')),
        call(module, 'zk_fifthDigits', get('matrix'), get('entries'), digit(fifth)),
        multiply(fifth),
        addNext(fourth),
      ),
      ...Array.from({ length: fourth }, (_, i) => fourth - 1 - i).flatMap((k) => [multiply(k), addNext(k)]),
      f.set('matrix', i32.add(get('matrix'), i32.shl(get('entries'), i32.const(3)))),
      f.set('out', i32.add(get('out'), i32.mul(get('count'), i32.const(ELEMENT_BYTES)))),
      f.set('rows', i32.sub(get('rows'), get('count'))),
    ),
  );
  return f;
}

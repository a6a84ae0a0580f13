/**
 * WebAssembly kernels of fixed-point rows: from activations to int16, and from int64 to deltas. Each value is computed as plain
 * code would compute it, in float64, so that the bits are the same.
 *
 * Rows come one behind the other, padded to whole blocks. What belongs to a row is one vector each: the result of a row in
 * its lanes, a factor in the low one.
 */
import { type Code, i64, v128, WasmFunction, whileLoop } from '../algebra/wasmCode.js';
import { instantiate, type WasmInstance } from '../algebra/wasmModule.js';

/** Values of one block of a row of activations, in floating point or rounded. */
export const ROUND_BLOCK = 8;
/** Values of one block of a row of int64. */
export const SCALE_BLOCK = 4;
/** Bytes of what belongs to a row. */
export const ROW_BYTES = 16;

const VECTOR_BYTES = 16;
const HALF_BYTES = 8;
const QUARTERS = [0, 1, 2, 3] as const;
const HALVES = [0, 1] as const;

const { i16x8, i32x4, i64x2, f32x4, f64x2 } = v128;

/** 1.5 * 2^52, high word: added to a float64 below 2^51 it leaves the nearest integer, ties to even, in the low bits. */
const ROUNDING = 0x43380000;
/** 2^32 as a float64, high word. */
const TWO_32 = 0x41f00000;

export type RowKernels = WasmInstance<'largest' | 'round' | 'sums' | 'scale'>;

/** Compiles the kernels; their memory holds what the caller puts there. */
export function rowKernels(): RowKernels {
  return instantiate({ largest: largest(), round: round(), sums: sums(), scale: scale() });
}

/** A float64 with zeros in its low word, in both lanes. */
function splat64(highWord: number): Code {
  return v128.const(0, highWord, 0, highWord);
}

/** Goes through all rows. */
function forEachRow(
  f: WasmFunction,
  before: readonly Code[],
  each: readonly Code[],
  after: readonly Code[],
): void {
  f.locals('i32', 'block');
  f.emit(
    whileLoop(
      f.get('rows'),
      ...before,
      f.set('block', f.get('blocks')),
      whileLoop(f.get('block'), ...each, f.bump('block', -1)),
      ...after,
      f.bump('rows', -1),
    ),
  );
}

/**
 * largest(values, blocks, rows, out): values `[rows, blocks * 8]` float32; of each row the largest magnitudes of four
 * lanes, by their bits: that of a NaN is the largest.
 */
function largest(): WasmFunction {
  const f = new WasmFunction(['values', 'blocks', 'rows', 'out']);
  f.locals('v128', 'max');
  const take = (offset: number): Code => {
    const magnitude = v128.and(v128.load(f.get('values'), offset), v128.const32(0x7fffffff));
    return f.set('max', i32x4.maxU(f.get('max'), magnitude));
  };
  forEachRow(
    f,
    [f.set('max', v128.const32(0))],
    [take(0), take(VECTOR_BYTES), f.bump('values', 2 * VECTOR_BYTES)],
    [v128.store(f.get('out'), 0, f.get('max')), f.bump('out', ROW_BYTES)],
  );
  return f;
}

/**
 * round(values, factors, blocks, rows, x): x `[rows, blocks * 8]` int16, the nearest integers (ties to even) to value times
 * the row's factor, a float64 power of two; they have to fit.
 */
function round(): WasmFunction {
  const f = new WasmFunction(['values', 'factors', 'blocks', 'rows', 'x']);
  f.locals('v128', 'factor', ...QUARTERS.map((part) => `r${part}`));
  // the low word of each sum is the integer
  const words = (a: string, b: string): Code =>
    v128.shuffle(f.get(a), f.get(b), [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27]);
  const low = [0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29];
  forEachRow(
    f,
    [f.set('factor', v128.load64Splat(f.get('factors')))],
    [
      ...QUARTERS.map((part) => {
        const value = f64x2.promoteLow(v128.load64Zero(f.get('values'), HALF_BYTES * part));
        return f.set(`r${part}`, f64x2.add(f64x2.mul(value, f.get('factor')), splat64(ROUNDING)));
      }),
      v128.store(f.get('x'), 0, v128.shuffle(words('r0', 'r1'), words('r2', 'r3'), low)),
      f.bump('values', 2 * VECTOR_BYTES),
      f.bump('x', VECTOR_BYTES),
    ],
    [f.bump('factors', ROW_BYTES)],
  );
  return f;
}

/** sums(x, blocks, rows, out): of each row of x `[rows, blocks * 8]` int16 the sum of magnitudes, an int64 in two lanes. */
function sums(): WasmFunction {
  const f = new WasmFunction(['x', 'blocks', 'rows', 'out']);
  f.locals('v128', 'values', 'dots', 'sum');
  // 1 or -1; added in pairs: 2^16 at most
  const sign = v128.or(i16x8.shrS(f.get('values'), 15), v128.const32(0x00010001));
  forEachRow(
    f,
    [f.set('sum', v128.const32(0))],
    [
      f.set('values', v128.load(f.get('x'))),
      f.set('dots', i32x4.dot(f.get('values'), sign)),
      f.set(
        'sum',
        i64x2.add(f.get('sum'), i64x2.add(i64x2.extendLow(f.get('dots')), i64x2.extendHigh(f.get('dots')))),
      ),
      f.bump('x', VECTOR_BYTES),
    ],
    [
      i64.store(f.get('out'), 0, i64.add(i64x2.extract(f.get('sum'), 0), i64x2.extract(f.get('sum'), 1))),
      f.bump('out', ROW_BYTES),
    ],
  );
  return f;
}

/**
 * scale(y, factors, blocks, rows, deltas, out): deltas `[rows, blocks * 4]` float32 of y int64: each y rounded to float64, times the
 * row's factor, rounded again, rounded to float32. Of each row the largest magnitudes of the rounded y, of two lanes.
 */
function scale(): WasmFunction {
  const f = new WasmFunction(['y', 'factors', 'blocks', 'rows', 'deltas', 'out']);
  f.locals('v128', 'factor', 'max', 'words', ...HALVES.map((half) => `d${half}`));
  const pair = (half: number): Code[] => {
    const wordsAt = (word: number): Code => {
      const bytes = [0, 8].flatMap((lane) => [0, 1, 2, 3].map((byte) => lane + 4 * word + byte));
      return v128.shuffle(f.get('words'), f.get('words'), [...bytes, ...bytes]);
    };
    const value = f64x2.add(
      f64x2.mul(f64x2.convertLow(wordsAt(1)), splat64(TWO_32)),
      f64x2.convertLowU(wordsAt(0)),
    );
    const magnitude = v128.and(f.get(`d${half}`), v128.const(-1, 0x7fffffff, -1, 0x7fffffff));
    return [
      f.set('words', v128.load(f.get('y'), VECTOR_BYTES * half)),
      f.set(`d${half}`, value),
      f.set('max', f64x2.max(f.get('max'), magnitude)),
    ];
  };
  const delta = (half: number): Code => f32x4.demoteZero(f64x2.mul(f.get(`d${half}`), f.get('factor')));
  const bothLow = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];
  forEachRow(
    f,
    [f.set('factor', v128.load64Splat(f.get('factors'))), f.set('max', v128.const32(0))],
    [
      ...HALVES.flatMap(pair),
      v128.store(f.get('deltas'), 0, v128.shuffle(delta(0), delta(1), bothLow)),
      f.bump('y', 2 * VECTOR_BYTES),
      f.bump('deltas', VECTOR_BYTES),
    ],
    [v128.store(f.get('out'), 0, f.get('max')), f.bump('factors', ROW_BYTES), f.bump('out', ROW_BYTES)],
  );
  return f;
}

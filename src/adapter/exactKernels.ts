/**
 * WebAssembly kernels of Y = X A^T B^T over the integers, for eight ranks at a time.
 *
 * Rows of A and columns of B are int16 without -32768, activations any int16.
 * - `project`: z = x a for eight rows a. Pairs of products are below 2^31, sums are 64-bit. |z| <= 2^50 (2^20
 *   features) is cut into four limbs of 13 bits, the last with the sign.
 * - `combine`, `combineMore`: y = sum of z b, or y + it. A sum of eight products (limb x int16) is below 2^31.
 */
import { type Code, i64, v128, WasmFunction, whileLoop } from '../algebra/wasmCode.js';
import { instantiate, type WasmInstance } from '../algebra/wasmModule.js';

/** Ranks that the kernels take at a time. */
export const RANKS = 8;
/** Features of one block of x and a: one vector. */
export const FEATURES = 8;
/** Outputs of one block of b and y. */
export const OUTPUTS = 4;

const LIMBS = [0, 1, 2, 3] as const;
const LIMB_BITS = 13;
const VECTOR_BYTES = 16;
/** Limbs of one token: for each limb a vector of its ranks. */
export const LIMB_BYTES = LIMBS.length * VECTOR_BYTES;
const PAIRS = [0, 1, 2, 3] as const;
const ROWS = Array.from({ length: RANKS }, (_, row) => row);

const { i32x4, i64x2 } = v128;

export type ExactKernels = WasmInstance<'project' | 'combine' | 'combineMore'>;

/** Compiles the kernels; their memory holds what the caller puts there. */
export function exactKernels(): ExactKernels {
  return instantiate({ project: project(), combine: combine(false), combineMore: combine(true) });
}

/**
 * project(x, a, blocks, tokens, z): x `[tokens, blocks * 8]` int16; a: for each block of features the eight rows'
 * vectors; z: {@link LIMB_BYTES} for each token.
 */
function project(): WasmFunction {
  const f = new WasmFunction(['x', 'a', 'blocks', 'tokens', 'z']);
  f.locals('i32', 'row', 'block');
  f.locals('i64', 'sum');
  f.locals('v128', 'values', 'dots', ...ROWS.map((row) => `s${row}`));
  const multiply = ROWS.flatMap((row): Code[] => [
    f.set('dots', i32x4.dot(f.get('values'), v128.load(f.get('row'), VECTOR_BYTES * row))),
    f.set(
      `s${row}`,
      i64x2.add(f.get(`s${row}`), i64x2.add(i64x2.extendLow(f.get('dots')), i64x2.extendHigh(f.get('dots')))),
    ),
  ]);
  const cut = ROWS.flatMap((row): Code[] => [
    f.set('sum', i64.add(i64x2.extract(f.get(`s${row}`), 0), i64x2.extract(f.get(`s${row}`), 1))),
    // the low 16 bits of the last limb are the whole of it
    ...LIMBS.map((limb) => {
      const shifted = i64.shrS(f.get('sum'), i64.const(LIMB_BITS * limb));
      const bits = limb === 3 ? shifted : i64.and(shifted, i64.const(2 ** LIMB_BITS - 1));
      return i64.store16(f.get('z'), VECTOR_BYTES * limb + 2 * row, bits);
    }),
  ]);
  f.emit(
    whileLoop(
      f.get('tokens'),
      ...ROWS.map((row) => f.set(`s${row}`, v128.const32(0))),
      f.set('row', f.get('a')),
      f.set('block', f.get('blocks')),
      whileLoop(
        f.get('block'),
        f.set('values', v128.load(f.get('x'))),
        ...multiply,
        f.bump('x', VECTOR_BYTES),
        f.bump('row', VECTOR_BYTES * RANKS),
        f.bump('block', -1),
      ),
      ...cut,
      f.bump('z', LIMB_BYTES),
      f.bump('tokens', -1),
    ),
  );
  return f;
}

/**
 * combine(z, b, blocks, tokens, y): b: for each block of four outputs and each pair of ranks a vector, lanes
 * 2i and 2i + 1 the pair's weights of output i; y `[tokens, blocks * 4]` int64.
 */
function combine(adds: boolean): WasmFunction {
  const f = new WasmFunction(['z', 'b', 'blocks', 'tokens', 'y']);
  f.locals('i32', 'column', 'block');
  const limb = (l: number, pair: number) => `z${l}${pair}`;
  f.locals('v128', ...LIMBS.flatMap((l) => PAIRS.map((pair) => limb(l, pair))));
  f.locals('v128', ...PAIRS.map((pair) => `b${pair}`), ...LIMBS.map((l) => `s${l}`));
  const sums = LIMBS.map((l) =>
    f.set(
      `s${l}`,
      PAIRS.map((pair) => i32x4.dot(f.get(`b${pair}`), f.get(limb(l, pair)))).reduce((a, b) =>
        i32x4.add(a, b),
      ),
    ),
  );
  const half = (extend: (a: Code) => Code, offset: number): Code => {
    const parts = LIMBS.map((l) => {
      const wide = extend(f.get(`s${l}`));
      return l === 0 ? wide : i64x2.shl(wide, LIMB_BITS * l);
    });
    if (adds) parts.push(v128.load(f.get('y'), offset));
    return v128.store(
      f.get('y'),
      offset,
      parts.reduce((a, b) => i64x2.add(a, b)),
    );
  };
  f.emit(
    whileLoop(
      f.get('tokens'),
      ...LIMBS.flatMap((l) =>
        PAIRS.map((pair) => f.set(limb(l, pair), v128.load32Splat(f.get('z'), VECTOR_BYTES * l + 4 * pair))),
      ),
      f.set('column', f.get('b')),
      f.set('block', f.get('blocks')),
      whileLoop(
        f.get('block'),
        ...PAIRS.map((pair) => f.set(`b${pair}`, v128.load(f.get('column'), VECTOR_BYTES * pair))),
        ...sums,
        half(i64x2.extendLow, 0),
        half(i64x2.extendHigh, VECTOR_BYTES),
        f.bump('column', VECTOR_BYTES * PAIRS.length),
        f.bump('y', 2 * VECTOR_BYTES),
        f.bump('block', -1),
      ),
      f.bump('z', LIMB_BYTES),
      f.bump('tokens', -1),
    ),
  );
  return f;
}

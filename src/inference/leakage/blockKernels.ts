/**
 * WebAssembly kernels that take the parts along some vectors off a block of rows, in float64.
 *
 * Rows and vectors lie row-major, `[count, width]`, `stride` bytes apart; the width is padded with zeros to a multiple of
 * {@link WIDTH}, rows to one of {@link ROWS}, vectors to one of {@link VECTORS}. What becomes of a row depends on
 * it and the vectors alone, to the last bit, and not on its place nor on the other rows.
 */
import { type Code, f64, i32, v128, WasmFunction, whileLoop } from '../../algebra/wasmCode.js';
import { instantiate, type WasmInstance } from '../../algebra/wasmModule.js';

/** Rows that the kernels take at a time. */
export const ROWS = 2;
/** Vectors that `project` takes at a time. */
export const VECTORS = 4;
/** Places that `subtract` takes at a time. */
export const WIDTH = 8;

const LANE_BYTES = 8;
const VECTOR_BYTES = 16;
/** Places that `project` takes in one turn of its loop. */
const UNROLLED = 8;
const EACH_ROW = indices(ROWS);
const EACH_VECTOR = indices(VECTORS);
const EACH_PAIR = indices(WIDTH / 2);

const { f64x2 } = v128;

export type BlockKernels = WasmInstance<'project' | 'subtract'>;

/** Compiles the kernels; their memory holds what the caller puts there. */
export function blockKernels(): BlockKernels {
  return instantiate({ project: project(), subtract: subtract() });
}

/** project(x, v, rows, vectors, width, stride, c): c = x v^T, `[rows, vectors]`. */
function project(): WasmFunction {
  const f = new WasmFunction(['x', 'v', 'rows', 'vectors', 'width', 'stride', 'c']);
  const sum = (row: number, vector: number) => `s${row}${vector}`;
  const sums = EACH_ROW.flatMap((row) => EACH_VECTOR.map((vector) => ({ row, vector })));
  f.locals('i32', 'left', 'place', 'out');
  f.locals('i32', ...EACH_ROW.map((row) => `x${row}`), ...EACH_VECTOR.map((vector) => `v${vector}`));
  f.locals('v128', 'value', ...EACH_ROW.map((row) => `a${row}`), ...sums.map((at) => sum(at.row, at.vector)));
  const multiply = indices(UNROLLED / 2).flatMap((pair): Code[] => [
    ...EACH_ROW.map((row) => f.set(`a${row}`, v128.load(f.get(`x${row}`), VECTOR_BYTES * pair))),
    ...EACH_VECTOR.flatMap((vector): Code[] => [
      f.set('value', v128.load(f.get(`v${vector}`), VECTOR_BYTES * pair)),
      ...EACH_ROW.map((row) =>
        f.set(
          sum(row, vector),
          f64x2.add(f.get(sum(row, vector)), f64x2.mul(f.get(`a${row}`), f.get('value'))),
        ),
      ),
    ]),
  ]);
  const keep = EACH_ROW.flatMap((row): Code[] => [
    ...EACH_VECTOR.map((vector) => {
      const lanes = [0, 1].map((lane) => f64x2.extract(f.get(sum(row, vector)), lane));
      return f64.store(
        f.get(row === 0 ? 'out' : 'place'),
        LANE_BYTES * vector,
        f64.add(lanes[0]!, lanes[1]!),
      );
    }),
    f.set('place', i32.add(f.get('out'), i32.mul(f.get('vectors'), i32.const(LANE_BYTES)))),
  ]);
  f.emit(
    whileLoop(
      f.get('rows'),
      f.set('left', f.get('vectors')),
      f.set('v0', f.get('v')),
      f.set('out', f.get('c')),
      whileLoop(
        f.get('left'),
        ...following(f, 'v', EACH_VECTOR),
        f.set('x0', f.get('x')),
        ...following(f, 'x', EACH_ROW),
        ...sums.map(({ row, vector }) => f.set(sum(row, vector), v128.const32(0))),
        f.set('place', f.get('width')),
        whileLoop(
          f.get('place'),
          ...multiply,
          ...EACH_ROW.map((row) => f.bump(`x${row}`, LANE_BYTES * UNROLLED)),
          ...EACH_VECTOR.map((vector) => f.bump(`v${vector}`, LANE_BYTES * UNROLLED)),
          f.bump('place', -UNROLLED),
        ),
        ...keep,
        // the pointers stand at the end of the width, and not of the stride
        f.set(
          'v0',
          i32.sub(i32.add(f.get('v3'), f.get('stride')), i32.mul(f.get('width'), i32.const(LANE_BYTES))),
        ),
        f.bump('out', LANE_BYTES * VECTORS),
        f.bump('left', -VECTORS),
      ),
      ...nextRows(f),
    ),
  );
  return f;
}

/** subtract(x, v, rows, vectors, width, stride, c): x - c v. */
function subtract(): WasmFunction {
  const f = new WasmFunction(['x', 'v', 'rows', 'vectors', 'width', 'stride', 'c']);
  const sum = (row: number, pair: number) => `s${row}${pair}`;
  const sums = EACH_ROW.flatMap((row) => EACH_PAIR.map((pair) => ({ row, pair })));
  f.locals('i32', 'left', 'place', 'column', 'vector');
  f.locals('i32', ...EACH_ROW.map((row) => `x${row}`), ...EACH_ROW.map((row) => `c${row}`));
  f.locals('v128', 'value', ...EACH_ROW.map((row) => `f${row}`), ...sums.map((at) => sum(at.row, at.pair)));
  const addVector: Code[] = [
    ...EACH_ROW.map((row) => f.set(`f${row}`, v128.load64Splat(f.get(`c${row}`)))),
    ...EACH_PAIR.flatMap((pair): Code[] => [
      f.set('value', v128.load(f.get('vector'), VECTOR_BYTES * pair)),
      ...EACH_ROW.map((row) =>
        f.set(sum(row, pair), f64x2.add(f.get(sum(row, pair)), f64x2.mul(f.get(`f${row}`), f.get('value')))),
      ),
    ]),
  ];
  // the sum over the vectors first: it is rounded against its own length, the row only once
  const keep = sums.map(({ row, pair }) => {
    const at = f.get(`x${row}`);
    const rest = f64x2.sub(v128.load(at, VECTOR_BYTES * pair), f.get(sum(row, pair)));
    return v128.store(at, VECTOR_BYTES * pair, rest);
  });
  f.emit(
    whileLoop(
      f.get('rows'),
      f.set('place', f.get('width')),
      f.set('column', f.get('v')),
      f.set('x0', f.get('x')),
      ...following(f, 'x', EACH_ROW),
      whileLoop(
        f.get('place'),
        ...sums.map(({ row, pair }) => f.set(sum(row, pair), v128.const32(0))),
        f.set('c0', f.get('c')),
        f.set('c1', i32.add(f.get('c'), i32.mul(f.get('vectors'), i32.const(LANE_BYTES)))),
        f.set('vector', f.get('column')),
        f.set('left', f.get('vectors')),
        whileLoop(
          f.get('left'),
          ...addVector,
          ...EACH_ROW.map((row) => f.bump(`c${row}`, LANE_BYTES)),
          f.set('vector', i32.add(f.get('vector'), f.get('stride'))),
          f.bump('left', -1),
        ),
        ...keep,
        ...EACH_ROW.map((row) => f.bump(`x${row}`, LANE_BYTES * WIDTH)),
        f.bump('column', LANE_BYTES * WIDTH),
        f.bump('place', -WIDTH),
      ),
      ...nextRows(f),
    ),
  );
  return f;
}

/** From the rows that are done, and their coordinates, to the next. */
function nextRows(f: WasmFunction): Code[] {
  return [
    f.set('x', i32.add(f.get('x'), i32.mul(f.get('stride'), i32.const(ROWS)))),
    f.set('c', i32.add(f.get('c'), i32.mul(f.get('vectors'), i32.const(ROWS * LANE_BYTES)))),
    f.bump('rows', -ROWS),
  ];
}

/** Pointers `name`1, `name`2, ... to the rows after that of `name`0. */
function following(f: WasmFunction, name: string, rows: readonly number[]): Code[] {
  return rows
    .slice(1)
    .map((row) => f.set(`${name}${row}`, i32.add(f.get(`${name}${row - 1}`), f.get('stride'))));
}

function indices(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/**
 * WebAssembly kernels for sums of a few points with common scalars, as folds take them: many sums of the same form,
 * four in the vector lanes, several quads at once.
 *
 * All sums follow one program over slots (slotKernels.ts). What it adds before any doubling is added there, in affine
 * coordinates; the rest is double-and-add in Jacobian coordinates from a random point, as in curveKernels.ts. Where two
 * points of an addition have the same x, what comes out is all zeros.
 */
import { at, type Machine } from './curveMachine.js';
import { copyQuads, LANES } from './laneWords.js';
import { QUAD_BYTES } from './quadField.js';
import { ELEMENT_BYTES } from './quadWords.js';
import { xSlot } from './slotKernels.js';
import { type Code, call, choose, i32, WasmFunction, when, whileLoop } from './wasmCode.js';

/** A program's word for a doubling. */
export const DOUBLING = 0;

/** Bytes of a quad of points in Jacobian coordinates. */
const JACOBIAN_BYTES = 3 * QUAD_BYTES;

/** Adds the kernels; those of slotKernels.ts must be there. */
export function addFoldKernels(m: Machine): void {
  runProgram(m).addTo(m.module, 'zg_runProgram');
  sumSlots(m).addTo(m.module, 'zg_sumSlots');
}

/**
 * p = p 2^k + sum, by double-and-add, for one quad: each word of the program doubles or adds an operand.
 *
 * @param slots of this quad
 */
function runProgram(m: Machine): WasmFunction {
  const f = new WasmFunction(['p', 'slots', 'stride', 'program', 'length']);
  f.locals('i32', 'word');
  const get = (name: string) => f.get(name);
  const addressOf = (slot: Code) => i32.add(get('slots'), i32.mul(slot, get('stride')));
  const add: Code[] = [
    ...LANES.map((l) => m.setSign(l, get('word'))),
    call(
      m.module,
      'zg_addQuads',
      get('p'),
      addressOf(xSlot(get('word'))),
      addressOf(i32.shrU(get('word'), i32.const(3))),
    ),
  ];
  f.emit(
    whileLoop(
      get('length'),
      f.set('word', i32.load(get('program'))),
      choose(get('word'), add, [call(m.module, 'zg_double', get('p'))]),
      f.bump('program', 4),
      f.bump('length', -1),
    ),
  );
  return f;
}

/**
 * 4 m sums, affine in ffjavascript's form, by the program; all zeros if the word `failed` is set, or a sum is the identity
 * or met the start.
 *
 * @param start Jacobian, in all lanes
 * @param surplus affine x and y in all lanes: minus what the start comes to
 * @param points room for m quads in Jacobian coordinates
 * @param work room for m quads
 */
function sumSlots(m: Machine): WasmFunction {
  const f = new WasmFunction([
    'slots',
    'stride',
    'm',
    'program',
    'length',
    'start',
    'surplus',
    'failed',
    'points',
    'work',
    'out',
  ]);
  f.locals('i32', 'left');
  const get = (name: string) => f.get(name);
  const [product, inverse, square] = ['product', 'inverse', 'square'].map((name) => m.slot(name)) as [
    Code,
    Code,
    Code,
  ];
  const [x, y, z] = [get('points'), at(get('points'), QUAD_BYTES), at(get('points'), 2 * QUAD_BYTES)];
  f.emit(
    copyQuads(product, i32.const(m.one), 1),
    f.set('left', get('m')),
    whileLoop(
      get('left'),
      copyQuads(get('points'), get('start'), 3),
      when(i32.load(get('failed')), copyQuads(z, i32.const(m.zero), 1)),
      call(
        m.module,
        'zg_runProgram',
        get('points'),
        get('slots'),
        get('stride'),
        get('program'),
        get('length'),
      ),
      ...LANES.map((l) => m.setSign(l, i32.const(0))),
      call(m.module, 'zg_addQuads', get('points'), get('surplus'), at(get('surplus'), QUAD_BYTES)),
      copyQuads(get('work'), product, 1),
      m.mul(z, product, product),
      f.bump('slots', QUAD_BYTES),
      f.bump('points', JACOBIAN_BYTES),
      f.bump('work', QUAD_BYTES),
      f.set('out', at(get('out'), 2 * LANES.length * ELEMENT_BYTES)),
      f.bump('left', -1),
    ),
    m.invert(product),
    f.set('left', get('m')),
    whileLoop(
      get('left'),
      f.bump('points', -JACOBIAN_BYTES),
      f.bump('work', -QUAD_BYTES),
      f.bump('out', -2 * LANES.length * ELEMENT_BYTES),
      when(i32.load(i32.const(m.failed)), copyQuads(product, i32.const(m.zero), 1)),
      m.mul(product, get('work'), inverse),
      m.mul(product, z, product),
      m.mul(inverse, inverse, square),
      m.mul(x, square, x),
      m.mul(square, inverse, square),
      m.mul(y, square, y),
      m.store(x, get('out'), 2 * ELEMENT_BYTES),
      m.store(y, at(get('out'), ELEMENT_BYTES), 2 * ELEMENT_BYTES),
      f.bump('left', -1),
    ),
  );
  return f;
}

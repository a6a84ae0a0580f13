/**
 * WebAssembly kernels for sums by places: each scalar as digits to the base 8 (endomorphism.ts), each digit one of eleven
 * multiples of the term's point, turned by a unit. The terms of a place are added like those of a bucket (affineKernels.ts),
 * and double-and-add over the places follows. The multiples cost ten additions a term, so this pays where buckets have few
 * terms each.
 */
import { itemPointBytes } from './bucketLists.js';
import { at, type Machine } from './curveMachine.js';
import { DIGIT_BITS, DIGITS, MULTIPLES } from './endomorphism.js';
import { copyQuads, LANES, scatterWords } from './laneWords.js';
import { PAIRS, QUAD_BYTES } from './quadField.js';
import { IMAGE_SLOTS } from './slotKernels.js';
import { type Code, i32, WasmFunction, when, whileLoop } from './wasmCode.js';

const UNITS = 3;
const MULTIPLE_COUNT = MULTIPLES.length + 1;

/** Bytes of the points that a term's digits stand for: its multiples, each turned by each unit. */
export const TERM_BYTES = MULTIPLE_COUNT * UNITS * itemPointBytes(1);

/** Places of a lane; 4 times as many hold every digit of a short form. */
export const LANE_PLACES = 11;

const PLACES = LANES.length * LANE_PLACES;

/** Bytes of a short form: a and b, each 24 bytes, two's complement, little-endian. */
export const FORM_BYTES = 48;

/** Adds the kernels; those of slotKernels.ts must be there. */
export function addPlaceKernels(m: Machine): void {
  placeDigits(m).addTo(m.module, 'zg_placeDigits');
  storeMultiples(m).addTo(m.module, 'zg_storeMultiples');
}

/**
 * int16 digits of n short forms, those of a place together: 0, or twice the number from 1 of the point among the term's,
 * plus 1 for minus that.
 */
function placeDigits({ module }: Machine): WasmFunction {
  const f = new WasmFunction(['forms', 'n', 'out']);
  f.locals('i32', 'left', 'to', 'bit', 'a', 'b', 'carryA', 'carryB', 'entry');
  const get = (name: string) => f.get(name);
  const table = module.alloc(digitEntries());
  const mask = i32.const(2 ** DIGIT_BITS - 1);
  const read = (name: 'a' | 'b', carry: string, offset: number): Code => {
    const address = at(i32.add(get('forms'), i32.shrU(get('bit'), i32.const(3))), offset);
    const bits = i32.and(i32.shrU(i32.load(address), i32.and(get('bit'), i32.const(7))), mask);
    return f.set(name, i32.add(bits, get(carry)));
  };
  const carry = (name: string, from: 'a' | 'b', offset: number): Code =>
    f.set(name, i32.shrS(i32.sub(get(from), i32.load16S(get('entry'), offset)), i32.const(DIGIT_BITS)));
  f.emit(
    f.set('left', get('n')),
    whileLoop(
      get('left'),
      f.set('to', get('out')),
      f.set('bit', i32.const(0)),
      f.set('carryA', i32.const(0)),
      f.set('carryB', i32.const(0)),
      whileLoop(
        i32.ltU(get('bit'), i32.const(DIGIT_BITS * PLACES)),
        read('a', 'carryA', 0),
        read('b', 'carryB', FORM_BYTES / 2),
        f.set(
          'entry',
          i32.add(
            i32.const(table),
            i32.shl(
              i32.or(i32.shl(i32.and(get('a'), mask), i32.const(DIGIT_BITS)), i32.and(get('b'), mask)),
              i32.const(3),
            ),
          ),
        ),
        i32.store16(get('to'), 0, i32.load16S(get('entry'))),
        carry('carryA', 'a', 2),
        carry('carryB', 'b', 4),
        f.set('to', i32.add(get('to'), i32.shl(get('n'), i32.const(1)))),
        f.bump('bit', DIGIT_BITS),
      ),
      f.bump('forms', FORM_BYTES),
      f.bump('out', 2),
      f.bump('left', -1),
    ),
  );
  return f;
}

/** For each residue class four int16: what {@link placeDigits} gives for it, the digit's a and b, and nothing. */
function digitEntries(): number[] {
  const entries = new Int16Array(4 * 2 ** (2 * DIGIT_BITS));
  for (const [residue, { digit, value }] of DIGITS) {
    const point = 1 + UNITS * digit.multiple + digit.unit;
    entries.set([2 * point + (digit.negative ? 1 : 0), Number(value[0]), Number(value[1])], 4 * residue);
  }
  return [...new Uint8Array(entries.buffer)];
}

/**
 * The points of 4 m terms, {@link TERM_BYTES} each, from their multiples in slots with images.
 *
 * @param slots those of the terms themselves, then of the other multiples
 */
function storeMultiples({ module }: Machine): WasmFunction {
  const f = new WasmFunction(['slots', 'stride', 'm', 'out']);
  f.locals('i32', 'multiple', 'unit', 'from', 'x', 'to', 'p0', 'p1', 'p2', 'p3');
  const get = (name: string) => f.get(name);
  const point = i32.const(module.alloc(2 * QUAD_BYTES));
  f.emit(
    whileLoop(
      get('m'),
      f.set('from', get('slots')),
      f.set('to', get('out')),
      f.set('multiple', i32.const(MULTIPLE_COUNT)),
      whileLoop(
        get('multiple'),
        f.set('x', get('from')),
        f.set('unit', i32.const(UNITS)),
        whileLoop(
          get('unit'),
          f.set('x', i32.add(get('x'), get('stride'))),
          copyQuads(point, get('x'), 1),
          copyQuads(at(point, QUAD_BYTES), get('from'), 1),
          ...LANES.map((l) => f.set(`p${l}`, at(get('to'), l * TERM_BYTES))),
          scatterWords(f, point, 2 * PAIRS),
          f.bump('to', itemPointBytes(1)),
          f.bump('unit', -1),
        ),
        f.set('from', i32.add(get('from'), i32.mul(get('stride'), i32.const(IMAGE_SLOTS)))),
        f.bump('multiple', -1),
      ),
      f.bump('slots', QUAD_BYTES),
      f.bump('out', LANES.length * TERM_BYTES),
      f.bump('m', -1),
    ),
  );
  return f;
}

/** Items of one lane, ordered by place, as `sortLane` of bucketLists.ts has them by bucket. */
export function sortPlaces(): WasmFunction {
  const f = new WasmFunction(['digits', 'n', 'points', 'places', 'ends', 'items']);
  f.locals('i32', 'left', 'digit', 'term');
  const get = (name: string) => f.get(name);
  const pointOf = i32.mul(i32.shrU(get('digit'), i32.const(1)), i32.const(itemPointBytes(1)));
  f.emit(
    // points are numbered from 1
    f.bump('points', -itemPointBytes(1)),
    i32.store(get('ends'), 0, get('items')),
    whileLoop(
      get('places'),
      f.bump('ends', 4),
      f.set('term', get('points')),
      f.set('left', get('n')),
      whileLoop(
        get('left'),
        f.set('digit', i32.load16S(get('digits'))),
        when(
          get('digit'),
          i32.store(
            get('items'),
            0,
            i32.add(i32.add(get('term'), pointOf), i32.and(get('digit'), i32.const(1))),
          ),
          f.bump('items', 4),
        ),
        f.bump('digits', 2),
        f.bump('term', TERM_BYTES),
        f.bump('left', -1),
      ),
      i32.store(get('ends'), 0, get('items')),
      f.bump('places', -1),
    ),
  );
  return f;
}

/**
 * Lists of the bucket sums of affineKernels.ts: what is added to what, kept by address, the points themselves untouched.
 *
 * An item is the address of a point; bit 0 says that its negative is meant. Each lane has its own list of items, ordered
 * by bucket, and for each bucket the address where its items end.
 */
import type { Coordinates } from './curveMachine.js';
import { at } from './curveMachine.js';
import { limbPairs, quadBytes } from './laneWords.js';
import { PAIRS } from './quadField.js';
import { i32, WasmFunction, when, whileLoop, wordBytes } from './wasmCode.js';

/** Bytes of a pair of items with the address for their sum. */
export const PAIR_BYTES = 12;

export const ITEM_BYTES = 4;

/** Bytes of an affine point as the lists refer to it. */
export function itemPointBytes(quads: number): number {
  return 2 * quads * PAIRS * 4;
}

/** Fixed addresses. */
export class AffineMemory {
  /** Two points with different x, not on the curve, for lanes that have no pair left. */
  readonly pair: readonly [number, number];
  /** Where the sum of that pair goes. */
  readonly unused: number;
  /** Ends of the four lists of pairs; next free results of the lanes. */
  readonly pairEnds: number;
  readonly results: number;
  /** Two gathered points. */
  readonly left: number;
  readonly right: number;
  /** Words of the lanes that take part. */
  readonly active: number;
  readonly saved: number;
  /** The coordinate one. */
  readonly one: number;

  constructor({ module, quads, bytes }: Coordinates) {
    const withX = (x: bigint) =>
      module.alloc(wordBytes([x, ...ZEROS.slice(0, 2 * quads - 1)].flatMap(limbPairs)));
    this.pair = [withX(1n), withX(2n)];
    this.unused = module.alloc(itemPointBytes(quads));
    this.pairEnds = module.alloc(16);
    this.results = module.alloc(16);
    this.left = module.alloc(2 * bytes);
    this.right = module.alloc(2 * bytes);
    this.active = module.alloc(16);
    this.saved = module.alloc(3 * bytes);
    this.one = module.alloc([1n, ...ZEROS.slice(0, quads - 1)].flatMap(quadBytes));
  }
}

const ZEROS = [0n, 0n, 0n];

/**
 * Items of one lane, ordered by bucket, from its digits: `ends[b]` is where those of bucket b end, `ends[0]` where
 * those of bucket 1 begin. What is multiplied by zero becomes no item.
 *
 * @param digits int16, eight bytes apart, at most `buckets` in size
 */
export function sortLane({ quads }: Coordinates): WasmFunction {
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
      f.bump('points', itemPointBytes(quads)),
      ...next,
    ),
  );
  return f;
}

/** Pairs of the items of each bucket of one lane; in the list the sum takes the place of its two items. */
export function pairLane({ quads }: Coordinates, memory: AffineMemory): WasmFunction {
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
        f.bump('result', itemPointBytes(quads)),
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
export function padLane(memory: AffineMemory): WasmFunction {
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

/** Room for the lists of four lanes, bytes. */
export function listBytes(count: number, buckets: number): number {
  return 4 * (count * ITEM_BYTES + (buckets + 1) * 4 + ((count >> 1) + 1) * PAIR_BYTES);
}

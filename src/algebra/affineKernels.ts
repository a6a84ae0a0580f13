/**
 * WebAssembly kernels for bucket sums in affine coordinates, four windows at a time in vector lanes: the points of a
 * bucket are added in pairs, the sums in pairs again, and all additions of a round share one inversion (Montgomery's
 * trick). An addition takes 6 multiplications in place of the 11 of a mixed addition in Jacobian coordinates.
 *
 * A point in memory is x then y, ten pairs of limbs for each element of the base field, values x 2^260. The lists of
 * what a lane adds are in bucketLists.ts.
 *
 * Two points of a pair with the same x have no slope: then the product of the round is zero, no round counts, and all
 * items are added one by one to a random point (`zg_sumItems`), which nothing but its own multiples can meet.
 *
 * Bounds in multiples of q: x and y of points in (-0.1, 2), of sums in (-0.1, 1.1); d^2 - x1 - x2 and
 * d (x1 - x3) - y1 are above -5 and below 3.
 */
import {
  AffineMemory,
  ITEM_BYTES,
  itemPointBytes,
  PAIR_BYTES,
  padLane,
  pairLane,
  sortLane,
} from './bucketLists.js';
import { at, type Coordinates } from './curveMachine.js';
import { DIGIT_BITS } from './endomorphism.js';
import { copyQuads, gatherWords, LANES, scatterWords } from './laneWords.js';
import { sortPlaces } from './placeKernels.js';
import { PAIRS, QUAD_BYTES } from './quadField.js';
import { ELEMENT_BYTES } from './quadWords.js';
import { type Code, call, i32, v128, WasmFunction, when, whileLoop } from './wasmCode.js';

/** Fewer pairs than this cost less as single additions than an inversion does. */
const MIN_PAIRS = 16;

/** What the lists of a lane are by, and the kernels that make them from digits and sum up what is left in them. */
interface ListForm {
  readonly kind: 'buckets' | 'places';
  readonly sort: string;
  readonly sum: string;
}

const BUCKETS: ListForm = { kind: 'buckets', sort: 'sortLane', sum: 'sumItems' };
const PLACES: ListForm = { kind: 'places', sort: 'sortPlaces', sum: 'sumPlaceItems' };

/** Adds the kernels for one group; those of quadKernels.ts and the library's field `f1m` must be there. */
export function addAffineKernels(c: Coordinates): void {
  const memory = new AffineMemory(c);
  const add = (name: string, kernel: WasmFunction) => kernel.addTo(c.module, `${c.prefix}_${name}`);
  add('loadPoints', loadPoints(c));
  add('sortLane', sortLane(c));
  add('pairLane', pairLane(c, memory));
  add('padLane', padLane(memory));
  add('addPairs', addPairs(c, memory));
  // these call the others
  add(BUCKETS.sum, sumItems(c, memory, BUCKETS));
  add('sumAffine', sumAffine(c, memory, BUCKETS));
  if (c.quads > 1) return;
  add(PLACES.sort, sortPlaces());
  add(PLACES.sum, sumItems(c, memory, PLACES));
  add('sumPlaces', sumAffine(c, memory, PLACES));
}

/** n affine points in ffjavascript's form, n a multiple of four, to points of this file. */
function loadPoints({ machine, quads }: Coordinates): WasmFunction {
  const f = new WasmFunction(['points', 'n', 'out']);
  f.locals('i32', 'p0', 'p1', 'p2', 'p3');
  const elements = 2 * quads;
  const point = machine.module.alloc(elements * QUAD_BYTES);
  const load = Array.from({ length: elements }, (_, i) => {
    const sources = LANES.map((l) => at(f.get('points'), (elements * l + i) * ELEMENT_BYTES));
    return machine.enterQuad(sources, i32.const(point + i * QUAD_BYTES));
  });
  f.emit(
    whileLoop(
      f.get('n'),
      ...load,
      ...LANES.map((l) => f.set(`p${l}`, at(f.get('out'), l * itemPointBytes(quads)))),
      scatterWords(f, i32.const(point), elements * PAIRS),
      f.bump('points', LANES.length * elements * ELEMENT_BYTES),
      f.bump('out', LANES.length * itemPointBytes(quads)),
      f.bump('n', -LANES.length),
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
function addPairs(c: Coordinates, memory: AffineMemory): WasmFunction {
  const f = new WasmFunction(['pairs', 'stride', 'n', 'work']);
  f.locals('i32', 'left', ...LANES.flatMap((l) => [`e${l}`, `p${l}`]));
  const get = (name: string) => f.get(name);
  const { machine } = c;
  const [left, right] = [i32.const(memory.left), i32.const(memory.right)];
  const [xa, ya, xb, yb] = [left, at(left, c.bytes), right, at(right, c.bytes)];
  const [product, slope, t] = [c.slot('product'), c.slot('slope'), c.slot('t')];
  const [difference, before] = [get('work'), at(get('work'), c.bytes)];
  const words = c.quads * PAIRS;
  const gather = (to: Code, item: 0 | 1, vectors: number): Code[] => [
    ...LANES.map((l) => f.set(`p${l}`, i32.and(i32.load(get(`e${l}`), 4 * item), i32.const(-2)))),
    gatherWords(f, to, vectors),
  ];
  const sign = (item: 0 | 1, y: Code): Code[] => [
    ...LANES.map((l) => machine.setSign(l, i32.load(get(`e${l}`), 4 * item))),
    c.applySigns(y),
  ];
  f.emit(
    f.set('e0', get('pairs')),
    ...([1, 2, 3] as const).map((l) => f.set(`e${l}`, i32.add(get(`e${l - 1}`), get('stride')))),
    copyQuads(product, i32.const(memory.one), c.quads),
    f.set('left', get('n')),
    whileLoop(
      get('left'),
      ...gather(left, 0, words),
      ...gather(right, 1, words),
      c.difference(xb, xa, difference),
      copyQuads(before, product, c.quads),
      c.mul(difference, product, product),
      ...LANES.map((l) => f.bump(`e${l}`, PAIR_BYTES)),
      f.bump('work', 2 * c.bytes),
      f.bump('left', -1),
    ),
    c.invert(product),
    when(
      i32.eqz(i32.load(i32.const(machine.failed))),
      f.set('left', get('n')),
      whileLoop(
        get('left'),
        // from the last one back
        ...LANES.map((l) => f.bump(`e${l}`, -PAIR_BYTES)),
        f.bump('work', -2 * c.bytes),
        ...gather(left, 0, 2 * words),
        ...sign(0, ya),
        ...gather(right, 1, 2 * words),
        ...sign(1, yb),
        c.mul(product, before, t),
        c.mul(product, difference, product),
        c.difference(yb, ya, slope),
        c.mul(slope, t, slope),
        c.mul(slope, slope, t),
        c.sum(xb, xa, xb),
        c.difference(t, xb, xb),
        c.reduce(xb),
        c.difference(xa, xb, t),
        c.mul(slope, t, yb),
        c.difference(yb, ya, yb),
        c.reduce(yb),
        ...LANES.map((l) => f.set(`p${l}`, i32.load(get(`e${l}`), 8))),
        scatterWords(f, right, 2 * words),
        f.bump('left', -1),
      ),
    ),
  );
  return f;
}

/**
 * total += sum_b b * (sum of the items of bucket b) over buckets 1..n of four lanes; `running` and `total` come in as
 * random points. Of places: running = running 8^n + sum_b 8^(b - 1) * (sum of the items of place b).
 *
 * @param stride bytes from the ends of one lane to those of the next
 */
function sumItems(c: Coordinates, memory: AffineMemory, { kind }: ListForm): WasmFunction {
  const f = new WasmFunction(['ends', 'stride', 'n', 'running', ...(kind === 'buckets' ? ['total'] : [])]);
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
  const { module, machine } = c;
  const [x, y] = [i32.const(memory.left), i32.const(memory.left + c.bytes)];
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
    machine.setSign(l, get(`p${l}`)),
    f.set(`p${l}`, i32.and(get(`p${l}`), i32.const(-2))),
    // minus -1
    f.set(`i${l}`, i32.sub(get(`i${l}`), i32.shl(get('has'), i32.const(2)))),
  ]);
  const keep = Array.from({ length: 3 * c.quads * PAIRS }, (_, i) =>
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
      ...(kind === 'places'
        ? Array.from({ length: DIGIT_BITS }, () => call(module, `${c.prefix}_double`, get('running')))
        : []),
      ...LANES.flatMap((l) => [
        f.set(`e${l}`, i32.load(get(`b${l}`))),
        f.bump(`b${l}`, -4),
        f.set(`i${l}`, i32.load(get(`b${l}`))),
      ]),
      ...look,
      whileLoop(
        get('any'),
        ...take,
        gatherWords(f, x, 2 * c.quads * PAIRS),
        copyQuads(i32.const(memory.saved), get('running'), 3 * c.quads),
        call(module, `${c.prefix}_addQuads`, get('running'), x, y),
        when(i32.eqz(get('all')), f.set('mask', v128.load(i32.const(memory.active))), ...keep),
        ...look,
      ),
      ...(kind === 'buckets' ? [call(module, `${c.prefix}_add`, get('total'), get('running'))] : []),
      f.bump('n', -1),
    ),
  );
  return f;
}

/**
 * Buckets: total += sum_i digit_i * point_i for four lanes of digits, plus `buckets` times the running point that comes
 * in; points of {@link loadPoints}, four int16 digits a point, at most `buckets` in size, up to n items in a lane.
 *
 * Places: see {@link sumItems}; points and digits of placeKernels.ts, up to n times `buckets`, the places, items in a
 * lane.
 *
 * @param lists room for four lanes: see {@link listBytes}
 * @param results room for as many points
 * @param work room for half as many entries as items in a lane and one
 */
function sumAffine(
  { module, machine, prefix, quads }: Coordinates,
  memory: AffineMemory,
  { kind, sort, sum }: ListForm,
): WasmFunction {
  const f = new WasmFunction([
    'points',
    'digits',
    'n',
    'buckets',
    'lists',
    'results',
    'work',
    'running',
    ...(kind === 'buckets' ? ['total'] : []),
  ]);
  f.locals('i32', 'items', 'capacity', 'ends', 'endsStride', 'pairs', 'pairsStride', 'most', 'to', 'bound');
  const get = (name: string) => f.get(name);
  const sortAll = LANES.map((l) =>
    call(
      module,
      `${prefix}_${sort}`,
      kind === 'buckets'
        ? at(get('digits'), 2 * l)
        : i32.add(get('digits'), i32.mul(get('capacity'), i32.const(2 * l))),
      get('n'),
      get('points'),
      get('buckets'),
      i32.add(get('ends'), i32.mul(get('endsStride'), i32.const(l))),
      i32.add(get('items'), i32.mul(get('capacity'), i32.const(ITEM_BYTES * l))),
    ),
  );
  const pairsOf = (l: number) => i32.add(get('pairs'), i32.mul(get('pairsStride'), i32.const(l)));
  const round: Code[] = [
    f.set('most', i32.const(0)),
    ...LANES.flatMap((l) => [
      call(
        module,
        `${prefix}_pairLane`,
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
        `${prefix}_padLane`,
        i32.load(i32.const(memory.pairEnds), 4 * l),
        i32.add(pairsOf(l), get('most')),
      ),
    ),
    f.set('most', i32.divU(get('most'), i32.const(PAIR_BYTES))),
    when(
      get('most'),
      call(module, `${prefix}_addPairs`, get('pairs'), get('pairsStride'), get('most'), get('work')),
    ),
    // about as many as next time: buckets with an odd number of items may give a few more
    f.set('bound', i32.shrU(get('most'), i32.const(1))),
    when(i32.load(i32.const(machine.failed)), ...sortAll, f.set('bound', i32.const(0))),
  ];
  f.emit(
    f.set('capacity', kind === 'buckets' ? get('n') : i32.mul(get('n'), get('buckets'))),
    f.set('items', get('lists')),
    f.set('ends', i32.add(get('items'), i32.mul(get('capacity'), i32.const(4 * ITEM_BYTES)))),
    f.set('endsStride', i32.shl(i32.add(get('buckets'), i32.const(1)), i32.const(2))),
    f.set('pairs', i32.add(get('ends'), i32.shl(get('endsStride'), i32.const(2)))),
    f.set('bound', i32.shrU(get('capacity'), i32.const(1))),
    f.set('pairsStride', i32.mul(i32.add(get('bound'), i32.const(1)), i32.const(PAIR_BYTES))),
    ...LANES.map((l) =>
      i32.store(
        i32.const(memory.results),
        4 * l,
        i32.add(get('results'), i32.mul(get('capacity'), i32.const(itemPointBytes(quads) * l))),
      ),
    ),
    ...sortAll,
    i32.store(i32.const(machine.failed), 0, i32.const(0)),
    whileLoop(i32.gtU(get('bound'), i32.const(MIN_PAIRS)), ...round),
    call(
      module,
      `${prefix}_${sum}`,
      get('ends'),
      get('endsStride'),
      get('buckets'),
      get('running'),
      ...(kind === 'buckets' ? [get('total')] : []),
    ),
  );
  return f;
}

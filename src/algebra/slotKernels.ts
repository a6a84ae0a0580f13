/**
 * WebAssembly kernels that add points in affine coordinates, many at once, by a list that is the same for all lanes.
 *
 * A slot holds one coordinate of several quads of points. A point takes the slots y, x and, if the endomorphism's images
 * are wanted (endomorphism.ts), W x and W^2 x. All additions of a list have one inversion (Montgomery's trick): 6
 * multiplications each. Where two points have the same x there is no slope, the product of all is zero, and nothing is
 * added.
 *
 * Bounds in multiples of q: coordinates in slots in (-0.1, 1.1); see affineKernels.ts.
 */
import { callStep, type TaskStep } from './curve.js';
import { at, type Machine } from './curveMachine.js';
import { copyQuads, LANES } from './laneWords.js';
import { QUAD_BYTES } from './quadField.js';
import { ELEMENT_BYTES } from './quadWords.js';
import { type Code, call, choose, i32, WasmFunction, when, whileLoop } from './wasmCode.js';

/** Slots of a point: of its coordinates alone, and with the images of x. */
export const POINT_SLOTS = 2;
export const IMAGE_SLOTS = 4;

/** A point, W^unit times a point or minus that, as programs name it. */
export function operandCode(slot: number, unit: 0 | 1 | 2, negative: boolean): number {
  return (slot << 3) | (unit << 1) | (negative ? 1 : 0);
}

/** Where a sum goes, as programs name it. */
export function targetCode(slot: number, withImages: boolean): number {
  return (slot << 1) | (withImages ? 1 : 0);
}

/** Words of an addition: two operands, the first without sign, and a target. */
export const ADDITION_WORDS = 3;

/** Bytes that `zg_addSlots` works with, for each quad of each addition. */
export const ADDITION_WORK_BYTES = 2 * QUAD_BYTES;

/** Adds the kernels; those of curveKernels.ts must be there. */
export function addSlotKernels(m: Machine): void {
  storeImages(m).addTo(m.module, 'zg_storeImages');
  loadSlots(m).addTo(m.module, 'zg_loadSlots');
  addSlots(m).addTo(m.module, 'zg_addSlots');
}

/** W x and W^2 x = -x - W x into the two slots after that of x. */
function storeImages(m: Machine): WasmFunction {
  const f = new WasmFunction(['x', 'stride']);
  const image = i32.add(f.get('x'), f.get('stride'));
  const other = i32.add(image, f.get('stride'));
  f.emit(
    m.mulWords(f.get('x'), i32.const(m.root), image),
    m.sum(f.get('x'), image, other),
    m.difference(i32.const(m.zero), other, other),
    m.reduce(other),
  );
  return f;
}

/**
 * Points into slots with images: `parts` times 4 n affine points in ffjavascript's form.
 *
 * @param partBytes from the points of one part to those of the next
 * @param slots those of the first part, then of the next
 * @param stride bytes of a slot
 */
function loadSlots(m: Machine): WasmFunction {
  const f = new WasmFunction(['points', 'partBytes', 'parts', 'n', 'slots', 'stride']);
  f.locals('i32', 'from', 'to', 'left');
  const get = (name: string) => f.get(name);
  const coordinate = (index: 0 | 1, out: Code) =>
    m.enterQuad(
      LANES.map((l) => at(get('from'), (2 * l + index) * ELEMENT_BYTES)),
      out,
    );
  f.emit(
    whileLoop(
      get('parts'),
      f.set('from', get('points')),
      f.set('to', get('slots')),
      f.set('left', get('n')),
      whileLoop(
        get('left'),
        coordinate(1, get('to')),
        coordinate(0, i32.add(get('to'), get('stride'))),
        call(m.module, 'zg_storeImages', i32.add(get('to'), get('stride')), get('stride')),
        f.bump('from', 2 * LANES.length * ELEMENT_BYTES),
        f.bump('to', QUAD_BYTES),
        f.bump('left', -1),
      ),
      f.set('points', i32.add(get('points'), get('partBytes'))),
      f.set('slots', i32.add(get('slots'), i32.mul(get('stride'), i32.const(IMAGE_SLOTS)))),
      f.bump('parts', -1),
    ),
  );
  return f;
}

/**
 * Adds points in slots, n > 0 additions of m quads that do not need each other; a target may be the first operand's
 * place. Slope d = (y2 - y1) / (x2 - x1), x3 = d^2 - x1 - x2, y3 = d (x1 - x3) - y1.
 *
 * @param additions see {@link ADDITION_WORDS}
 * @param work room for m n entries
 * @param failed word that becomes 1, and nothing is added, where two points have the same x
 */
function addSlots(m: Machine): WasmFunction {
  const f = new WasmFunction(['slots', 'stride', 'm', 'additions', 'n', 'work', 'failed']);
  const addresses = ['xa', 'ya', 'xb', 'yb', 'out'] as const;
  f.locals('i32', 'entries', 'left', 'negative', ...addresses);
  const get = (name: string) => f.get(name);
  const [product, inverse, slope, x] = ['product', 'inverse', 'slope', 'x3'].map((name) => m.slot(name)) as [
    Code,
    Code,
    Code,
    Code,
  ];
  const [difference, before] = [get('work'), at(get('work'), QUAD_BYTES)];
  const word = (index: number) => i32.load(get('additions'), 4 * index);
  const addressOf = (slot: Code) => i32.add(get('slots'), i32.mul(slot, get('stride')));
  const operand = (index: number, x: string, y: string): Code[] => [
    f.set(y, addressOf(i32.shrU(word(index), i32.const(3)))),
    f.set(x, addressOf(xSlot(word(index)))),
  ];
  const move = (step: number): Code[] => [
    ...addresses.map((name) => f.set(name, i32.add(get(name), i32.const(step * QUAD_BYTES)))),
    f.bump('work', step * ADDITION_WORK_BYTES),
    f.bump('left', -1),
  ];
  const last = i32.mul(i32.sub(get('m'), i32.const(1)), i32.const(QUAD_BYTES));
  f.emit(
    copyQuads(product, i32.const(m.one), 1),
    f.set('entries', get('n')),
    whileLoop(
      get('entries'),
      ...operand(0, 'xa', 'ya'),
      ...operand(1, 'xb', 'yb'),
      f.set('left', get('m')),
      whileLoop(
        get('left'),
        m.difference(get('xb'), get('xa'), difference),
        copyQuads(before, product, 1),
        m.mul(difference, product, product),
        ...move(1),
      ),
      f.bump('additions', 4 * ADDITION_WORDS),
      f.bump('entries', -1),
    ),
    m.invert(product),
    choose(
      i32.load(i32.const(m.failed)),
      [i32.store(get('failed'), 0, i32.const(1))],
      [
        f.set('entries', get('n')),
        whileLoop(
          get('entries'),
          // from the last one back
          f.bump('additions', -4 * ADDITION_WORDS),
          f.bump('work', -ADDITION_WORK_BYTES),
          ...operand(0, 'xa', 'ya'),
          ...operand(1, 'xb', 'yb'),
          f.set('out', addressOf(i32.shrU(word(2), i32.const(1)))),
          ...addresses.map((name) => f.set(name, i32.add(get(name), last))),
          f.set('negative', i32.and(word(1), i32.const(1))),
          f.set('left', get('m')),
          whileLoop(
            get('left'),
            m.mul(product, before, inverse),
            m.mul(product, difference, product),
            // minus the slope where the second point is subtracted
            choose(
              get('negative'),
              [m.sum(get('yb'), get('ya'), slope)],
              [m.difference(get('yb'), get('ya'), slope)],
            ),
            m.mul(slope, inverse, slope),
            m.mul(slope, slope, x),
            m.sum(get('xa'), get('xb'), inverse),
            m.difference(x, inverse, x),
            m.reduce(x),
            choose(
              get('negative'),
              [m.difference(x, get('xa'), inverse)],
              [m.difference(get('xa'), x, inverse)],
            ),
            m.mul(slope, inverse, slope),
            m.difference(slope, get('ya'), get('out')),
            m.reduce(get('out')),
            copyQuads(i32.add(get('out'), get('stride')), x, 1),
            when(
              i32.and(word(2), i32.const(1)),
              call(m.module, 'zg_storeImages', i32.add(get('out'), get('stride')), get('stride')),
            ),
            ...move(-1),
          ),
          f.bump('work', ADDITION_WORK_BYTES),
          f.bump('entries', -1),
        ),
      ],
    ),
  );
  return f;
}

/** The slot of W^unit x that an operand's word names. */
export function xSlot(word: Code): Code {
  return i32.add(
    i32.add(i32.shrU(word, i32.const(3)), i32.const(1)),
    i32.and(i32.shrU(word, i32.const(1)), i32.const(3)),
  );
}

/** Variables of a task, and what a slot takes there. */
interface AdditionVariables {
  readonly slots: number;
  readonly stride: { readonly val: number };
  readonly additions: number;
  readonly work: number;
  readonly failed: number;
}

/** Steps of a task that make the additions of all levels, m quads at once. */
export function additionSteps(
  levels: readonly (readonly number[])[],
  m: number,
  { slots, stride, additions, work, failed }: AdditionVariables,
): TaskStep[] {
  let first = 0;
  return levels.map((level) => {
    const offset = 4 * first;
    first += level.length;
    return callStep(
      'zg_addSlots',
      { var: slots },
      stride,
      { val: m },
      { var: additions, offset },
      { val: level.length / ADDITION_WORDS },
      { var: work },
      { var: failed },
    );
  });
}

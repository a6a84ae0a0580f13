/** Multi-scalar multiplication of few terms in G1, by the kernels of placeKernels.ts. */
import { ZkLoraError } from '../errors.js';
import { toBytes } from '../littleEndian.js';
import { itemPointBytes, listBytes } from './bucketLists.js';
import { callStep as call, type TaskStep } from './curve.js';
import { DIGIT_BITS, shortForm } from './endomorphism.js';
import type { Engine } from './engine.js';
import { planEveryMultiple } from './foldProgram.js';
import { joinWindows } from './joinWindows.js';
import { LANES } from './laneWords.js';
import { FORM_BYTES, LANE_PLACES, TERM_BYTES } from './placeKernels.js';
import { G1_BYTES, G1_JACOBIAN_BYTES, wholeQuads } from './points.js';
import { QUAD_BYTES } from './quadField.js';
import { anyZeroZ, type JacobianPoint, startOf, surplusOf } from './randomStart.js';
import { Fr, SCALAR_BYTES } from './scalar.js';
import { ADDITION_WORK_BYTES, additionSteps } from './slotKernels.js';
import { runTask } from './tasks.js';

const GROUP = LANES.length;

/** Bits of the places of one lane. */
const LANE_BITS = DIGIT_BITS * LANE_PLACES;

const MULTIPLES = planEveryMultiple();

const POINTS = 0;
const SLOTS = 1;
const ADDITIONS = 2;
const WORK = 3;
const FAILED = 4;
const TABLE = 5;
const FORMS = 6;
const DIGITS = 7;
const LISTS = 8;
const PAIR_SUMS = 9;
const TOTAL = 10;
const RESULT = 11;

/**
 * `sum_i scalars[i] * points[i]`, Jacobian; undefined if a sum met a random start or two multiples of a point have the same x,
 * as those of the identity do.
 *
 * @param points affine, 64 bytes each, none the identity
 * @param scalars integers below 2^254, 32 bytes each, little-endian
 * @param length whether it runs in this thread
 * @throws ZkLoraError `INTERNAL` unless there are as many scalars as points
 */
export async function placeSum(
  engine: Engine,
  points: Uint8Array,
  scalars: Uint8Array,
  length: 'short' | 'long',
): Promise<JacobianPoint | undefined> {
  const count = points.byteLength / G1_BYTES;
  if (scalars.byteLength !== count * SCALAR_BYTES)
    throw new ZkLoraError('INTERNAL', 'points and scalars differ in number');
  const quads = Math.ceil(count / GROUP);
  const stride = { val: quads * QUAD_BYTES };
  const { firstSlot, slots, levels, widest } = MULTIPLES;
  const items = count * LANE_PLACES;
  const pairs = (items >> 1) + 1;
  const { total } = startOf(engine, 'G1');
  const first = { var: SLOTS, offset: firstSlot * stride.val };
  const steps: TaskStep[] = [
    { cmd: 'ALLOCSET', var: POINTS, buff: wholeQuads(points) },
    { cmd: 'ALLOC', var: SLOTS, len: slots * stride.val },
    { cmd: 'ALLOCSET', var: ADDITIONS, buff: toBytes(Uint32Array.from(levels.flat())) },
    { cmd: 'ALLOC', var: WORK, len: ADDITION_WORK_BYTES * Math.max(widest * quads, pairs) },
    { cmd: 'ALLOCSET', var: FAILED, buff: new Uint8Array(4) },
    { cmd: 'ALLOC', var: TABLE, len: quads * GROUP * TERM_BYTES },
    { cmd: 'ALLOCSET', var: FORMS, buff: shortForms(scalars) },
    { cmd: 'ALLOC', var: DIGITS, len: 2 * GROUP * items },
    { cmd: 'ALLOC', var: LISTS, len: listBytes(items, LANE_PLACES) },
    { cmd: 'ALLOC', var: PAIR_SUMS, len: GROUP * items * itemPointBytes(1) },
    { cmd: 'ALLOCSET', var: TOTAL, buff: total.quad },
    { cmd: 'ALLOC', var: RESULT, len: GROUP * G1_JACOBIAN_BYTES },
    call('zg_loadSlots', { var: POINTS }, { val: 0 }, { val: 1 }, { val: quads }, first, stride),
    ...additionSteps(levels, quads, {
      slots: SLOTS,
      stride,
      additions: ADDITIONS,
      work: WORK,
      failed: FAILED,
    }),
    call('zg_storeMultiples', first, stride, { val: quads }, { var: TABLE }),
    call('zg_placeDigits', { var: FORMS }, { val: count }, { var: DIGITS }),
    call(
      'zg_sumPlaces',
      { var: TABLE },
      { var: DIGITS },
      { val: count },
      { val: LANE_PLACES },
      { var: LISTS },
      { var: PAIR_SUMS },
      { var: WORK },
      { var: TOTAL },
    ),
    call('zg_storePoints', { var: TOTAL }, { var: RESULT }),
    { cmd: 'GET', out: 0, var: RESULT, len: GROUP * G1_JACOBIAN_BYTES },
    { cmd: 'GET', out: 1, var: FAILED, len: 1 },
  ];
  const [sums, failed] = await runTask(engine, steps, length);
  if (failed![0] !== 0 || anyZeroZ(sums!, G1_JACOBIAN_BYTES)) return undefined;
  const surplus = surplusOf(engine, 'G1', 'places', () => {
    let weights = 0n;
    for (let lane = 1; lane <= GROUP; lane++) weights += 1n << BigInt(LANE_BITS * lane);
    return Fr.mul(Fr.create(weights), total.scalar);
  });
  return engine.curve.G1.sub(joinWindows(engine, 'g1m', sums!, G1_JACOBIAN_BYTES, LANE_BITS), surplus);
}

/** Short forms of scalars, {@link FORM_BYTES} each. */
function shortForms(scalars: Uint8Array): Uint8Array {
  const count = scalars.byteLength / SCALAR_BYTES;
  const from = new DataView(scalars.buffer, scalars.byteOffset, scalars.byteLength);
  const forms = new BigUint64Array((count * FORM_BYTES) / 8);
  for (let i = 0; i < count; i++) {
    let scalar = 0n;
    for (let word = 3; word >= 0; word--)
      scalar = (scalar << 64n) | from.getBigUint64(i * SCALAR_BYTES + 8 * word, true);
    shortForm(scalar).forEach((part, k) => {
      for (let word = 0; word < 3; word++)
        forms[6 * i + 3 * k + word] = BigInt.asUintN(64, part >> BigInt(64 * word));
    });
  }
  return new Uint8Array(forms.buffer);
}

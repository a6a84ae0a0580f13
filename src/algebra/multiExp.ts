/**
 * Multi-scalar multiplication in G1 and G2 with the vector kernels of affineKernels.ts: bucket method, signed digits, four
 * windows or rows at a time. Few terms of G1 are summed by places (placeSum.ts).
 *
 * The addition formulas of Jacobian coordinates are not complete, so sums over buckets start from random points, which
 * are taken off at the end; whoever does not know them cannot make a sum meet them. Should that happen all the same, a
 * Z coordinate ends as zero and the caller computes the result with the library instead.
 */
import { concatBytes } from '../bytes.js';
import { toBytes } from '../littleEndian.js';
import { itemPointBytes, listBytes } from './bucketLists.js';
import { callStep as call, type TaskStep } from './curve.js';
import { RECODED_BYTES } from './curveKernels.js';
import type { Engine } from './engine.js';
import { joinWindows } from './joinWindows.js';
import { LANES } from './laneWords.js';
import { placeSum } from './placeSum.js';
import { G1_BYTES, G1_JACOBIAN_BYTES, G2_JACOBIAN_BYTES, type GroupName, POINT_BYTES } from './points.js';
import { QUAD_BYTES } from './quadField.js';
import {
  anyZeroZ,
  hasZeroZ,
  type JacobianPoint,
  type RandomStart,
  startOf,
  surplusOf,
} from './randomStart.js';
import { Fr, SCALAR_BYTES } from './scalar.js';

/** Fewer terms than this are left to the library, which snarkjs expects, and to the thread that pairs their sum. */
export const MIN_BUCKET_TERMS = 8;

/** Points that are multiplied at a time: a worker thread takes 744 bytes of memory for each of G1, twice that in G2. */
export const MAX_TERMS = 2 ** 16;

/** Terms of G1 up to which a sum by places takes less than one by buckets, and up to which it stays in this thread. */
const MAX_PLACE_TERMS = 300;
const MAX_SHORT_TERMS = 40;

/** Windows that one pass of the kernel fills. */
const GROUP = LANES.length;

/** Bits of a scalar and of the carry of its signed digits. */
const SCALAR_BITS = 255;

/** Digits of int16 entries: two of eight bits, in [-128, 128]. */
const ROW_BUCKETS = 128;

/** Row pairs in one task: the bases are prepared once for all of them. */
const PAIRS_PER_TASK = 2;

/** Multiplications that a point takes in each window, with its share of sorting, and a bucket at the end. */
const POINT_COST = 7;
const BUCKET_COST = 28;

/** What the random points add to the sum of one window: total + buckets * running. */
function excess({ running, total }: RandomStart, buckets: number): bigint {
  return Fr.add(total.scalar, Fr.mul(BigInt(buckets), running.scalar));
}

/** Variables of a task. */
const POINTS = 0;
const BASES = 1;
const SCALARS = 2;
const RECODED = 3;
const OFFSET = 4;
const DIGITS = 5;
const LISTS = 6;
const PAIR_SUMS = 7;
const WORK = 8;
const RUNNING = 9;
const TOTAL = 10;
const RESULT = 11;

/** How the kernels and the library have the points of a group. */
interface GroupForm {
  /** What the names of the kernels begin with. */
  readonly kernels: 'zg' | 'zh';
  /** What the names of the library's functions begin with. */
  readonly library: 'g1m' | 'g2m';
  readonly affineBytes: number;
  readonly jacobianBytes: number;
  /** Quads of a coordinate. */
  readonly quads: 1 | 2;
}

const FORMS: Readonly<Record<GroupName, GroupForm>> = {
  G1: {
    kernels: 'zg',
    library: 'g1m',
    affineBytes: POINT_BYTES.G1,
    jacobianBytes: G1_JACOBIAN_BYTES,
    quads: 1,
  },
  G2: {
    kernels: 'zh',
    library: 'g2m',
    affineBytes: POINT_BYTES.G2,
    jacobianBytes: G2_JACOBIAN_BYTES,
    quads: 2,
  },
};

/** Steps that prepare bases and room for their sums. */
function prepare(form: GroupForm, points: Uint8Array, buckets: number): TaskStep[] {
  const { affineBytes, jacobianBytes, quads } = form;
  const count = points.byteLength / affineBytes;
  const whole = GROUP * Math.ceil(count / GROUP);
  return [
    { cmd: 'ALLOC', var: POINTS, len: whole * affineBytes },
    { cmd: 'SET', var: POINTS, buff: points },
    { cmd: 'ALLOC', var: BASES, len: whole * itemPointBytes(quads) },
    call(`${form.kernels}_loadPoints`, { var: POINTS }, { val: whole }, { var: BASES }),
    { cmd: 'ALLOC', var: DIGITS, len: count * 2 * GROUP },
    { cmd: 'ALLOC', var: LISTS, len: listBytes(count, buckets) },
    { cmd: 'ALLOC', var: PAIR_SUMS, len: count * GROUP * itemPointBytes(quads) },
    // a difference of coordinates and a product for each quad of pairs
    { cmd: 'ALLOC', var: WORK, len: ((count >> 1) + 1) * 2 * quads * QUAD_BYTES },
    { cmd: 'ALLOC', var: RUNNING, len: 3 * quads * QUAD_BYTES },
    { cmd: 'ALLOC', var: TOTAL, len: 3 * quads * QUAD_BYTES },
    { cmd: 'ALLOC', var: RESULT, len: GROUP * jacobianBytes },
  ];
}

/** Steps from digits to four sums in output `out`. */
function sumDigits(
  form: GroupForm,
  start: RandomStart,
  count: number,
  buckets: number,
  out: number,
): TaskStep[] {
  return [
    { cmd: 'SET', var: RUNNING, buff: start.running.quad },
    { cmd: 'SET', var: TOTAL, buff: start.total.quad },
    call(
      `${form.kernels}_sumAffine`,
      { var: BASES },
      { var: DIGITS },
      { val: count },
      { val: buckets },
      { var: LISTS },
      { var: PAIR_SUMS },
      { var: WORK },
      { var: RUNNING },
      { var: TOTAL },
    ),
    call(`${form.kernels}_storePoints`, { var: TOTAL }, { var: RESULT }),
    { cmd: 'GET', out, var: RESULT, len: GROUP * form.jacobianBytes },
  ];
}

interface Plan {
  /** Bits of a digit. */
  readonly width: number;
  readonly groups: number;
}

/** The digit width for which the busiest thread has the least to do. */
function planFor(count: number, threads: number): Plan {
  let best: Plan | undefined;
  let bestCost = Number.POSITIVE_INFINITY;
  for (let width = 3; width <= 14; width++) {
    const groups = Math.ceil(SCALAR_BITS / width / GROUP);
    const buckets = 2 ** (width - 1);
    const cost = Math.ceil(groups / threads) * (count * POINT_COST + buckets * BUCKET_COST);
    if (cost < bestCost) {
      bestCost = cost;
      best = { width, groups };
    }
  }
  return best!;
}

/** sum_w 2^(width w + width - 1) over all windows: makes every digit non-negative. 40 bytes. */
function digitOffset({ width, groups }: Plan): Uint8Array {
  let offset = 0n;
  for (let w = 0; w < groups * GROUP; w++) offset += 1n << BigInt(width * w + width - 1);
  return Uint8Array.from({ length: RECODED_BYTES }, (_, i) => Number((offset >> BigInt(8 * i)) & 255n));
}

/**
 * `sum_i scalars[i] * points[i]`, Jacobian; undefined if a sum met a random start (see above).
 *
 * @param points affine, of G1 (64 bytes each) or G2 (128), none the identity
 * @param scalars integers below 2^254, 32 bytes each, little-endian
 */
export async function bucketSum(
  engine: Engine,
  points: Uint8Array,
  scalars: Uint8Array,
  group: GroupName = 'G1',
): Promise<JacobianPoint | undefined> {
  const { affineBytes } = FORMS[group];
  const count = points.byteLength / affineBytes;
  if (group === 'G1' && count <= MAX_PLACE_TERMS) {
    return placeSum(engine, points, scalars, count <= MAX_SHORT_TERMS ? 'short' : 'long');
  }
  const [sum] = await addParts(engine, group, count, async (from, to) => [
    await windowSums(
      engine,
      points.subarray(from * affineBytes, to * affineBytes),
      scalars.subarray(from * SCALAR_BYTES, to * SCALAR_BYTES),
      group,
    ),
  ]);
  return sum;
}

/** Sums over `count` terms, a part after the other where there are too many; undefined where one of a part is. */
async function addParts(
  engine: Engine,
  group: GroupName,
  count: number,
  sumsOf: (from: number, to: number) => Promise<(JacobianPoint | undefined)[]>,
): Promise<(JacobianPoint | undefined)[]> {
  let sums = await sumsOf(0, Math.min(count, MAX_TERMS));
  for (let from = MAX_TERMS; from < count; from += MAX_TERMS) {
    const others = await sumsOf(from, Math.min(count, from + MAX_TERMS));
    sums = sums.map((sum, i) => sum && others[i] && engine.curve[group].add(sum, others[i]));
  }
  return sums;
}

/** {@link bucketSum} of at most {@link MAX_TERMS} terms, by buckets. */
export async function windowSums(
  engine: Engine,
  points: Uint8Array,
  scalars: Uint8Array,
  group: GroupName,
): Promise<JacobianPoint | undefined> {
  const form = FORMS[group];
  const count = points.byteLength / form.affineBytes;
  const start = startOf(engine, group);
  const plan = planFor(count, engine.threads);
  const { width, groups } = plan;
  const buckets = 2 ** (width - 1);
  const tasks: Promise<Uint8Array[]>[] = [];
  const perTask = Math.ceil(groups / engine.threads);
  for (let first = 0; first < groups; first += perTask) {
    const steps: TaskStep[] = [
      ...prepare(form, points, buckets),
      { cmd: 'ALLOCSET', var: SCALARS, buff: scalars },
      // the kernel reads eight bytes from any byte on
      { cmd: 'ALLOC', var: RECODED, len: count * RECODED_BYTES + 8 },
      { cmd: 'ALLOCSET', var: OFFSET, buff: digitOffset(plan) },
      call('zg_recode', { var: SCALARS }, { val: count }, { var: OFFSET }, { var: RECODED }),
    ];
    for (let windows = first; windows < Math.min(groups, first + perTask); windows++) {
      const bit = windows * GROUP * width;
      steps.push(
        call(
          'zg_windowDigits',
          { var: RECODED },
          { val: count },
          { val: bit },
          { val: width },
          { var: DIGITS },
        ),
        ...sumDigits(form, start, count, buckets, windows - first),
      );
    }
    tasks.push(engine.curve.tm.queueAction(steps));
  }
  const windows = concatBytes(...(await Promise.all(tasks)).flat());
  if (anyZeroZ(windows, form.jacobianBytes)) return undefined;
  return engine.curve[group].sub(
    joinWindows(engine, form.library, windows, form.jacobianBytes, width),
    surplusOf(engine, group, `windows:${width}:${groups}`, (start) => {
      let weights = 0n;
      for (let w = 0; w < groups * GROUP; w++) weights = (weights << BigInt(width)) + 1n;
      return Fr.mul(Fr.create(weights), excess(start, buckets));
    }),
  );
}

/**
 * `sum_i rows[r][i] * points[i]` for rows of int16, Jacobian; undefined where a sum met a random start.
 *
 * @param points affine, 64 bytes each, none the identity; as many as each row has entries
 */
export async function bucketSumRows(
  engine: Engine,
  points: Uint8Array,
  rows: readonly Int16Array[],
): Promise<(JacobianPoint | undefined)[]> {
  return addParts(engine, 'G1', points.byteLength / G1_BYTES, (from, to) =>
    rowSums(
      engine,
      points.subarray(from * G1_BYTES, to * G1_BYTES),
      rows.map((row) => row.subarray(from, to)),
    ),
  );
}

/** {@link bucketSumRows} of at most {@link MAX_TERMS} entries. */
async function rowSums(
  engine: Engine,
  points: Uint8Array,
  rows: readonly Int16Array[],
): Promise<(JacobianPoint | undefined)[]> {
  const form = FORMS.G1;
  const count = points.byteLength / G1_BYTES;
  const { G1 } = engine.curve;
  const start = startOf(engine, 'G1');
  const surplus = surplusOf(engine, 'G1', 'rows', () => Fr.mul(257n, excess(start, ROW_BUCKETS)));
  const tasks: Promise<Uint8Array[]>[] = [];
  for (let from = 0; from < rows.length; from += 2 * PAIRS_PER_TASK) {
    const steps = prepare(form, points, ROW_BUCKETS);
    for (let pair = 0; pair < PAIRS_PER_TASK; pair++) {
      const a = rows[from + 2 * pair];
      if (!a) break;
      const b = rows[from + 2 * pair + 1] ?? a;
      const [rowA, rowB] = [RESULT + 1 + 2 * pair, RESULT + 2 + 2 * pair];
      steps.push(
        { cmd: 'ALLOCSET', var: rowA, buff: toBytes(a) },
        { cmd: 'ALLOCSET', var: rowB, buff: toBytes(b) },
        call('zg_rowDigits', { var: rowA }, { var: rowB }, { val: count }, { var: DIGITS }),
        ...sumDigits(form, start, count, ROW_BUCKETS, pair),
      );
    }
    tasks.push(engine.curve.tm.queueAction(steps));
  }
  const digits = (await Promise.all(tasks)).flat().flatMap(splitPoints);
  return rows.map((_, r) => {
    const [low, high] = [digits[2 * r]!, digits[2 * r + 1]!];
    if (hasZeroZ(low) || hasZeroZ(high)) return undefined;
    let sum = high;
    for (let bit = 0; bit < 8; bit++) sum = G1.double(sum);
    return G1.sub(G1.add(sum, low), surplus);
  });
}

function splitPoints(points: Uint8Array): JacobianPoint[] {
  return Array.from({ length: points.byteLength / G1_JACOBIAN_BYTES }, (_, i) =>
    points.slice(i * G1_JACOBIAN_BYTES, (i + 1) * G1_JACOBIAN_BYTES),
  );
}

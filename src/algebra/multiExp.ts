/**
 * Multi-scalar multiplication in G1 with the vector kernels of curveKernels.ts: bucket method, signed digits, four
 * windows or rows at a time.
 *
 * The kernels' addition formulas are not complete, so buckets and sums start from random points, which are taken off
 * at the end; whoever does not know them cannot make a sum meet them. Should that happen all the same, a Z
 * coordinate ends as zero and the caller computes the result with the library instead.
 */
import { bytesToNumberBE } from '@noble/curves/utils.js';
import { concatBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { callStep as call, type TaskStep } from './curve.js';
import {
  BASE_BYTES,
  BUCKET_BYTES,
  bucketWords,
  OPERAND_BYTES,
  POINT_QUAD_BYTES,
  pointQuad,
  RECODED_BYTES,
} from './curveKernels.js';
import { type Eisenstein, unitDigits } from './endomorphism.js';
import type { Engine } from './engine.js';
import { encodeG1, G1_BYTES, G1_JACOBIAN_BYTES, type G1Point } from './points.js';
import { QUAD_BYTES } from './quadField.js';
import { Fr, randomScalar, SCALAR_BYTES } from './scalar.js';
import { vectorFromScalars } from './vector.js';

/** Jacobian point in ffjavascript's form. */
export type JacobianPoint = Uint8Array;

/** Fewer terms than this are multiplied as fast one by one, or by the library: a bucket sum has its tasks to set up. */
export const MIN_BUCKET_TERMS = 8;

/** Windows that one pass of the kernel fills. */
const GROUP = 4;

/** Bits of a scalar and of the carry of its signed digits. */
const SCALAR_BITS = 255;

/** Digits of int16 entries: two of eight bits, in [-128, 128]. */
const ROW_BUCKETS = 128;

/** Row pairs in one task: the bases are prepared once for all of them. */
const PAIRS_PER_TASK = 2;

/** Multiplications that an addition of a base and an addition of two points take. */
const MIXED_COST = 11;
const FULL_COST = 16;

interface RandomPoint {
  readonly scalar: bigint;
  /** As `bucketWords` and `pointQuad` have it. */
  readonly words: Uint8Array;
  readonly quad: Uint8Array;
}

interface RandomStart {
  readonly bucket: RandomPoint;
  readonly running: RandomPoint;
  readonly total: RandomPoint;
  /** See {@link surplusOf}. */
  readonly surpluses: Map<string, JacobianPoint>;
}

const starts = new WeakMap<Engine, RandomStart>();

function startOf(engine: Engine): RandomStart {
  let start = starts.get(engine);
  if (!start) {
    const [bucket, running, total] = [randomPoint(engine), randomPoint(engine), randomPoint(engine)];
    start = { bucket, running, total, surpluses: new Map() };
    starts.set(engine, start);
  }
  return start;
}

function randomPoint(engine: Engine): RandomPoint {
  const scalar = randomScalar();
  const bytes = encodeG1(timesGenerator(engine, scalar) as G1Point);
  const [x, y] = [bytesToNumberBE(bytes.subarray(0, 32)), bytesToNumberBE(bytes.subarray(32))];
  return { scalar, words: bucketWords(x, y), quad: pointQuad(x, y) };
}

/** Affine. */
function timesGenerator(engine: Engine, scalar: bigint): Uint8Array {
  const { G1 } = engine.curve;
  return G1.toAffine(G1.timesFr(G1.g, vectorFromScalars(engine, [scalar])));
}

/** What the random points add to the sum of one window: total + buckets * running + (1 + .. + buckets) * bucket. */
function excess({ bucket, running, total }: RandomStart, buckets: number): bigint {
  const triangle = BigInt((buckets * (buckets + 1)) / 2);
  return Fr.add(
    total.scalar,
    Fr.add(Fr.mul(BigInt(buckets), running.scalar), Fr.mul(triangle, bucket.scalar)),
  );
}

/** Variables of a task. */
const POINTS = 0;
const BASES = 1;
const SCALARS = 2;
const RECODED = 3;
const OFFSET = 4;
const DIGITS = 5;
const BUCKETS = 6;
const BUCKET = 7;
const RUNNING = 8;
const TOTAL = 9;
const RESULT = 10;

/** Steps that prepare bases and room for buckets. */
function prepare(start: RandomStart, points: Uint8Array, buckets: number): TaskStep[] {
  const count = points.byteLength / G1_BYTES;
  return [
    { cmd: 'ALLOCSET', var: POINTS, buff: points },
    { cmd: 'ALLOC', var: BASES, len: count * BASE_BYTES },
    call('zg_expandBases', { var: POINTS }, { val: count }, { var: BASES }),
    { cmd: 'ALLOC', var: DIGITS, len: count * 2 * GROUP },
    { cmd: 'ALLOC', var: BUCKETS, len: GROUP * (buckets + 1) * BUCKET_BYTES },
    { cmd: 'ALLOCSET', var: BUCKET, buff: start.bucket.words },
    { cmd: 'ALLOC', var: RUNNING, len: POINT_QUAD_BYTES },
    { cmd: 'ALLOC', var: TOTAL, len: POINT_QUAD_BYTES },
    { cmd: 'ALLOC', var: RESULT, len: GROUP * G1_JACOBIAN_BYTES },
  ];
}

/** Steps from digits to four sums in output `out`. */
function sumDigits(start: RandomStart, count: number, buckets: number, out: number): TaskStep[] {
  const stride = (buckets + 1) * BUCKET_BYTES;
  return [
    call('zg_fill', { var: BUCKETS }, { val: GROUP * (buckets + 1) }, { var: BUCKET }),
    call('zg_accumulate', { var: BASES }, { var: DIGITS }, { val: count }, { var: BUCKETS }, { val: stride }),
    { cmd: 'SET', var: RUNNING, buff: start.running.quad },
    { cmd: 'SET', var: TOTAL, buff: start.total.quad },
    call(
      'zg_sumBuckets',
      { var: BUCKETS },
      { val: stride },
      { val: buckets },
      { var: RUNNING },
      { var: TOTAL },
    ),
    call('zg_storePoints', { var: TOTAL }, { var: RESULT }),
    { cmd: 'GET', out, var: RESULT, len: GROUP * G1_JACOBIAN_BYTES },
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
    const cost = Math.ceil(groups / threads) * (count * MIXED_COST + 2 * buckets * FULL_COST);
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
 * @param points affine, 64 bytes each, none the identity
 * @param scalars canonical integers, 32 bytes each, little-endian
 */
export async function bucketSum(
  engine: Engine,
  points: Uint8Array,
  scalars: Uint8Array,
): Promise<JacobianPoint | undefined> {
  const start = startOf(engine);
  const count = points.byteLength / G1_BYTES;
  const plan = planFor(count, engine.threads);
  const { width, groups } = plan;
  const buckets = 2 ** (width - 1);
  const tasks: Promise<Uint8Array[]>[] = [];
  const perTask = Math.ceil(groups / engine.threads);
  for (let first = 0; first < groups; first += perTask) {
    const steps: TaskStep[] = [
      ...prepare(start, points, buckets),
      { cmd: 'ALLOCSET', var: SCALARS, buff: scalars },
      // the kernel reads eight bytes from any byte on
      { cmd: 'ALLOC', var: RECODED, len: count * RECODED_BYTES + 8 },
      { cmd: 'ALLOCSET', var: OFFSET, buff: digitOffset(plan) },
      call('zg_recode', { var: SCALARS }, { val: count }, { var: OFFSET }, { var: RECODED }),
    ];
    for (let group = first; group < Math.min(groups, first + perTask); group++) {
      const bit = group * GROUP * width;
      steps.push(
        call(
          'zg_windowDigits',
          { var: RECODED },
          { val: count },
          { val: bit },
          { val: width },
          { var: DIGITS },
        ),
        ...sumDigits(start, count, buckets, group - first),
      );
    }
    tasks.push(engine.curve.tm.queueAction(steps));
  }
  const windows = concatBytes(...(await Promise.all(tasks)).flat());
  if (anyZeroZ(windows)) return undefined;
  return engine.curve.G1.sub(joinWindows(engine, windows, width), surplusOf(engine, plan));
}

/** sum_w 2^(width w) windows[w], Jacobian; windows of 96 bytes, lowest first. */
function joinWindows(engine: Engine, windows: Uint8Array, width: number): JacobianPoint {
  return engine.sync(({ call, put, get }) => {
    const lowest = put(windows);
    const sum = lowest + windows.byteLength - G1_JACOBIAN_BYTES;
    for (let window = sum - G1_JACOBIAN_BYTES; window >= lowest; window -= G1_JACOBIAN_BYTES) {
      for (let bit = 0; bit < width; bit++) call.g1m_double!(sum, sum);
      call.g1m_add!(sum, window, sum);
    }
    return get(sum, G1_JACOBIAN_BYTES);
  });
}

/** What the random points add to a whole sum, Jacobian: it depends on the plan alone. */
function surplusOf(engine: Engine, { width, groups }: Plan): JacobianPoint {
  const start = startOf(engine);
  const key = `${width}:${groups}`;
  let surplus = start.surpluses.get(key);
  if (!surplus) {
    let weights = 0n;
    for (let w = 0; w < groups * GROUP; w++) weights = (weights << BigInt(width)) + 1n;
    const scalar = Fr.mul(Fr.create(weights), excess(start, 2 ** (width - 1)));
    surplus = engine.curve.G1.toJacobian(timesGenerator(engine, scalar));
    start.surpluses.set(key, surplus);
  }
  return surplus;
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
  const start = startOf(engine);
  const count = points.byteLength / G1_BYTES;
  const { G1 } = engine.curve;
  const surplus = G1.toJacobian(timesGenerator(engine, Fr.mul(257n, excess(start, ROW_BUCKETS))));
  const tasks: Promise<Uint8Array[]>[] = [];
  for (let from = 0; from < rows.length; from += 2 * PAIRS_PER_TASK) {
    const steps = prepare(start, points, ROW_BUCKETS);
    for (let pair = 0; pair < PAIRS_PER_TASK; pair++) {
      const a = rows[from + 2 * pair];
      if (!a) break;
      const b = rows[from + 2 * pair + 1] ?? a;
      const [rowA, rowB] = [RESULT + 1 + 2 * pair, RESULT + 2 + 2 * pair];
      steps.push(
        { cmd: 'ALLOCSET', var: rowA, buff: bytesOf(a) },
        { cmd: 'ALLOCSET', var: rowB, buff: bytesOf(b) },
        call('zg_rowDigits', { var: rowA }, { var: rowB }, { val: count }, { var: DIGITS }),
        ...sumDigits(start, count, ROW_BUCKETS, pair),
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

/**
 * `out[i] = sum_j factors[j] * points[j * m + i]` for i < m = points / factors, Jacobian, 96 bytes each; undefined if
 * a sum met a random start.
 *
 * @param points affine, 64 bytes each, none the identity
 */
export async function combinePoints(
  engine: Engine,
  points: Uint8Array,
  factors: readonly Eisenstein[],
): Promise<Uint8Array | undefined> {
  const parts = factors.length;
  const count = points.byteLength / G1_BYTES / parts;
  const { total } = startOf(engine);
  const { program, doublings } = programFor(factors);
  const surplus = encodeG1(
    timesGenerator(engine, Fr.mul(total.scalar, Fr.pow(2n, BigInt(doublings)))) as G1Point,
  );
  const quad = pointQuad(bytesToNumberBE(surplus.subarray(0, 32)), bytesToNumberBE(surplus.subarray(32)));
  // x and y of an operand; nothing is added to its other multiples
  const operands = new Uint8Array((parts + 1) * OPERAND_BYTES);
  operands.set(quad.subarray(0, QUAD_BYTES), parts * OPERAND_BYTES);
  operands.set(quad.subarray(QUAD_BYTES, 2 * QUAD_BYTES), operands.byteLength - QUAD_BYTES);
  const chunk = GROUP * Math.ceil(count / GROUP / (4 * engine.threads));
  const tasks: Promise<Uint8Array[]>[] = [];
  for (let from = 0; from < count; from += chunk) {
    const size = Math.min(chunk, count - from);
    // one more quad of points may be read past each part
    const slice = (size + GROUP) * G1_BYTES;
    const steps: TaskStep[] = [
      { cmd: 'ALLOCSET', var: PROGRAM, buff: program },
      { cmd: 'ALLOCSET', var: START, buff: total.quad },
      { cmd: 'ALLOC', var: SUM, len: POINT_QUAD_BYTES },
      { cmd: 'ALLOCSET', var: OPERANDS, buff: operands },
      { cmd: 'ALLOC', var: SUMS, len: (size + GROUP) * G1_JACOBIAN_BYTES },
    ];
    factors.forEach((_, j) => {
      const begin = (j * count + from) * G1_BYTES;
      const part = new Uint8Array(slice);
      part.set(points.subarray(begin, begin + size * G1_BYTES));
      steps.push({ cmd: 'ALLOCSET', var: PARTS + j, buff: part });
    });
    for (let i = 0; i < size; i += GROUP) {
      factors.forEach((_, j) => {
        steps.push(
          call(
            'zg_loadAffine',
            { var: PARTS + j, offset: i * G1_BYTES },
            { val: G1_BYTES },
            { var: OPERANDS, offset: j * OPERAND_BYTES },
          ),
        );
      });
      steps.push(
        call(
          'zg_combine',
          { var: SUM },
          { var: START },
          { var: OPERANDS },
          { var: PROGRAM },
          { val: program.length },
        ),
        call('zg_storePoints', { var: SUM }, { var: SUMS, offset: i * G1_JACOBIAN_BYTES }),
      );
    }
    steps.push({ cmd: 'GET', out: 0, var: SUMS, len: size * G1_JACOBIAN_BYTES });
    tasks.push(engine.curve.tm.queueAction(steps));
  }
  const out = new Uint8Array(count * G1_JACOBIAN_BYTES);
  let at = 0;
  for (const [sums] of await Promise.all(tasks)) {
    out.set(sums!, at);
    at += sums!.byteLength;
  }
  return anyZeroZ(out) ? undefined : out;
}

const PROGRAM = 0;
const START = 1;
const SUM = 2;
const OPERANDS = 3;
const SUMS = 4;
const PARTS = 5;

/** Steps are bytes: eight for each factor. */
const MAX_FACTORS = 31;

/** Double-and-add steps for all factors at once; the last step takes the start off again. */
function programFor(factors: readonly Eisenstein[]): { program: Uint8Array; doublings: number } {
  const digits = factors.map(unitDigits);
  const length = Math.max(1, ...digits.map((d) => d.length));
  const steps: number[] = [];
  for (let bit = length - 1; bit >= 0; bit--) {
    if (bit < length - 1) steps.push(0);
    digits.forEach((d, j) => {
      const digit = d[bit] ?? 0;
      if (digit !== 0) steps.push(8 * j + digit);
    });
  }
  steps.push(8 * factors.length + 2);
  if (factors.length > MAX_FACTORS)
    throw new ZkLoraError('INTERNAL', 'too many factors for a step of one byte');
  return { program: Uint8Array.from(steps), doublings: length - 1 };
}

function bytesOf(row: Int16Array): Uint8Array {
  return new Uint8Array(row.buffer, row.byteOffset, row.byteLength);
}

function splitPoints(points: Uint8Array): JacobianPoint[] {
  return Array.from({ length: points.byteLength / G1_JACOBIAN_BYTES }, (_, i) =>
    points.slice(i * G1_JACOBIAN_BYTES, (i + 1) * G1_JACOBIAN_BYTES),
  );
}

/** Whether one of several Jacobian points, 96 bytes each, has a zero Z. */
function anyZeroZ(points: Uint8Array): boolean {
  for (let at = 0; at < points.byteLength; at += G1_JACOBIAN_BYTES) {
    if (hasZeroZ(points.subarray(at, at + G1_JACOBIAN_BYTES))) return true;
  }
  return false;
}

function hasZeroZ(point: JacobianPoint): boolean {
  return point.subarray(2 * SCALAR_BYTES).every((byte) => byte === 0);
}

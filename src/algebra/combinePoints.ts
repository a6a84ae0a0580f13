/** Sums of a few points with common scalars, by the vector kernels of foldKernels.ts. */
import { concatBytes } from '../bytes.js';
import { toBytes } from '../littleEndian.js';
import { callStep as call, type TaskStep } from './curve.js';
import { pointQuad } from './curveKernels.js';
import type { Eisenstein } from './endomorphism.js';
import type { Engine } from './engine.js';
import { type FoldProgram, planFold } from './foldProgram.js';
import { LANES } from './laneWords.js';
import { G1_BYTES, wholeQuads } from './points.js';
import { QUAD_BYTES } from './quadField.js';
import { startOf, surplusOf } from './randomStart.js';
import { Fr } from './scalar.js';
import { ADDITION_WORK_BYTES, additionSteps } from './slotKernels.js';
import { runTask } from './tasks.js';

/** Points that a kernel takes at a time. */
const GROUP = LANES.length;

/** Quads that share an inversion; with eight factors each takes 90 KB beside it. */
const QUADS_AT_ONCE = 8;

/** Quads up to which all sums are made in this thread. */
const MAX_SHORT_QUADS = 2;

/** Tasks for each thread, so that none waits long for the others' last. */
const TASKS_PER_THREAD = 4;

/**
 * `out[i] = sum_j factors[j] * points[j * m + i]` for i < m = points / factors, affine, 64 bytes each; zeros, for it
 * and for sums beside it, where two points that are added have the same x or the sum is the identity or meets a random start.
 *
 * @param points affine, 64 bytes each, none the identity
 */
export async function combinePoints(
  engine: Engine,
  points: Uint8Array,
  factors: readonly Eisenstein[],
): Promise<Uint8Array> {
  const count = points.byteLength / G1_BYTES / factors.length;
  const program = planFold(factors);
  const { total } = startOf(engine, 'G1');
  const start = total.quad;
  const { doublings } = program;
  const surplus = surplusOf(engine, 'G1', `fold:${doublings}`, () =>
    Fr.neg(Fr.mul(total.scalar, Fr.pow(2n, BigInt(doublings)))),
  );
  const surplusQuad = pointQuad(engine.curve.G1.toObject(surplus) as bigint[]).subarray(0, 2 * QUAD_BYTES);
  const quads = Math.ceil(count / GROUP);
  const atOnce =
    quads <= MAX_SHORT_QUADS ? quads : Math.min(QUADS_AT_ONCE, Math.ceil(quads / engine.threads));
  const perTask = GROUP * atOnce * Math.ceil(quads / atOnce / (TASKS_PER_THREAD * engine.threads));
  const tasks: Promise<Uint8Array[]>[] = [];
  for (let from = 0; from < count; from += perTask) {
    const size = Math.min(perTask, count - from);
    const parts = factors.map((_, j) => {
      const begin = (j * count + from) * G1_BYTES;
      return wholeQuads(points.subarray(begin, begin + size * G1_BYTES));
    });
    const task = taskSteps(program, parts, size, atOnce, start, surplusQuad);
    tasks.push(runTask(engine, task, quads <= MAX_SHORT_QUADS ? 'short' : 'long'));
  }
  return concatBytes(...(await Promise.all(tasks)).flat());
}

const PROGRAM = 0;
const ADDITIONS = 1;
const START = 2;
const SURPLUS = 3;
const FAILED = 4;
const POINTS = 5;
const SLOTS = 6;
const WORK = 7;
const JACOBIAN = 8;
const SUMS = 9;

/** Steps of one task: sums of as many points as each part has, `atOnce` quads at a time, of which `size` come out. */
function taskSteps(
  { firstSlot, slots, levels, widest, steps }: FoldProgram,
  parts: readonly Uint8Array[],
  size: number,
  atOnce: number,
  start: Uint8Array,
  surplus: Uint8Array,
): TaskStep[] {
  const partBytes = parts[0]!.byteLength;
  const quads = partBytes / G1_BYTES / GROUP;
  const stride = { val: atOnce * QUAD_BYTES };
  const task: TaskStep[] = [
    { cmd: 'ALLOCSET', var: PROGRAM, buff: toBytes(Uint32Array.from(steps)) },
    { cmd: 'ALLOCSET', var: ADDITIONS, buff: toBytes(Uint32Array.from(levels.flat())) },
    { cmd: 'ALLOCSET', var: START, buff: start },
    { cmd: 'ALLOCSET', var: SURPLUS, buff: surplus },
    { cmd: 'ALLOCSET', var: FAILED, buff: new Uint8Array(4) },
    { cmd: 'ALLOCSET', var: POINTS, buff: concatBytes(...parts) },
    { cmd: 'ALLOC', var: SLOTS, len: slots * stride.val },
    { cmd: 'ALLOC', var: WORK, len: Math.max(1, widest) * atOnce * ADDITION_WORK_BYTES },
    { cmd: 'ALLOC', var: JACOBIAN, len: 3 * stride.val },
    { cmd: 'ALLOC', var: SUMS, len: partBytes },
  ];
  for (let quad = 0; quad < quads; quad += atOnce) {
    const now = { val: Math.min(atOnce, quads - quad) };
    const offset = quad * GROUP * G1_BYTES;
    // what one of the quads before met is not theirs
    if (quad > 0) task.push({ cmd: 'SET', var: FAILED, buff: new Uint8Array(4) });
    task.push(
      call(
        'zg_loadSlots',
        { var: POINTS, offset },
        { val: partBytes },
        { val: parts.length },
        now,
        { var: SLOTS, offset: firstSlot * stride.val },
        stride,
      ),
    );
    task.push(
      ...additionSteps(levels, now.val, {
        slots: SLOTS,
        stride,
        additions: ADDITIONS,
        work: WORK,
        failed: FAILED,
      }),
    );
    task.push(
      call(
        'zg_sumSlots',
        { var: SLOTS },
        stride,
        now,
        { var: PROGRAM },
        { val: steps.length },
        { var: START },
        { var: SURPLUS },
        { var: FAILED },
        { var: JACOBIAN },
        { var: WORK },
        { var: SUMS, offset },
      ),
    );
  }
  task.push({ cmd: 'GET', out: 0, var: SUMS, len: size * G1_BYTES });
  return task;
}

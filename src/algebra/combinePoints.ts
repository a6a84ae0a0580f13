/** Sums of a few points with common scalars, by the vector kernels of curveKernels.ts. */
import { ZkLoraError } from '../errors.js';
import { callStep as call, type TaskStep } from './curve.js';
import { OPERAND_BYTES, pointQuad } from './curveKernels.js';
import { type Eisenstein, unitDigits } from './endomorphism.js';
import type { Engine } from './engine.js';
import { LANES } from './laneWords.js';
import { G1_BYTES, G1_JACOBIAN_BYTES } from './points.js';
import { QUAD_BYTES } from './quadField.js';
import { anyZeroZ, startOf, timesGenerator } from './randomStart.js';
import { Fr } from './scalar.js';

/** Points that a kernel takes at a time. */
const GROUP = LANES.length;

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
  const { total } = startOf(engine, 'G1');
  const { program, doublings } = programFor(factors);
  const surplus = timesGenerator(engine, 'G1', Fr.mul(total.scalar, Fr.pow(2n, BigInt(doublings))));
  const quad = pointQuad(engine.curve.G1.toObject(surplus) as bigint[]);
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
      { cmd: 'ALLOC', var: SUM, len: 3 * QUAD_BYTES },
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
  return anyZeroZ(out, G1_JACOBIAN_BYTES) ? undefined : out;
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

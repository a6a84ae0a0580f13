/**
 * Runs kernels in the worker threads on small operands, so that V8 has compiled them for good when they are needed: work
 * for idle threads while the main thread reads what a proof is made of, or a proof and its session.
 */
import { combinePoints } from './combinePoints.js';
import { type Curve, callStep as call, type TaskStep } from './curve.js';
import { shortForm } from './endomorphism.js';
import type { Engine } from './engine.js';
import { CUT_ENTRIES, MULTIPLY_COLUMNS, MULTIPLY_ROWS, PLANE_ELEMENTS } from './limbKernels.js';
import { windowSums } from './multiExp.js';
import { PairingProduct } from './pairing.js';
import { placeSum } from './placeSum.js';
import type { G1Point, G2Point, GroupName } from './points.js';
import { sumOfProducts } from './quadTransform.js';
import { SCALAR_BYTES } from './scalar.js';
import { powersVector, vectorToBytes } from './vector.js';

/** V8 compiles a function for good after some hundred calls of the largest kernels. */
const POINTS = 64;
const DOMAIN = 512;

const FACTOR = 2n ** 200n - 1n;

type Part = 'rows' | 'sums' | 'sumsG2' | 'transforms' | 'folds' | 'pairings';

const PARTS: Readonly<Record<Part, (engine: Engine) => Promise<unknown>>> = {
  // kernels of the main thread: V8 compiles a function once for all threads
  rows: ({ curve }) => curve.tm.queueAction(rowKernels()),
  sums: (engine) => sumOfPoints(engine, 'G1'),
  sumsG2: (engine) => sumOfPoints(engine, 'G2'),
  transforms: (engine) => {
    const values = powersVector(engine, FACTOR, DOMAIN);
    const product = { a: values, b: values, blinder: FACTOR };
    return sumOfProducts(engine, DOMAIN, [product, product]);
  },
  folds: async (engine) => {
    const points = await multiplesOfGenerator(engine, 'G1');
    return combinePoints(engine, points, [shortForm(FACTOR), shortForm(FACTOR)]);
  },
  pairings: (engine) => {
    const { curve } = engine;
    const product = new PairingProduct(engine);
    product.add(curve.G2.gAffine as G2Point, FACTOR, curve.G1.gAffine as G1Point);
    return product.isOne();
  },
};

const warmed = new WeakMap<Curve, Map<Part, Promise<void>>>();

/** Warms what a proof needs that takes no circuit; once for each engine. Never rejects. */
export function warmProver(engine: Engine): Promise<void> {
  return warm(engine, ['rows', 'sums', 'transforms']);
}

/** {@link warmProver} for a proof by circuits, which needs more. */
export function warmCircuitProver(engine: Engine): Promise<void> {
  return warm(engine, ['rows', 'sums', 'sumsG2', 'transforms', 'folds']);
}

/** Warms what verification needs; once for each engine. Never rejects. */
export function warmVerifier(engine: Engine): Promise<void> {
  return warm(engine, ['rows', 'sums', 'pairings']);
}

async function warm(engine: Engine, parts: readonly Part[]): Promise<void> {
  let known = warmed.get(engine.curve);
  if (!known) {
    known = new Map();
    warmed.set(engine.curve, known);
  }
  for (const part of parts) {
    // a thread that fails here fails whatever comes next as well, and that reports it
    if (!known.has(part)) known.set(part, PARTS[part](engine).then(nothing, nothing));
  }
  await Promise.all(parts.map((part) => known.get(part)));
}

function nothing(): void {}

/** Elements of {@link rowKernels}: rows of so many columns, sixteen of them. */
const COLUMNS = 256;
const ROWS = 16;

/** Task with the kernels that fold a session and work on field vectors, all operands zero. */
function rowKernels(): TaskStep[] {
  const [a, b, out] = [{ var: 0 }, { var: 1 }, { var: 2 }];
  const n = { val: COLUMNS };
  const stride = { val: 2 * COLUMNS };
  const octets = { val: COLUMNS / PLANE_ELEMENTS };
  const bytes = COLUMNS * PLANE_ELEMENTS * SCALAR_BYTES;
  return [
    ...[a, b, out].map(({ var: variable }): TaskStep => {
      return { cmd: 'ALLOCSET', var: variable, buff: new Uint8Array(bytes) };
    }),
    call('zk_planes', a, n, b),
    call(
      'zk_multiplyRows',
      a,
      stride,
      { val: ROWS / MULTIPLY_ROWS },
      b,
      { val: COLUMNS / MULTIPLY_COLUMNS },
      out,
    ),
    call('zk_combineRows', a, stride, { val: ROWS / PLANE_ELEMENTS }, b, octets, out),
    call('zk_cutLong', a, { val: (ROWS * COLUMNS) / CUT_ENTRIES / 4 }, stride, b, out),
    call('zk_fifthDigits', a, n, b),
    call('zk_powers', a, b, n, out),
    ...['zk_mul', 'zk_add', 'zk_sub'].map((name) => call(name, a, b, n, out)),
    ...['zk_scale', 'zk_addScaled'].map((name) => call(name, a, b, n, out)),
    call('zk_dot', a, b, n, out),
    ...['frm_ifft', 'frm_fft'].map((name) => call(name, a, n)),
    call('frm_batchFromMontgomery', a, n, a),
    call('frm_batchToMontgomery', a, n, a),
  ];
}

async function sumOfPoints(engine: Engine, group: GroupName): Promise<unknown> {
  const points = await multiplesOfGenerator(engine, group);
  const scalars = vectorToBytes(engine, powersVector(engine, FACTOR, POINTS));
  return Promise.all([
    windowSums(engine, points, scalars, group),
    group === 'G1' ? placeSum(engine, points, scalars, 'long') : undefined,
  ]);
}

/** G, 2 G, 3 G, ..., affine: equal points would take another way. */
function multiplesOfGenerator({ curve }: Engine, name: GroupName): Promise<Uint8Array> {
  const group = curve[name];
  const bytes = group.g.byteLength;
  const points = new Uint8Array(POINTS * bytes);
  let point = group.zero;
  for (let i = 0; i < POINTS; i++) {
    point = group.add(point, group.g);
    points.set(point, i * bytes);
  }
  return group.batchToAffine(points);
}

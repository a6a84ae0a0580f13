/**
 * Runs the kernels of the worker threads on small operands, so that V8 has compiled them when they are needed: work
 * for idle threads while the main thread reads a session.
 */
import { combinePoints } from './combinePoints.js';
import type { Curve } from './curve.js';
import { shortForm } from './endomorphism.js';
import type { Engine } from './engine.js';
import { bucketSum } from './multiExp.js';
import { G1_JACOBIAN_BYTES } from './points.js';
import { sumOfProducts } from './quadTransform.js';
import { powersVector, vectorToBytes } from './vector.js';

/** V8 compiles a function for good after some hundred calls of the largest kernels. */
const POINTS = 64;
const DOMAIN = 512;

const FACTOR = 2n ** 200n - 1n;

const warmed = new WeakMap<Curve, Promise<void>>();

/** Warms what a proof needs; once for each engine. Never rejects. */
export function warmProver(engine: Engine): Promise<void> {
  let done = warmed.get(engine.curve);
  if (!done) {
    // a thread that fails here fails whatever comes next as well, and that reports it
    done = run(engine).catch(() => undefined);
    warmed.set(engine.curve, done);
  }
  return done;
}

async function run(engine: Engine): Promise<void> {
  const points = await multiplesOfGenerator(engine);
  const scalars = vectorToBytes(engine, powersVector(engine, FACTOR, POINTS));
  const values = powersVector(engine, FACTOR, DOMAIN);
  const product = { a: values, b: values, blinder: FACTOR };
  await Promise.all([
    bucketSum(engine, points, scalars),
    sumOfProducts(engine, DOMAIN, [product, product]),
    combinePoints(engine, points, [shortForm(FACTOR), shortForm(FACTOR)]),
  ]);
}

/** G, 2 G, 3 G, ..., affine: equal points would take another way. */
function multiplesOfGenerator({ curve: { G1 } }: Engine): Promise<Uint8Array> {
  const points = new Uint8Array(POINTS * G1_JACOBIAN_BYTES);
  let point = G1.zero;
  for (let i = 0; i < POINTS; i++) {
    point = G1.add(point, G1.g);
    points.set(point, i * G1_JACOBIAN_BYTES);
  }
  return G1.batchToAffine(points);
}

/**
 * Cost of the primitives on this machine, with as many threads as the prover uses: `node primitives.js <json>`.
 *
 * Prints one line of JSON, see {@link Primitives}. Each figure is the shortest of several warm runs.
 */
import {
  constantVector,
  type Engine,
  Fr,
  g1Generator,
  loadEngine,
  multiplyRows,
  multiScalarMultiply,
  powersVector,
  randomScalar,
  toLimbs,
  transformFour,
} from '../src/algebra/index.js';
import { openParameters, proveRankCheck } from '../src/circuit/index.js';
import { gaussian } from './synthetic.js';

/** What the child is told. */
export interface PrimitivesRequest {
  readonly parameters: string;
  /** Sizes of multi-scalar multiplications. */
  readonly msm: readonly number[];
  /** Sizes of transforms. */
  readonly fft: readonly number[];
  /** Sizes K of RankCheck(K). */
  readonly groth16: readonly number[];
}

/** Seconds by size. */
export interface Primitives {
  readonly threads: number;
  readonly msm: Readonly<Record<number, number>>;
  /** Of one transform while all threads work on others. */
  readonly fft: Readonly<Record<number, number>>;
  readonly groth16: Readonly<Record<number, number>>;
  /** Of one weight in a pass over all of them, shared among the threads. */
  readonly weightPass: number;
  /** From the start of a process to a curve that is ready. */
  readonly startSeconds: number;
}

const REPEATS = 5;

/** Transforms in flight for each thread while they are timed. */
const BATCHES = 4;

async function shortest(work: () => Promise<unknown>, repeats = REPEATS): Promise<number> {
  await work();
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < repeats; i++) {
    const start = performance.now();
    await work();
    best = Math.min(best, (performance.now() - start) / 1e3);
  }
  return best;
}

async function measureMsm(engine: Engine, count: number): Promise<number> {
  const { G1 } = engine.curve;
  const generators = new Uint8Array(count * 64);
  for (let i = 0; i < count; i++) generators.set(g1Generator(engine), i * 64);
  const [first, step] = [constantVector(engine, 3n, 1), constantVector(engine, randomScalar(), 1)];
  const bases = await G1.batchToAffine(await G1.batchApplyKey(generators, first, step, 'affine', 'jacobian'));
  const scalars = powersVector(engine, randomScalar(), count);
  return shortest(() => multiScalarMultiply(engine, bases, scalars));
}

async function measureFft(engine: Engine, size: number): Promise<number> {
  const values = [2n, 3n, 5n, 7n].map((base) => powersVector(engine, base, size));
  const batches = BATCHES * engine.threads;
  const seconds = await shortest(() =>
    Promise.all(Array.from({ length: batches }, () => transformFour(engine, values))),
  );
  return seconds / (batches * values.length);
}

async function measureGroth16(engine: Engine, folder: string, pairs: number): Promise<number> {
  const parameters = await openParameters(folder);
  const p = Array.from({ length: pairs }, () => randomScalar());
  const q = Array.from({ length: pairs }, () => randomScalar());
  const y = p.reduce((sum, value, l) => Fr.add(sum, Fr.mul(value, q[l]!)), 0n);
  const zkey = await parameters.zkey(pairs);
  const inputs = { y, mu: randomScalar(), b: randomScalar(), p, q };
  return shortest(() => proveRankCheck(engine, zkey, inputs), 3);
}

async function measureWeightPass(engine: Engine): Promise<number> {
  const [rows, cols] = [64, 8192];
  const random = gaussian(1);
  const matrix = Int16Array.from({ length: rows * cols }, () => random() * 6000);
  const limbs = toLimbs(engine, powersVector(engine, randomScalar(), cols));
  const seconds = await shortest(async () => multiplyRows(engine, matrix, rows, cols, limbs));
  return seconds / (rows * cols) / engine.threads;
}

async function main(): Promise<void> {
  const request = JSON.parse(process.argv[2]!) as PrimitivesRequest;
  const engine = await loadEngine();
  const startSeconds = process.uptime();
  const each = async (sizes: readonly number[], measure: (size: number) => Promise<number>) => {
    const seconds: Record<number, number> = {};
    for (const size of new Set(sizes)) seconds[size] = await measure(size);
    return seconds;
  };
  const result: Primitives = {
    threads: engine.threads,
    msm: await each(request.msm, (count) => measureMsm(engine, count)),
    fft: await each(request.fft, (size) => measureFft(engine, size)),
    groth16: await each(request.groth16, (pairs) => measureGroth16(engine, request.parameters, pairs)),
    weightPass: await measureWeightPass(engine),
    startSeconds,
  };
  await engine.terminate();
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

await main();

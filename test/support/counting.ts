import type { TaskStep } from '../../src/algebra/curve.js';
import type { Engine, SyncMemory } from '../../src/algebra/index.js';

/** Operations of one computation. */
export interface Counts {
  /** Terms of each multi-scalar multiplication in G1 with full-size scalars, those of Groth16 included. */
  readonly msm: number[];
  /** Transforms of vectors of F by kernel: four polynomials at once, or one. */
  quadTransforms: number;
  singleTransforms: number;
  /** Entries of integer matrices that were multiplied with field elements, padding included. */
  matrixEntries: number;
  /** Entries of integer rows that points were multiplied with. */
  rowDigits: number;
  /** Pairings, and the final exponentiations that they share. */
  millerLoops: number;
  finalExponentiations: number;
}

/**
 * Runs a computation and counts its operations.
 *
 * @param work gets an engine that counts; the curve object that it shares with snarkjs counts as well meanwhile
 */
export async function countOperations<T>(
  engine: Engine,
  work: (counting: Engine) => Promise<T>,
): Promise<{ result: T; counts: Counts }> {
  const counts: Counts = {
    msm: [],
    quadTransforms: 0,
    singleTransforms: 0,
    matrixEntries: 0,
    rowDigits: 0,
    millerLoops: 0,
    finalExponentiations: 0,
  };
  const { curve } = engine;
  const { G1, tm } = curve;
  const original = {
    multiExpAffine: G1.multiExpAffine,
    queueAction: tm.queueAction,
  };
  G1.multiExpAffine = (bases, scalars, ...log) => {
    counts.msm.push(bases.byteLength / 64);
    return original.multiExpAffine(bases, scalars, ...log);
  };
  tm.queueAction = (task: readonly TaskStep[]) => {
    for (const step of task)
      if (step.cmd === 'CALL') countKernel(counts, step.fnName, step.params.map(numberOf));
    return original.queueAction.call(tm, task);
  };
  const counting: Engine = {
    ...engine,
    sync: (body) => engine.sync((memory) => body({ ...memory, call: countCalls(counts, memory.call) })),
  };
  try {
    return { result: await work(counting), counts };
  } finally {
    Object.assign(G1, { multiExpAffine: original.multiExpAffine });
    Object.assign(tm, { queueAction: original.queueAction });
  }
}

function numberOf(param: { var: number } | { val: number }): number {
  return 'val' in param ? param.val : 0;
}

function countCalls(counts: Counts, kernels: SyncMemory['call']): SyncMemory['call'] {
  const handler: ProxyHandler<Record<string, (...args: number[]) => number>> = {
    get: (_target, name: string) => {
      const kernel = kernels[name]!;
      return (...args: number[]) => {
        countKernel(counts, name, args);
        return kernel(...args);
      };
    },
  };
  return new Proxy({}, handler);
}

function countKernel(counts: Counts, name: string, args: readonly number[]): void {
  if (name === 'zq_fft') counts.quadTransforms++;
  if (name === 'frm_fft' || name === 'frm_ifft') counts.singleTransforms++;
  if (name === 'bn128_millerLoop') counts.millerLoops++;
  if (name === 'bn128_finalExponentiation') counts.finalExponentiations++;
  if (name === 'zg_rowDigits') counts.rowDigits += 2 * args[2]!;
  // (matrix, stride, octets, planes, blocks, out): eight rows by eight columns
  if (name === 'zk_combineRows') counts.matrixEntries += 64 * args[2]! * args[4]!;
  // (matrix, stride, quads, planes, blocks, out): four rows by 32 columns
  // (matrix, rows, cols, chunk, planes, blocks, ...): the same for the four digits of each entry
  if (name === 'zk_multiplyLong') counts.matrixEntries += 4 * 128 * Math.ceil(args[1]! / 4) * args[5]!;
  if (name === 'zk_multiplyRows') counts.matrixEntries += 128 * args[2]! * args[4]!;
}

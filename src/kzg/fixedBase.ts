import { type Engine, type FieldVector, subVector, vectorLength, vectorToBytes } from '../algebra/index.js';

/** Multiplications per worker task: some 0.1 s of work, 100 kB of points. */
const CHUNK = 1024;

const SCALAR_BYTES = 32;

/** Names of ffjavascript's WebAssembly entry points and bytes per coordinate. */
const GROUPS = {
  G1: { prefix: 'g1m', coordinateBytes: 32 },
  G2: { prefix: 'g2m', coordinateBytes: 64 },
} as const;

/**
 * `scalars[i] * generator` for every i, as affine points in ffjavascript's form: 64 bytes each in G1, 128 in G2;
 * the identity as zero bytes.
 *
 * Runs in the worker threads. Not constant-time: for values that may be known, such as development secrets.
 */
export async function multiplyGenerator(
  engine: Engine,
  group: 'G1' | 'G2',
  scalars: FieldVector,
): Promise<Uint8Array> {
  const { prefix, coordinateBytes } = GROUPS[group];
  const generator = engine.curve[group].gAffine;
  const integers = vectorToBytes(engine, scalars);
  const count = vectorLength(scalars);
  const tasks: Promise<Uint8Array[]>[] = [];
  for (let from = 0; from < count; from += CHUNK) {
    const size = Math.min(CHUNK, count - from);
    const multiplications = Array.from({ length: size }, (_, i) => ({
      cmd: 'CALL' as const,
      fnName: `${prefix}_timesScalarAffine`,
      params: [
        { var: 0 },
        { var: 1, offset: i * SCALAR_BYTES },
        { val: SCALAR_BYTES },
        { var: 2, offset: i * 3 * coordinateBytes },
      ],
    }));
    tasks.push(
      engine.curve.tm.queueAction([
        { cmd: 'ALLOCSET', var: 0, buff: generator },
        { cmd: 'ALLOCSET', var: 1, buff: subVector(integers, from, size) },
        { cmd: 'ALLOC', var: 2, len: size * 3 * coordinateBytes },
        ...multiplications,
        { cmd: 'CALL', fnName: `${prefix}_batchToAffine`, params: [{ var: 2 }, { val: size }, { var: 2 }] },
        { cmd: 'GET', out: 0, var: 2, len: size * 2 * coordinateBytes },
      ]),
    );
  }
  const points = new Uint8Array(count * 2 * coordinateBytes);
  let at = 0;
  for (const [chunk] of await Promise.all(tasks)) {
    points.set(chunk!, at);
    at += chunk!.byteLength;
  }
  return points;
}

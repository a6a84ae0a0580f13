import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BLOCK_BYTES } from '../../src/algebra/blockQueue.js';
import * as al from '../../src/algebra/index.js';

const { Fr, R } = al;
let engine: al.Engine;
beforeAll(async () => {
  engine = await al.loadEngine();
});
afterAll(() => engine.terminate());

const LONGS = [1n - 2n ** 63n, 2n ** 63n - 1n, 0x7fff7fff7fff8000n, -1n, 0n, 32768n, -(2n ** 47n)];
const SHORTS = [-32768, 32767, -1, 0, 1];

/** Blocks that workers have at a time, at most, while something is computed, and the bytes that one takes of a worker. */
async function mostOut(work: () => Promise<unknown>): Promise<{ most: number; bytes: number }> {
  const { tm } = engine.curve;
  const { queueAction } = tm;
  let [out, most, bytes] = [0, 0, 0];
  tm.queueAction = async (task) => {
    out += 1;
    most = Math.max(most, out);
    const lengths = task.map((step) =>
      step.cmd === 'ALLOC' ? step.len : step.cmd === 'ALLOCSET' ? step.buff.byteLength : 0,
    );
    bytes = Math.max(
      bytes,
      lengths.reduce((sum, length) => sum + length),
    );
    try {
      return await queueAction.call(tm, task);
    } finally {
      out -= 1;
    }
  };
  try {
    await work();
  } finally {
    tm.queueAction = queueAction;
  }
  expect(out).toBe(0);
  return { most, bytes };
}

interface Matrix {
  readonly matrix: Int16Array | BigInt64Array;
  readonly rows: number;
}

/** Sums of all matrices, each from as many parts as it comes in. */
async function folded(
  matrices: readonly Matrix[],
  cols: number,
  vector: al.FieldVector,
  weights: al.FieldVector,
  shared: boolean,
): Promise<bigint[]> {
  const queue = new al.BlockQueue(engine);
  if (shared) queue.share();
  const kind = matrices[0]!.matrix instanceof Int16Array ? 'int16' : 'int64';
  const stacks = new al.RowStacks(queue, new al.FoldVector(engine, vector), cols, kind);
  const sums = matrices.map(() => 0n);
  matrices.forEach(({ matrix, rows }, i) => {
    stacks.add(matrix, al.subVector(weights, 0, rows), (sum) => {
      sums[i] = Fr.add(sums[i]!, sum);
    });
  });
  stacks.flush();
  await queue.finish();
  return sums;
}

function plainFolds(
  matrices: readonly Matrix[],
  cols: number,
  vector: al.FieldVector,
  weights: al.FieldVector,
): bigint[] {
  const [v, w] = [vector, weights].map((own) => al.vectorToScalars(engine, own)) as [bigint[], bigint[]];
  return matrices.map(({ matrix, rows }) => {
    let total = 0n;
    for (let r = 0; r < rows; r++) {
      let sum = 0n;
      for (let c = 0; c < cols; c++) sum += v[c]! * BigInt(matrix[r * cols + c]!);
      total += w[r]! * (sum % R);
    }
    return Fr.create(total);
  });
}

describe('folds of rows', () => {
  // one quad of rows, many blocks, single rows, widths that are no whole blocks of columns
  it.each([
    ['int64', 14_336, [15, 1, 1, 9]],
    ['int64', 33, [4097, 3, 1, 1]],
    ['int16', 9001, [130, 1, 2, 1, 77]],
    ['int16', 1, [9000, 1, 1]],
  ] as const)('of %s, %i wide, are exact here and in worker threads', async (kind, cols, counts) => {
    const matrices = counts.map((rows, m) => {
      const entry = (i: number) => i * 7 + Math.floor(i / cols) + m;
      const matrix =
        kind === 'int64'
          ? BigInt64Array.from({ length: rows * cols }, (_, i) => LONGS[entry(i) % LONGS.length]!)
          : Int16Array.from({ length: rows * cols }, (_, i) => SHORTS[entry(i) % SHORTS.length]!);
      return { matrix, rows };
    });
    const vector = al.powersVector(engine, R - 3n, cols + 1, R - 1n);
    const weights = al.powersVector(engine, R - 5n, Math.max(...counts), R - 1n);
    const here = await folded(matrices, cols, vector, weights, false);
    expect(here).toEqual(plainFolds(matrices, cols, vector, weights));
    expect(await folded(matrices, cols, vector, weights, true)).toEqual(here);
  });
});

describe('folds of wide rows', () => {
  const entry = (i: number) => LONGS[(i * 5) % LONGS.length]!;

  it.each([
    ['int64', 65_536, 9],
    ['int64', 65_537, 9],
    ['int16', 65_536, 35],
    ['int16', 262_145, 5],
  ] as const)('of %s, %i wide, take bounded memory of workers and are exact', async (kind, cols, rows) => {
    const count = rows * cols;
    const matrix =
      kind === 'int64'
        ? BigInt64Array.from({ length: count }, (_, i) => entry(i))
        : Int16Array.from({ length: count }, (_, i) => SHORTS[(i * 7) % SHORTS.length]!);
    const [v, w] = [R - 3n, R - 5n];
    const vector = al.powersVector(engine, v, cols, R - 1n);
    const weights = al.powersVector(engine, w, rows, R - 1n);
    let shared: bigint[] = [];
    const { most, bytes } = await mostOut(async () => {
      shared = await folded([{ matrix, rows }], cols, vector, weights, true);
    });
    expect(shared).toEqual(await folded([{ matrix, rows }], cols, vector, weights, false));
    // rows by rows, which no stack is made of
    const vectors = al.vectorToScalars(engine, vector);
    let total = 0n;
    for (let r = rows - 1; r >= 0; r--) {
      let sum = 0n;
      for (let c = 0; c < cols; c++) sum += vectors[c]! * BigInt(matrix[r * cols + c]!);
      total = Fr.create(total * w + sum);
    }
    expect(shared).toEqual([Fr.neg(total)]);
    if (cols > 65_536) expect(most).toBe(0);
    else expect(most).toBeGreaterThan(0);
    expect(bytes).toBeLessThanOrEqual(4 * BLOCK_BYTES);
  });

  it('have blocks no longer than those of others', async () => {
    const [rows, cols] = [40, 32_768];
    const { tm } = engine.curve;
    const { queueAction } = tm;
    const blocks: number[] = [];
    tm.queueAction = async (task) => {
      const [block] = task;
      if (block?.cmd === 'ALLOCSET') blocks.push(block.buff.byteLength);
      return queueAction.call(tm, task);
    };
    const weights = al.powersVector(engine, 2n, rows);
    try {
      await folded(
        [{ matrix: new BigInt64Array(rows * cols), rows }],
        cols,
        al.powersVector(engine, 3n, cols),
        weights,
        true,
      );
    } finally {
      tm.queueAction = queueAction;
    }
    expect(blocks.length).toBeGreaterThan(0);
    expect(Math.max(...blocks)).toBeLessThanOrEqual(BLOCK_BYTES);
  });
});

describe('a vector that rows of many widths are folded with', () => {
  const elements = Array.from({ length: 150 }, (_, i) => Fr.pow(R - 3n, BigInt(i)));
  const make = () => new al.FoldVector(engine, al.vectorFromScalars(engine, elements));
  const bufferOf = (piece: Uint8Array | SharedArrayBuffer) =>
    piece instanceof Uint8Array ? piece.buffer : piece;

  it('keeps its planes once, in memory that threads share from when one needs it', () => {
    const vector = make();
    const widths = elements.map((_, i) => i + 1);
    const here = widths.map((cols) => vector.planes(cols, false));
    const sent = widths.map((cols) => vector.planes(cols, true));
    expect(new Set(here.map(([blocks]) => bufferOf(blocks!))).size).toBe(1);
    expect(bufferOf(here[0]![0]!)).not.toBeInstanceOf(SharedArrayBuffer);
    expect(new Set(sent.map(([blocks]) => bufferOf(blocks!))).size).toBe(1);
    expect(bufferOf(sent[0]![0]!)).toBeInstanceOf(SharedArrayBuffer);
    // one block of 32 columns beside it at most: 20 limbs of 16 bits
    for (const [, last] of [...here, ...sent]) expect(last?.byteLength ?? 0).toBeLessThanOrEqual(32 * 40);
    expect(bufferOf(vector.planes(64, false)[0]!)).toBe(bufferOf(sent[0]![0]!));
  });

  it.each(['shared', 'not shared'])('folds rows of all of them, memory being %s', async (memory) => {
    const global = globalThis as { SharedArrayBuffer?: unknown };
    const { SharedArrayBuffer: own } = global;
    if (memory === 'not shared') delete global.SharedArrayBuffer;
    try {
      const queue = new al.BlockQueue(engine);
      queue.share();
      const vector = make();
      const one = al.vectorFromScalars(engine, [1n]);
      const sums = elements.map(() => 0n);
      elements.forEach((_, i) => {
        const cols = i + 1;
        const stacks = new al.RowStacks(queue, vector, cols, 'int64');
        stacks.add(new BigInt64Array(cols).fill(LONGS[i % LONGS.length]!), one, (sum) => {
          sums[i] = sum;
        });
        stacks.flush();
      });
      await queue.finish();
      let total = 0n;
      elements.forEach((element, i) => {
        total = Fr.add(total, element);
        expect(sums[i]).toBe(Fr.create(total * LONGS[i % LONGS.length]!));
      });
    } finally {
      global.SharedArrayBuffer = own;
    }
  });
});

describe('a queue of blocks', () => {
  const cols = 4096;
  const rows = (20 * BLOCK_BYTES) / (2 * cols);
  const vector = () => new al.FoldVector(engine, al.powersVector(engine, 3n, cols));
  const matrix = new Int16Array(rows * cols);

  it('has a bounded number with the workers, and all of them done at the end', async () => {
    let taken = 0;
    const { most } = await mostOut(async () => {
      const queue = new al.BlockQueue(engine);
      queue.share();
      const stacks = new al.RowStacks(queue, vector(), cols, 'int16');
      stacks.add(matrix, al.powersVector(engine, 2n, rows), () => {
        taken += 1;
      });
      await queue.finish();
    });
    expect(most).toBe(Math.min(2 * engine.threads, 8));
    expect(taken).toBe(20);
  });

  it.each([false, true])(
    'reports what a task throws, and is left by all (in workers: %s)',
    async (shared) => {
      await mostOut(async () => {
        const queue = new al.BlockQueue(engine);
        if (shared) queue.share();
        const stacks = new al.RowStacks(queue, vector(), cols, 'int16');
        stacks.add(matrix, al.powersVector(engine, 2n, rows), () => {
          throw new Error('sum');
        });
        await expect(queue.finish()).rejects.toThrow('sum');
        await queue.stop();
      });
    },
  );

  it('that is stopped forgets what waits', async () => {
    let taken = 0;
    await mostOut(async () => {
      const queue = new al.BlockQueue(engine);
      queue.share();
      const stacks = new al.RowStacks(queue, vector(), cols, 'int16');
      stacks.add(matrix, al.powersVector(engine, 2n, rows), () => {
        taken += 1;
      });
      await queue.stop();
    });
    expect(taken).toBe(Math.min(2 * engine.threads, 8));
  });
});

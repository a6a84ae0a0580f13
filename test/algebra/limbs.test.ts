import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as al from '../../src/algebra/index.js';

const { Fr, R } = al;
let engine: al.Engine;
beforeAll(async () => {
  engine = await al.loadEngine();
});
afterAll(() => engine.terminate());

const extremes = [0n, 1n, R - 1n, R - 2n, R >> 1n, 2n ** 253n];
const scalar = fc.oneof(fc.bigInt({ min: 0n, max: R - 1n }), fc.constantFrom(...extremes));
const entry = fc.oneof(fc.integer({ min: -32768, max: 32767 }), fc.constantFrom(-32768, 32767, 0, -1));
const problem = fc
  .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 7 }))
  .chain(([rows, cols]) =>
    fc.record({
      rows: fc.constant(rows),
      cols: fc.constant(cols),
      matrix: fc.array(entry, { minLength: rows * cols, maxLength: rows * cols }),
      left: fc.array(scalar, { minLength: rows, maxLength: rows }),
      right: fc.array(scalar, { minLength: cols, maxLength: cols }),
    }),
  );

/** Products of int64 rows with a vector: each row is a matrix of its own to be folded. */
async function multiplyLongRows(
  matrix: BigInt64Array,
  cols: number,
  right: al.FieldVector,
): Promise<bigint[]> {
  const queue = new al.BlockQueue(engine);
  const stacks = new al.RowStacks(queue, new al.FoldVector(engine, right), cols, 'int64');
  const products = Array.from({ length: matrix.length / cols }, () => 0n);
  const one = al.vectorFromScalars(engine, [1n]);
  products.forEach((_, r) => {
    stacks.add(matrix.subarray(r * cols, (r + 1) * cols), one, (sum) => {
      products[r] = Fr.add(products[r]!, sum);
    });
  });
  stacks.flush();
  await queue.finish();
  return products;
}

describe('small-integer by field products', () => {
  it('combines rows exactly', () => {
    fc.assert(
      fc.property(problem, ({ rows, cols, matrix, left }) => {
        const got = al.combineRows(engine, al.vectorFromScalars(engine, left), Int16Array.from(matrix), cols);
        const want = Array.from({ length: cols }, (_, c) => {
          let sum = 0n;
          for (let r = 0; r < rows; r++) sum += left[r]! * BigInt(matrix[r * cols + c]!);
          return Fr.create(sum);
        });
        expect(al.vectorToScalars(engine, got)).toEqual(want);
      }),
      { numRuns: 300 },
    );
  });

  it('multiplies rows exactly', () => {
    fc.assert(
      fc.property(problem, ({ rows, cols, matrix, right }) => {
        const limbs = al.toLimbs(engine, al.vectorFromScalars(engine, right));
        const got = al.multiplyRows(engine, Int16Array.from(matrix), rows, cols, limbs);
        const want = Array.from({ length: rows }, (_, r) => {
          let sum = 0n;
          for (let c = 0; c < cols; c++) sum += right[c]! * BigInt(matrix[r * cols + c]!);
          return Fr.create(sum);
        });
        expect(al.vectorToScalars(engine, got)).toEqual(want);
      }),
      { numRuns: 300 },
    );
  });

  it('stays exact at the largest sums, across chunks', () => {
    const terms = 40_000;
    for (const [value, Entries] of [
      [-32768, Int16Array],
      [32767, Int16Array],
      [65535, Uint16Array],
      [0, Uint16Array],
    ] as const) {
      const matrix = new Entries(terms).fill(value);
      const field = al.vectorFromScalars(
        engine,
        Array.from({ length: terms }, () => R - 1n),
      );
      const want = Fr.create(-BigInt(value) * BigInt(terms));
      expect(al.vectorToScalars(engine, al.combineRows(engine, field, matrix, 1))).toEqual([want]);
      expect(
        al.vectorToScalars(engine, al.multiplyRows(engine, matrix, 1, terms, al.toLimbs(engine, field))),
      ).toEqual([want]);
    }
  });

  it('reduces what comes out next to 0 and next to R, where the last subtraction matters', async () => {
    // the kernels see an element times 2^256
    const raw = [0n, 1n, 2n ** 200n, 2n ** 240n, 2n ** 242n, R - 1n, R - 2n ** 191n, R - 2n ** 193n];
    const values = raw.map((value) => Fr.mul(value, Fr.inv(Fr.create(2n ** 256n))));
    const field = al.vectorFromScalars(engine, values);
    const bytes = (vector: al.FieldVector) => Buffer.from(vector).toString('hex');
    for (const entry of [1, -1, 0, 2, -32768]) {
      const want = bytes(
        al.vectorFromScalars(
          engine,
          values.map((value) => Fr.create(value * BigInt(entry))),
        ),
      );
      const limbs = al.toLimbs(engine, field);
      const diagonal = Int16Array.from({ length: 64 }, (_, i) => (i % 9 === 0 ? entry : 0));
      expect(bytes(al.combineRows(engine, field, diagonal, 8))).toBe(want);
      expect(bytes(al.multiplyRows(engine, diagonal, 8, 8, limbs))).toBe(want);
      const long = BigInt64Array.from(diagonal, BigInt);
      const products = await multiplyLongRows(long, 8, field);
      expect(bytes(al.vectorFromScalars(engine, products))).toBe(want);
    }
  });

  it('handles more columns than one block', () => {
    const cols = 1000;
    const matrix = Int16Array.from({ length: cols * 3 }, (_, i) => ((i * 7919) % 65536) - 32768);
    const left = [R - 1n, 12345n, R >> 1n];
    const got = al.vectorToScalars(
      engine,
      al.combineRows(engine, al.vectorFromScalars(engine, left), matrix, cols),
    );
    for (const c of [0, 255, 256, 511, 512, 999]) {
      const want = left.reduce((sum, l, r) => sum + l * BigInt(matrix[r * cols + c]!), 0n);
      expect(got[c]).toBe(Fr.create(want));
    }
  });

  it('multiplies int64 rows exactly, up to the ends of their range', async () => {
    const long = fc.oneof(
      fc.bigInt({ min: -(2n ** 63n) + 1n, max: 2n ** 63n - 1n }),
      fc.constantFrom(0n, 1n, -1n, 2n ** 63n - 1n, 1n - 2n ** 63n, 0x7fff7fff7fff8000n, 0x7fff800000000000n),
      fc.constantFrom(32767n, 32768n, 65535n, 65536n, -32768n, -32769n, 0x7fffffff8000n, 0x7fff_ffff_ffffn),
    );
    const longProblem = fc
      .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 40 }))
      .chain(([rows, cols]) =>
        fc.record({
          rows: fc.constant(rows),
          cols: fc.constant(cols),
          matrix: fc.array(long, { minLength: rows * cols, maxLength: rows * cols }),
          right: fc.array(scalar, { minLength: cols, maxLength: cols + 3 }),
        }),
      );
    await fc.assert(
      fc.asyncProperty(longProblem, async ({ rows, cols, matrix, right }) => {
        const vector = al.vectorFromScalars(engine, right);
        const got = await multiplyLongRows(BigInt64Array.from(matrix), cols, vector);
        const want = Array.from({ length: rows }, (_, r) => {
          let sum = 0n;
          for (let c = 0; c < cols; c++) sum += right[c]! * matrix[r * cols + c]!;
          return Fr.create(sum);
        });
        expect(got).toEqual(want);
      }),
      { numRuns: 200 },
    );
  });

  it.each([1, 4, 7, 9])(
    'multiplies %i wide int64 rows, across chunks, with a fifth digit in one of them',
    async (rows) => {
      const cols = 9001;
      const matrix = BigInt64Array.from(
        { length: rows * cols },
        (_, i) => BigInt((i * 7919) % 99991) ** 3n - 2n ** 48n,
      );
      // in the first quad of rows alone
      matrix[cols - 1] = 2n ** 63n - 1n;
      const right = al.powersVector(engine, R - 3n, cols, 5n);
      const scalars = al.vectorToScalars(engine, right);
      const want = Array.from({ length: rows }, (_, r) =>
        Fr.create(scalars.reduce((sum, scalar, c) => sum + scalar * matrix[r * cols + c]!, 0n)),
      );
      expect(await multiplyLongRows(matrix, cols, right)).toEqual(want);
    },
  );

  it('combines several matrices as one, across chunks', () => {
    const cols = 1000;
    const ranks = [3, 700, 8, 2500];
    const matrices = ranks.map((rank, k) =>
      Int16Array.from({ length: rank * cols }, (_, i) => (((i + k) * 7919) % 65536) - 32768),
    );
    const coefficients = al.powersVector(engine, R - 3n, 3211, 5n);
    let want = al.zeroVector(cols);
    let row = 0;
    for (const [k, rank] of ranks.entries()) {
      const own = al.subVector(coefficients, row, rank);
      want = al.addVectors(engine, want, al.combineRows(engine, own, matrices[k]!, cols));
      row += rank;
    }
    expect(al.combineMatrices(engine, coefficients, matrices, cols)).toEqual(want);
    const unsigned = Uint16Array.from({ length: 3 * cols }, (_, i) => (i * 7919) % 65536);
    const values = al.vectorToScalars(
      engine,
      al.combineMatrices(engine, al.powersVector(engine, 2n, 3), [unsigned], cols),
    );
    expect(values[17]).toBe(BigInt(unsigned[17]! + 2 * unsigned[1017]! + 4 * unsigned[2017]!));
  });
});

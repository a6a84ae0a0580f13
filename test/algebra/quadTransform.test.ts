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

/** Polynomial with the given values on H, evaluated by its coefficients. */
function evaluator(values: readonly bigint[]): (x: bigint) => bigint {
  const vector = al.vectorFromScalars(engine, values);
  const coefficients = al.vectorToScalars(engine, al.interpolate(engine, vector));
  return (x) => coefficients.reduceRight((sum, c) => Fr.add(Fr.mul(sum, x), c), 0n);
}

describe('sums of products on H and on the coset', () => {
  it('agree with polynomials over bigint', async () => {
    const problem = fc
      .tuple(fc.constantFrom(2, 4, 8, 16), fc.integer({ min: 1, max: al.MAX_TASK_PRODUCTS }))
      .chain(([size, count]) => {
        const values = fc.array(scalar, { minLength: size, maxLength: size });
        return fc.tuple(
          fc.constant(size),
          fc.array(fc.record({ a: values, b: values, blinder: scalar }), {
            minLength: count,
            maxLength: count,
          }),
          fc.constantFrom(5n, 7n, al.rootOfUnity(engine, 2 * size)),
        );
      });
    await fc.assert(
      fc.asyncProperty(problem, async ([size, products, shift]) => {
        const got = await al.sumOfProducts(
          engine,
          size,
          products.map(({ a, b, blinder }) => ({
            a: al.vectorFromScalars(engine, a),
            b: al.vectorFromScalars(engine, b),
            blinder,
          })),
          shift,
        );
        const w = al.rootOfUnity(engine, size);
        const points = Array.from({ length: size }, (_, i) => Fr.pow(w, BigInt(i)));
        const polynomials = products.map(({ a, b, blinder }) => ({
          a: evaluator(a),
          b: evaluator(b),
          blinder,
        }));
        const sum = (x: bigint) => {
          const vanishing = Fr.sub(Fr.pow(x, BigInt(size)), 1n);
          return polynomials.reduce(
            (total, { a, b, blinder }) =>
              Fr.add(total, Fr.mul(a(x), Fr.add(b(x), Fr.mul(blinder, vanishing)))),
            0n,
          );
        };
        expect(al.vectorToScalars(engine, got.onDomain)).toEqual(points.map(sum));
        expect(al.vectorToScalars(engine, got.onCoset)).toEqual(points.map((x) => sum(Fr.mul(shift, x))));
      }),
      { numRuns: 40 },
    );
  });

  it('agrees with the transforms of the library, all values at their largest', async () => {
    const size = 1024;
    const largest = al.constantVector(engine, R - 1n, size);
    const products = Array.from({ length: al.MAX_TASK_PRODUCTS }, (_, i) => ({
      a: i % 2 === 0 ? largest : al.powersVector(engine, BigInt(i) + 2n, size),
      b: i % 3 === 0 ? largest : al.powersVector(engine, R - BigInt(i) - 2n, size, R - 1n),
      blinder: R - 1n - BigInt(i),
    }));
    const got = await al.sumOfProducts(engine, size, products);
    let onDomain = al.zeroVector(size);
    let onCoset = al.zeroVector(size);
    for (const { a, b, blinder } of products) {
      const onCosetOf = (values: Uint8Array) => al.evaluateOnCoset(engine, al.interpolate(engine, values));
      const constant = al.constantVector(engine, Fr.mul(blinder, al.vanishingOnCoset(size)), size);
      const blinded = al.addVectors(engine, onCosetOf(b), constant);
      onDomain = al.addVectors(engine, onDomain, al.mulVectors(engine, a, b));
      onCoset = al.addVectors(engine, onCoset, al.mulVectors(engine, onCosetOf(a), blinded));
    }
    expect(got).toEqual({ onDomain, onCoset });
  });
});

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as al from '../../src/algebra/index.js';

const { Fr, R } = al;
let engine: al.Engine;
beforeAll(async () => {
  engine = await al.loadEngine();
});
afterAll(() => engine.terminate());

const scalar = fc.bigInt({ min: 0n, max: R - 1n });
const scalars = fc.array(scalar, { minLength: 1, maxLength: 20 });
const pairs = fc
  .integer({ min: 1, max: 20 })
  .chain((n) =>
    fc.tuple(
      fc.array(scalar, { minLength: n, maxLength: n }),
      fc.array(scalar, { minLength: n, maxLength: n }),
    ),
  );
const vec = (values: readonly bigint[]) => al.vectorFromScalars(engine, values);
const out = (vector: al.FieldVector) => al.vectorToScalars(engine, vector);

describe('field vectors against bigints', () => {
  it('round-trips scalars', () => {
    fc.assert(
      fc.property(scalars, (a) => {
        expect(out(vec(a))).toEqual(a);
      }),
    );
  });

  it('reduces any 256-bit integer', () => {
    const bytes = new Uint8Array(32).fill(255);
    expect(out(al.vectorFromBytes(engine, bytes))).toEqual([(2n ** 256n - 1n) % R]);
  });

  it('adds, subtracts, multiplies and scales element-wise', () => {
    fc.assert(
      fc.property(pairs, scalar, ([a, b], s) => {
        expect(out(al.addVectors(engine, vec(a), vec(b)))).toEqual(a.map((x, i) => Fr.add(x, b[i]!)));
        expect(out(al.subVectors(engine, vec(a), vec(b)))).toEqual(a.map((x, i) => Fr.sub(x, b[i]!)));
        expect(out(al.mulVectors(engine, vec(a), vec(b)))).toEqual(a.map((x, i) => Fr.mul(x, b[i]!)));
        expect(out(al.scaleVector(engine, vec(a), s))).toEqual(a.map((x) => Fr.mul(x, s)));
        expect(out(al.addScaled(engine, vec(a), vec(b), s))).toEqual(
          a.map((x, i) => Fr.add(x, Fr.mul(s, b[i]!))),
        );
        expect(al.dotVectors(engine, vec(a), vec(b))).toBe(
          a.reduce((sum, x, i) => Fr.add(sum, Fr.mul(x, b[i]!)), 0n),
        );
      }),
    );
  });

  it('makes powers, running sums and inverses', () => {
    fc.assert(
      fc.property(scalars, scalar, scalar, (a, base, first) => {
        expect(out(al.powersVector(engine, base, 5, first))).toEqual(
          [0n, 1n, 2n, 3n, 4n].map((i) => Fr.mul(first, Fr.pow(base, i))),
        );
        const { sums, total } = al.prefixSums(engine, vec(a));
        let sum = 0n;
        expect(out(sums)).toEqual(
          a.map((x) => {
            const before = sum;
            sum = Fr.add(sum, x);
            return before;
          }),
        );
        expect(total).toBe(sum);
        expect(out(al.invertVector(engine, vec(a)))).toEqual(a.map((x) => (x === 0n ? 0n : Fr.inv(x))));
      }),
    );
  });

  it('divides by a linear polynomial', () => {
    fc.assert(
      fc.property(scalars, scalar, (a, z) => {
        const { quotient, remainder } = al.divideByLinear(engine, vec(a), z);
        const q = out(quotient);
        expect(q.at(-1)).toBe(0n);
        const product = a.map((_, i) => Fr.sub(i > 0 ? q[i - 1]! : 0n, Fr.mul(z, q[i]!)));
        product[0] = Fr.add(product[0]!, remainder);
        expect(product).toEqual(a);
      }),
    );
  });

  it('grows its memory and clears it afterwards', () => {
    const big = al.powersVector(engine, 3n, 100_000);
    expect(al.vectorLength(big)).toBe(100_000);
    expect(out(al.subVector(big, 99_999, 1))).toEqual([Fr.pow(3n, 99_999n)]);
    const { tm } = engine.curve;
    expect(tm.u8.subarray(tm.u32[0]!).some((byte) => byte !== 0)).toBe(false);
  });
});

describe('evaluation domain', () => {
  const N = 16;
  const at = (coefficients: readonly bigint[], x: bigint) =>
    coefficients.reduceRight((sum, c) => Fr.add(Fr.mul(sum, x), c), 0n);
  const coefficients = Array.from({ length: N }, (_, i) => BigInt(i * i + 1));

  it('interpolates values on H', () => {
    const w = al.rootOfUnity(engine, N);
    expect(Fr.pow(w, BigInt(N))).toBe(1n);
    expect(Fr.pow(w, BigInt(N / 2))).not.toBe(1n);
    const values = coefficients.map((_, i) => at(coefficients, Fr.pow(w, BigInt(i))));
    expect(out(al.interpolate(engine, vec(values)))).toEqual(coefficients);
  });

  it('evaluates on the coset and back', () => {
    const w = al.rootOfUnity(engine, N);
    const onCoset = al.evaluateOnCoset(engine, vec(coefficients));
    expect(out(onCoset)).toEqual(
      coefficients.map((_, i) => at(coefficients, Fr.mul(5n, Fr.pow(w, BigInt(i))))),
    );
    expect(out(al.interpolateFromCoset(engine, onCoset))).toEqual(coefficients);
    expect(al.vanishingOnCoset(N)).toBe(Fr.sub(Fr.pow(5n, BigInt(N)), 1n));
  });

  it('evaluates the Lagrange basis', () => {
    const w = al.rootOfUnity(engine, N);
    const values = vec(coefficients.map((_, i) => at(coefficients, Fr.pow(w, BigInt(i)))));
    const z = 123456789n;
    expect(al.dotVectors(engine, values, al.lagrangeAt(engine, N, z))).toBe(at(coefficients, z));
  });
});

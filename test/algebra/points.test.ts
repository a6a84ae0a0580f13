import { bn254 } from '@noble/curves/bn254.js';
import { numberToBytesBE } from '@noble/curves/utils.js';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as al from '../../src/algebra/index.js';
import { concatBytes } from '../../src/bytes.js';

const { Q, R } = al;
let engine: al.Engine;
beforeAll(async () => {
  engine = await al.loadEngine();
});
afterAll(() => engine.terminate());

const invalid = expect.objectContaining({ code: 'POINT_INVALID' });
const multiple = fc.bigInt({ min: 1n, max: R - 1n });
const nobleG1 = (k: bigint) => bn254.G1.Point.BASE.multiply(k).toAffine();
const nobleG2 = (k: bigint) => bn254.G2.Point.BASE.multiply(k).toAffine();
const bytes = (...values: bigint[]) => concatBytes(...values.map((value) => numberToBytesBE(value, 32)));

describe('point encodings', () => {
  it('agree with noble-curves and ffjavascript on G1', () => {
    fc.assert(
      fc.property(multiple, (k) => {
        const { x, y } = nobleG1(k);
        const point = al.decodeG1(bytes(x, y));
        const own = engine.curve.G1.toAffine(
          engine.curve.G1.timesFr(engine.curve.G1.g, engine.curve.Fr.e(k)),
        );
        expect(point).toEqual(own);
        expect(al.encodeG1(point)).toEqual(bytes(x, y));
        expect(al.decodeG1Compressed(al.encodeG1Compressed(point))).toEqual(point);
      }),
      { numRuns: 20 },
    );
  });

  it('agree with noble-curves and ffjavascript on G2', () => {
    fc.assert(
      fc.property(multiple, (k) => {
        const { x, y } = nobleG2(k);
        const encoded = bytes(x.c1, x.c0, y.c1, y.c0);
        const point = al.decodeG2(encoded);
        const own = engine.curve.G2.toAffine(
          engine.curve.G2.timesFr(engine.curve.G2.g, engine.curve.Fr.e(k)),
        );
        expect(point).toEqual(own);
        expect(al.encodeG2(point)).toEqual(encoded);
        expect(al.decodeG2Compressed(al.encodeG2Compressed(point))).toEqual(point);
      }),
      { numRuns: 8 },
    );
  });

  it('leave their input alone, Buffers included', () => {
    const { x, y } = nobleG1(3n);
    const compressed = Buffer.from(al.encodeG1Compressed(al.decodeG1(bytes(x, y))));
    const before = compressed.toString('hex');
    al.decodeG1Compressed(compressed);
    expect(compressed.toString('hex')).toBe(before);
  });

  it('tells a point from its negative', () => {
    const { x, y } = nobleG1(7n);
    const plus = al.decodeG1(bytes(x, y));
    const minus = al.decodeG1(bytes(x, Q - y));
    expect(al.encodeG1Compressed(plus)).not.toEqual(al.encodeG1Compressed(minus));
    expect(al.decodeG1Compressed(al.encodeG1Compressed(minus))).toEqual(minus);
  });
});

describe('hostile points', () => {
  const { x, y } = nobleG1(5n);
  it('refuses coordinates that are not canonical, though equal mod Q', () => {
    expect(() => al.decodeG1(bytes(x + Q, y))).toThrow(invalid);
    expect(() => al.decodeG1(bytes(x, y + Q))).toThrow(invalid);
  });

  it('refuses points off the curve, the identity and wrong lengths', () => {
    expect(() => al.decodeG1(bytes(x, y ^ 1n))).toThrow(invalid);
    expect(() => al.decodeG1(new Uint8Array(64))).toThrow(invalid);
    expect(() => al.decodeG1(new Uint8Array(63))).toThrow(invalid);
    expect(() => al.decodeG2(new Uint8Array(128))).toThrow(invalid);
    expect(() => al.decodeG1Compressed(new Uint8Array(33))).toThrow(invalid);
  });

  it('refuses unknown flags and x without a point', () => {
    const good = al.encodeG1Compressed(al.decodeG1(bytes(x, y)));
    for (const flag of [0x00, 0x40]) {
      const bad = good.slice();
      bad[0] = (bad[0]! & 0x3f) | flag;
      expect(() => al.decodeG1Compressed(bad)).toThrow(invalid);
    }
    const { Fp } = bn254.fields;
    const decode = (i: bigint) => {
      const candidate = numberToBytesBE(i, 32);
      candidate[0]! |= 0x80;
      return al.decodeG1Compressed(candidate);
    };
    for (const i of [...Array.from({ length: 32 }, (_, k) => BigInt(k)), Q - 1n, Q - 2n, Q - 3n, Q - 5n]) {
      let root: bigint | undefined;
      try {
        root = Fp.sqrt(Fp.add(Fp.pow(i, 3n), 3n));
      } catch {
        expect(() => decode(i)).toThrow(invalid);
        continue;
      }
      const small = root > (Q - 1n) / 2n ? Q - root : root;
      expect(decode(i)).toEqual(al.decodeG1(bytes(i, small)));
    }
  });

  it('refuses twist points outside the subgroup, which ffjavascript takes', () => {
    // smallest x = c0 on the twist: the cofactor is huge, so it is not in the subgroup
    const { Fp2 } = bn254.fields;
    const b = Fp2.div(Fp2.create({ c0: 3n, c1: 0n }), Fp2.create({ c0: 9n, c1: 1n }));
    for (let c0 = 1n; ; c0++) {
      const px = Fp2.create({ c0, c1: 0n });
      let py: ReturnType<typeof Fp2.create>;
      try {
        py = Fp2.sqrt(Fp2.add(Fp2.mul(Fp2.sqr(px), px), b));
      } catch {
        continue;
      }
      const encoded = bytes(px.c1, px.c0, py.c1, py.c0);
      expect(() => al.decodeG2(encoded)).toThrow(invalid);
      break;
    }
  });

  it('refuses scalars that are not canonical', () => {
    const bad = expect.objectContaining({ code: 'SCALAR_INVALID' });
    expect(() => al.decodeScalar(bytes(R))).toThrow(bad);
    expect(() => al.decodeScalar(new Uint8Array(31))).toThrow(bad);
    expect(al.decodeScalar(bytes(R - 1n))).toBe(R - 1n);
  });
});

describe('group operations', () => {
  const affine = (k: bigint) => {
    const { x, y } = nobleG1(k);
    return al.decodeG1(bytes(x, y));
  };

  it('multi-scalar multiplication equals noble, small and large', async () => {
    for (const n of [1, 3, 8, 40]) {
      const scalars = Array.from({ length: n }, (_, i) => R - BigInt(i * i + 1));
      const points = scalars.map((_, i) => affine(BigInt(i + 2)));
      const got = await al.multiScalarMultiply(
        engine,
        al.joinPoints(points),
        al.vectorFromScalars(engine, scalars),
      );
      const want = scalars.reduce((sum, s, i) => al.Fr.add(sum, al.Fr.mul(s, BigInt(i + 2))), 0n);
      expect(got).toEqual(affine(want));
    }
  });

  it('hashes to a fixed point of unknown logarithm', () => {
    const point = al.hashToG1('zklora/linear-form/U/v1');
    expect(al.hashToG1('zklora/linear-form/U/v1')).toEqual(point);
    expect(al.hashToG1('zklora/linear-form/U/v2')).not.toEqual(point);
    expect(al.decodeG1(al.encodeG1(point))).toEqual(point);
  });

  it('decides products of pairings, with identities left out', async () => {
    const g2 = al.g2Generator(engine);
    const product = new al.PairingProduct(engine);
    product.add(g2, 3n, affine(4n));
    product.add(g2, R - 12n, al.g1Generator(engine));
    expect(await product.isOne()).toBe(true);
    product.add(g2, 1n, affine(1n));
    expect(await product.isOne()).toBe(false);
    expect(await new al.PairingProduct(engine).isOne()).toBe(true);
  });

  it('decides products of pairings whose sums are begun before all terms are known', async () => {
    const g2 = al.g2Generator(engine);
    const product = new al.PairingProduct(engine);
    const bases = al.joinPoints(Array.from({ length: 10 }, (_, i) => affine(BigInt(i + 1))));
    product.start();
    // 1 + 2 + .. + 9; the tenth point has no scalar
    product.addMany(g2, al.powersVector(engine, 1n, 9), bases);
    product.start();
    product.add(g2, 5n, affine(2n));
    product.start();
    product.addMany(g2, al.vectorFromScalars(engine, [R - 50n, R - 4n]), bases);
    product.add(g2, R - 1n, al.g1Generator(engine));
    product.start();
    // 45 + 10 - 50 - 8 - 1
    product.add(g2, 3n, al.g1Generator(engine));
    expect(await product.isOne()).toBe(false);
    product.add(g2, 1n, al.g1Generator(engine));
    expect(await product.isOne()).toBe(true);
  });

  it('decides products of pairings that are begun before all terms are known', async () => {
    const [g2, other] = [al.g2Generator(engine), al.decodeG2(al.encodeG2(al.g2Generator(engine)))];
    const twice = engine.curve.G2.toAffine(
      engine.curve.G2.double(engine.curve.G2.toJacobian(g2)),
    ) as al.G2Point;
    const zero = engine.curve.G1.zeroAffine;
    const ten = al.joinPoints(Array.from({ length: 10 }, () => affine(1n)));
    const product = new al.PairingProduct(engine);
    product.addMany(twice, al.powersVector(engine, 1n, 10), ten);
    product.add(twice, 5n, zero);
    product.add(g2, 3n, affine(2n));
    // the same point of G2 in other memory is open as well
    product.startPairings([other]);
    product.add(g2, R - 26n, affine(1n));
    expect(await product.isOne()).toBe(true);
    // another pairing with each
    product.add(twice, 1n, affine(1n));
    expect(await product.isOne()).toBe(false);
    product.add(other, R - 2n, affine(1n));
    expect(await product.isOne()).toBe(true);
    // terms that cancel, and terms that are the identity, pair to one
    product.add(twice, 7n, affine(3n));
    product.add(twice, R - 21n, affine(1n));
    product.startPairings();
    product.add(g2, 1n, zero);
    product.add(g2, 0n, affine(1n));
    expect(await product.isOne()).toBe(true);
  });

  it('shows why mixed subtraction is never used: ffjavascript returns a wrong point', () => {
    const { G1 } = engine.curve;
    const five = affine(5n);
    const two = G1.toJacobian(affine(2n));
    expect(G1.toAffine(G1.sub(G1.toJacobian(five), two))).toEqual(affine(3n));
    expect(G1.toAffine(G1.sub(five, two))).not.toEqual(affine(3n));
  });
});

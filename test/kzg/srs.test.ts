import { bn254 } from '@noble/curves/bn254.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  decodeG1,
  decodeG2,
  type Engine,
  encodeG1,
  Fr,
  type G1Point,
  type G2Point,
  lagrangeAt,
  loadEngine,
  rootOfUnity,
  vectorFromScalars,
  vectorToScalars,
} from '../../src/algebra/index.js';
import { hexToBytes } from '../../src/bytes.js';
import { openParameters } from '../../src/circuit/parameterFiles.js';
import { arePowersInG1, arePowersInG2, isLagrangeBasis } from '../../src/kzg/consistency.js';
import { multiplyGenerator } from '../../src/kzg/fixedBase.js';
import {
  decodeSrs,
  EXTRA_POWERS,
  encodeSrsPoints,
  type ProverSrs,
  srsFromSecret,
  srsIsConsistent,
} from '../../src/kzg/srs.js';
import { codeOf, DEVELOPMENT_DIR, scalars } from '../circuit/helpers.js';

const SIZE = 16;
const tau = scalars('tau', 1)[0]!;
let engine: Engine;
let srs: ProverSrs;
let tauG2: G2Point;

beforeAll(async () => {
  engine = await loadEngine();
  srs = await srsFromSecret(engine, tau, SIZE);
  tauG2 = await timesG2(tau);
});
afterAll(() => engine.terminate());

async function timesG2(scalar: bigint): Promise<G2Point> {
  return (await multiplyGenerator(engine, 'G2', vectorFromScalars(engine, [scalar]))) as G2Point;
}

/** `scalar * G` by @noble/curves. */
function timesG(scalar: bigint): G1Point {
  const { x, y } = bn254.G1.Point.BASE.multiply(scalar).toAffine();
  const hex = (value: bigint) => value.toString(16).padStart(64, '0');
  return decodeG1(hexToBytes(hex(x) + hex(y)));
}

function pointAt(points: Uint8Array, i: number): Uint8Array {
  return points.slice(i * 64, (i + 1) * 64);
}

function replaced(points: Uint8Array, i: number, point: Uint8Array): Uint8Array {
  const copy = points.slice();
  copy.set(point, i * 64);
  return copy;
}

describe('fixed-base multiplication', () => {
  test('agrees with @noble/curves in both groups, over a chunk boundary', async () => {
    const values = [1n, 2n, Fr.ORDER - 1n, ...scalars('fixed base', 1100)];
    const vector = vectorFromScalars(engine, values);
    const g1 = await multiplyGenerator(engine, 'G1', vector);
    for (const i of [0, 1, 2, 3, 1023, 1024, 1102]) expect(pointAt(g1, i)).toEqual(timesG(values[i]!));
    const g2 = await multiplyGenerator(engine, 'G2', vectorFromScalars(engine, values.slice(0, 4)));
    const { x, y } = bn254.G2.Point.BASE.multiply(values[3]!).toAffine();
    const hex = [x.c1, x.c0, y.c1, y.c0].map((value) => value.toString(16).padStart(64, '0')).join('');
    expect(g2.slice(3 * 128)).toEqual(decodeG2(hexToBytes(hex)));
  });

  test('zero gives the identity', async () => {
    expect(await multiplyGenerator(engine, 'G1', vectorFromScalars(engine, [0n]))).toEqual(
      new Uint8Array(64),
    );
  });
});

describe('structured reference string', () => {
  test('holds tau^i G and L_i(tau) G for the root of unity that the FFT uses', () => {
    expect(srs.powers).toHaveLength((SIZE + EXTRA_POWERS) * 64);
    expect(pointAt(srs.powers, SIZE + 2)).toEqual(timesG(Fr.pow(tau, BigInt(SIZE + 2))));
    const w = rootOfUnity(engine, SIZE);
    for (const i of [0, 1, SIZE - 1]) {
      const root = Fr.pow(w, BigInt(i));
      // L_i(X) = w^i (X^N - 1) / (N (X - w^i))
      const numerator = Fr.mul(root, Fr.sub(Fr.pow(tau, BigInt(SIZE)), 1n));
      const value = Fr.div(numerator, Fr.mul(BigInt(SIZE), Fr.sub(tau, root)));
      expect(pointAt(srs.lagrange, i)).toEqual(timesG(value));
    }
  });

  test('files hold canonical encodings and decode to the same points', async () => {
    const powers = await encodeSrsPoints(engine, srs.powers);
    const lagrange = await encodeSrsPoints(engine, srs.lagrange);
    expect(powers.slice(64, 128)).toEqual(encodeG1(pointAt(srs.powers, 1) as G1Point));
    expect(await decodeSrs(engine, SIZE, powers, lagrange)).toEqual(srs);
    // powers of a larger domain serve a smaller one
    const longer = new Uint8Array([...powers, ...powers.slice(0, 64)]);
    expect(await decodeSrs(engine, SIZE, longer, lagrange)).toEqual(srs);
  });

  test('buffers of another length are refused', async () => {
    const { powers, lagrange } = srs;
    for (const [p, l] of [
      [powers.slice(64), lagrange],
      [powers, lagrange.slice(1)],
      [powers, new Uint8Array()],
    ] as const) {
      expect(await codeOf(() => decodeSrs(engine, SIZE, p, l))).toBe('PARAMETERS_MALFORMED');
    }
  });

  test('the committed development set is consistent on each domain', async () => {
    const store = await openParameters(DEVELOPMENT_DIR);
    const committedTau = decodeG2(hexToBytes(store.set.tauG2));
    for (const { size } of store.set.domains) {
      const loaded = await store.srs(size);
      expect(loaded.domainSize).toBe(size);
      expect(await srsIsConsistent(engine, loaded, committedTau)).toBe(true);
    }
  });
});

describe('consistency check', () => {
  test('accepts an honest string', async () => {
    expect(await srsIsConsistent(engine, srs, tauG2)).toBe(true);
  });

  const other = () => timesG(12345n);
  test.each([
    ['first power', () => ({ ...srs, powers: replaced(srs.powers, 0, other()) })],
    ['second power', () => ({ ...srs, powers: replaced(srs.powers, 1, other()) })],
    ['last power', () => ({ ...srs, powers: replaced(srs.powers, SIZE + 2, other()) })],
    ['two powers swapped', () => ({ ...srs, powers: swapped(srs.powers, 3, 4) })],
    [
      'all powers the identity but the first',
      () => ({ ...srs, powers: replaced(new Uint8Array(srs.powers.length), 0, timesG(1n)) }),
    ],
    ['first Lagrange point', () => ({ ...srs, lagrange: replaced(srs.lagrange, 0, other()) })],
    ['last Lagrange point', () => ({ ...srs, lagrange: replaced(srs.lagrange, SIZE - 1, other()) })],
    ['Lagrange points in another order', () => ({ ...srs, lagrange: swapped(srs.lagrange, 1, SIZE - 1) })],
    [
      'Lagrange points of another tau',
      async () => ({ ...srs, lagrange: (await srsFromSecret(engine, 7n, SIZE)).lagrange }),
    ],
  ] as [string, () => ProverSrs | Promise<ProverSrs>][])('refuses: %s', async (_, change) => {
    expect(await srsIsConsistent(engine, await change(), tauG2)).toBe(false);
  });

  test('refuses tau G2 of another tau', async () => {
    expect(await srsIsConsistent(engine, srs, await timesG2(tau + 1n))).toBe(false);
  });

  test('refuses the powers and the basis of another generator', async () => {
    const times5 = async (exponents: readonly bigint[]) =>
      multiplyGenerator(engine, 'G1', vectorFromScalars(engine, exponents));
    const powers = await times5(
      Array.from({ length: SIZE + EXTRA_POWERS }, (_, i) => Fr.mul(5n, Fr.pow(tau, BigInt(i)))),
    );
    const basis = vectorToScalars(engine, lagrangeAt(engine, SIZE, tau));
    const lagrange = await times5(basis.map((value) => Fr.mul(5n, value)));
    expect(await arePowersInG1(engine, powers, tauG2)).toBe(true);
    expect(await isLagrangeBasis(engine, 'G1', powers, lagrange)).toBe(true);
    expect(await srsIsConsistent(engine, { domainSize: SIZE, powers, lagrange }, tauG2)).toBe(false);
  });

  test('refuses tau = 1', async () => {
    const { powers } = await srsFromSecret(engine, 1n, SIZE);
    expect(await srsIsConsistent(engine, { ...srs, powers }, await timesG2(1n))).toBe(false);
  });
});

describe('a tau of small order', () => {
  /** Powers and Lagrange points of tau themselves are sound: only what tau is makes them useless. */
  async function consistent(secret: bigint, size = SIZE): Promise<boolean> {
    return srsIsConsistent(engine, await srsFromSecret(engine, secret, size), await timesG2(secret));
  }

  test.each([
    ['of order 3', () => Fr.pow(5n, (Fr.ORDER - 1n) / 3n)],
    ['-1', () => Fr.ORDER - 1n],
    ['in H', () => rootOfUnity(engine, SIZE)],
    ['in H, of order N / 2', () => rootOfUnity(engine, SIZE / 2)],
    ['of order N + 2 for N = 4', () => Fr.pow(5n, (Fr.ORDER - 1n) / 6n)],
  ])('is refused: %s', async (what, secret) => {
    expect(await consistent(secret(), what.endsWith('N = 4') ? 4 : SIZE)).toBe(false);
  });

  test('its powers come round, or its Lagrange basis has the identity in it', async () => {
    const root = rootOfUnity(engine, SIZE);
    const { powers, lagrange } = await srsFromSecret(engine, root, SIZE);
    const rootG2 = await timesG2(root);
    expect(await arePowersInG1(engine, powers, rootG2)).toBe(false);
    expect(await arePowersInG1(engine, powers.subarray(0, SIZE * 64), rootG2)).toBe(true);
    expect(await isLagrangeBasis(engine, 'G1', powers.subarray(0, SIZE * 64), lagrange)).toBe(false);
    // the basis of tau = w is G in the place of w and the identity elsewhere, and commits as the powers do
    const single = new Uint8Array(SIZE * 64);
    single.set(pointAt(powers, 0), 64);
    expect(await isLagrangeBasis(engine, 'G1', powers.subarray(0, SIZE * 64), single)).toBe(false);
    const g2 = await multiplyGenerator(engine, 'G2', vectorFromScalars(engine, [1n, root, 1n]));
    expect(await arePowersInG2(engine, g2, pointAt(powers, 1) as G1Point)).toBe(false);
    // and with period 2 each is tau times the one before
    const turns = await multiplyGenerator(engine, 'G2', vectorFromScalars(engine, [1n, Fr.neg(1n), 1n]));
    const minus = await multiplyGenerator(engine, 'G1', vectorFromScalars(engine, [Fr.neg(1n)]));
    expect(await arePowersInG2(engine, turns, minus as G1Point)).toBe(false);
    expect(await arePowersInG2(engine, turns.subarray(0, 256), minus as G1Point)).toBe(true);
    // of another order the first points are the same and the basis is whole
    expect(await isLagrangeBasis(engine, 'G1', srs.powers, srs.lagrange)).toBe(true);
  });
});

function swapped(points: Uint8Array, i: number, j: number): Uint8Array {
  return replaced(replaced(points, i, pointAt(points, j)), j, pointAt(points, i));
}

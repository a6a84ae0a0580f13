import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Engine,
  type G1Point,
  g1Generator,
  type g2Generator,
  loadEngine,
  vectorFromScalars,
} from '../../src/algebra/index.js';
import { commitPolynomial, commitRows, commitValues } from '../../src/kzg/commit.js';
import { arePowersInG1, arePowersInG2, isLagrangeBasis } from '../../src/kzg/consistency.js';
import { multiplyGenerator } from '../../src/kzg/fixedBase.js';
import { decodeSrs, srsFromSecret } from '../../src/kzg/srs.js';
import { expectRefused } from '../protocol/refused.js';

let engine: Engine;
beforeAll(async () => {
  engine = await loadEngine();
});
afterAll(() => engine.terminate());

const powers = (group: 'G1' | 'G2', ...scalars: bigint[]) =>
  multiplyGenerator(engine, group, vectorFromScalars(engine, scalars));

describe('lists that hold the identity are no powers', () => {
  it('in G1', async () => {
    const tauG2 = (await powers('G2', 3n)) as ReturnType<typeof g2Generator>;
    expect(await arePowersInG1(engine, await powers('G1', 1n, 3n, 9n), tauG2)).toBe(true);
    expect(await arePowersInG1(engine, await powers('G1', 1n, 3n, 10n), tauG2)).toBe(false);
    expect(await arePowersInG1(engine, await powers('G1', 0n, 0n, 0n), tauG2)).toBe(false);
    expect(await arePowersInG1(engine, await powers('G1', 0n, 5n), tauG2)).toBe(false);
    expect(await arePowersInG1(engine, await powers('G1', 5n, 0n), tauG2)).toBe(false);
  });

  it('in G2', async () => {
    const tauG1 = (await powers('G1', 3n)) as G1Point;
    expect(await arePowersInG2(engine, await powers('G2', 1n, 3n, 9n), tauG1)).toBe(true);
    expect(await arePowersInG2(engine, await powers('G2', 1n, 3n, 10n), tauG1)).toBe(false);
    expect(await arePowersInG2(engine, await powers('G2', 0n, 0n, 0n), tauG1)).toBe(false);
    expect(await arePowersInG2(engine, await powers('G2', 0n, 5n), tauG1)).toBe(false);
    expect(await arePowersInG2(engine, await powers('G2', 5n, 0n), tauG1)).toBe(false);
  });

  it('a Lagrange basis belongs to its powers in both groups', async () => {
    const srs = await srsFromSecret(engine, 7n, 4);
    expect(await isLagrangeBasis(engine, 'G1', srs.powers, srs.lagrange)).toBe(true);
    const exchanged = new Uint8Array(srs.lagrange);
    exchanged.copyWithin(0, 64, 128);
    expect(await isLagrangeBasis(engine, 'G1', srs.powers, exchanged)).toBe(false);
  });
});

describe('a commitment to nothing is refused', () => {
  it('of a polynomial, of values, of rows', async () => {
    const srs = await srsFromSecret(engine, 7n, 4);
    const zeros = vectorFromScalars(engine, [0n, 0n, 0n, 0n]);
    await expectRefused(
      () => commitPolynomial(engine, srs, zeros),
      'INTERNAL',
      /^a commitment is the identity$/,
    );
    await expectRefused(
      () => commitValues(engine, srs, zeros, [0n]),
      'INTERNAL',
      /^a commitment is the identity$/,
    );
    const row = { values: new Int16Array(4), offset: 0, blinder: 0n };
    await expectRefused(
      () => commitRows(engine, srs, [row]),
      'INTERNAL',
      /^a row commitment is the identity$/,
    );
  });

  it('and of more places than the domain has', async () => {
    const srs = await srsFromSecret(engine, 7n, 4);
    const says = /^row does not fit the evaluation domain$/;
    for (const [offset, length] of [
      [-1, 1],
      [4, 1],
      [1, 4],
      [0, 5],
    ] as const) {
      const row = { values: new Int16Array(length).fill(1), offset, blinder: 1n };
      await expectRefused(() => commitRows(engine, srs, [row]), 'STATEMENT_INVALID', says);
    }
    const fits = { values: Int16Array.of(1, -2, 3), offset: 1, blinder: 5n };
    expect(await commitRows(engine, srs, [fits])).toHaveLength(1);
  });
});

it('points of another length are refused, longer powers are cut', async () => {
  const srs = await srsFromSecret(engine, 7n, 4);
  const { G1 } = engine.curve;
  const files = [await G1.batchLEMtoU(srs.powers), await G1.batchLEMtoU(srs.lagrange)] as [
    Uint8Array,
    Uint8Array,
  ];
  expect(await decodeSrs(engine, 4, ...files)).toEqual(srs);
  const longer = new Uint8Array(files[0].length + 64);
  longer.set(files[0]);
  expect((await decodeSrs(engine, 4, longer, files[1])).powers).toEqual(srs.powers);
  const says = /^the points for domain 4 have the wrong length; fetch the parameter set again$/;
  await expectRefused(
    () => decodeSrs(engine, 4, files[0].subarray(1), files[1]),
    'PARAMETERS_MALFORMED',
    says,
  );
  await expectRefused(
    () => decodeSrs(engine, 4, files[0], files[1].subarray(1)),
    'PARAMETERS_MALFORMED',
    says,
  );
  await expectRefused(() => decodeSrs(engine, 4, files[0], longer), 'PARAMETERS_MALFORMED', says);
  expect(g1Generator(engine)).toEqual(srs.powers.slice(0, 64));
});

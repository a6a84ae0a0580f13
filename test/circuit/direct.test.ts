import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Logger, type MemoryFile, wtns } from 'snarkjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  buildDirect,
  type DirectBuild,
  type DirectInputs,
  directFile,
  directInputs,
} from '../../bench/directCircuit.js';
import { applyExact, type QuantizedModule } from '../../src/adapter/index.js';
import { type Engine, Fr, loadEngine } from '../../src/algebra/index.js';
import { bytesToHex, sha256 } from '../../src/bytes.js';
import { parseBinFile } from '../../src/circuit/binfile.js';
import { type ConstraintSystem, parseR1cs } from '../../src/circuit/r1cs.js';
import { seeded } from '../support/scenario.js';
import { scalars, witnessFile } from './helpers.js';

/** Shape of the build; smaller shapes are embedded, with zeros in the rest. 18 weights: a chain of two hashes. */
const [N, RANK, K] = [5, 2, 4] as const;

/** The compiler takes some ten seconds on a quiet machine. */
const BUILD_TIMEOUT = 300_000;

let engine: Engine;
let dir: string;
let build: DirectBuild;
let r1cs: Uint8Array;
let wasm: Uint8Array;
let system: ConstraintSystem;
/** Wire of each signal that has one. */
let wires: Map<string, number>;
beforeAll(async () => {
  engine = await loadEngine();
  dir = await mkdtemp(join(tmpdir(), 'zklora-direct-test-'));
  build = await buildDirect([N, RANK, K], dir);
  r1cs = await directFile(dir, 'r1cs');
  wasm = await directFile(dir, 'wasm');
  system = parseR1cs(r1cs);
  const sym = new TextDecoder().decode(await directFile(dir, 'sym')).trim();
  wires = new Map(
    sym.split('\n').map((line) => {
      const [, wire, , name] = line.split(',');
      return [name!.replace(/^main\./, ''), Number(wire)];
    }),
  );
}, BUILD_TIMEOUT);
afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
  await engine.terminate();
});

/** A module of a shape up to the build's, embedded with zeros; its activations likewise. */
function embedded(rank: number, inFeatures: number, outFeatures: number, seed: number) {
  const random = seeded(seed);
  const entry = () => Math.floor(random() * 65535) - 32767;
  const matrix = (rows: number, cols: number, width: number) =>
    Int16Array.from({ length: RANK * width }, (_, i) =>
      Math.floor(i / width) < rows && i % width < cols ? entry() : 0,
    );
  const module: QuantizedModule = {
    name: 'm',
    rank: RANK,
    inFeatures: N,
    outFeatures: K,
    a: matrix(rank, inFeatures, N),
    aExponent: -14,
    bT: matrix(rank, outFeatures, K),
    bExponent: -15,
    scaling: 1,
  };
  const x = Int16Array.from({ length: N }, (_, i) => (i < inFeatures ? entry() : 0));
  return { module, x };
}

async function witness(inputs: DirectInputs): Promise<bigint[]> {
  const file: MemoryFile = { type: 'mem' };
  await wtns.calculate(inputs, wasm, file, { memorySize: 1 });
  const values = parseBinFile(file.data!, 'wtns', 2, 'PARAMETERS_MALFORMED').get(2)!;
  return Array.from({ length: values.length / 32 }, (_, i) =>
    BigInt(`0x${bytesToHex(values.slice(32 * i, 32 * i + 32).reverse())}`),
  );
}

/** Index of the first constraint that a witness breaks, or 'satisfied'. */
async function firstViolated(values: readonly bigint[]): Promise<number | 'satisfied'> {
  const warnings: string[] = [];
  const ignore = () => undefined;
  const logger: Logger = { debug: ignore, info: ignore, error: ignore, warn: (text) => warnings.push(text) };
  if (await wtns.check(r1cs, witnessFile(values), logger)) return 'satisfied';
  return Number(/at constraint (\d+)/.exec(warnings[0]!)![1]);
}

/** Constraints that a wire stands in. */
function rowsOf(wire: number): number[] {
  return system.rows.flatMap(({ a, b, c }, row) =>
    [...a, ...b, ...c].some(([other]) => other === wire) ? [row] : [],
  );
}

const wireOf = (name: string): number => {
  const wire = wires.get(name);
  if (wire === undefined || wire < 0) throw new Error(`${name} has no wire`);
  return wire;
};

async function honest(seed: number): Promise<DirectInputs> {
  const { module, x } = embedded(RANK, N, K, seed);
  return directInputs(module, x, applyExact(module, x, 1), scalars('salt', 1)[0]!);
}

describe('the direct circuit', () => {
  test('is the one of the lock, with x, y and the commitment public', async () => {
    const lock = JSON.parse(
      await readFile(new URL('../../circuits/circuits.lock.json', import.meta.url), 'utf8'),
    );
    expect(lock.direct.builds).toContainEqual(build);
    expect(build).toMatchObject({ shape: [N, RANK, K], weights: RANK * (N + K), publicSignals: N + K + 1 });
    expect(bytesToHex(sha256(r1cs))).toBe(lock.direct.builds[0].r1csSha256);
    expect([wireOf('x[0]'), wireOf('y[0]'), wireOf('commitment')]).toEqual([1, 1 + N, 1 + N + K]);
  });

  test.each([
    [RANK, N, K],
    [1, N, K],
    [2, 3, 2],
    [1, 1, 1],
    [2, 5, 1],
    [1, 2, 4],
  ])('of rank %i, %i inputs, %i outputs agrees with the exact integers of a session', async (r, n, k) => {
    for (let seed = 1; seed <= 2; seed++) {
      const { module, x } = embedded(r, n, k, seed);
      const y = applyExact(module, x, 1);
      const values = await witness(await directInputs(module, x, y, scalars(`salt ${seed}`, 1)[0]!));
      expect(await firstViolated(values)).toBe('satisfied');
      expect(values.slice(1 + N, 1 + N + K)).toEqual(Array.from(y, (value) => Fr.create(value)));
    }
  });

  test.each(Array.from({ length: K }, (_, o) => o))('refuses another y[%i]', async (o) => {
    const inputs = await honest(5);
    const y = inputs.y.map((value, i) => (i === o ? Fr.add(value, 1n) : value));
    await expect(witness({ ...inputs, y })).rejects.toThrow(/Assert Failed/);
    // a prover with a witness program of its own fails at the sum of that output
    const forged = await witness(inputs);
    forged[wireOf(`y[${o}]`)] = y[o]!;
    expect(rowsOf(wireOf(`y[${o}]`))).toEqual([await firstViolated(forged)]);
  });

  test('refuses another commitment, at the last hash', async () => {
    const inputs = await honest(6);
    const commitment = Fr.add(inputs.commitment, 1n);
    await expect(witness({ ...inputs, commitment })).rejects.toThrow(/Assert Failed/);
    const forged = await witness(inputs);
    forged[wireOf('commitment')] = commitment;
    expect(rowsOf(wireOf('commitment'))).toContain(await firstViolated(forged));
  });

  test.each(['a[0][0]', 'a[1][4]', 'bT[0][0]', 'bT[1][3]', 'x[2]', 'salt'])(
    'refuses another %s, at a constraint that it stands in',
    async (name) => {
      const forged = await witness(await honest(7));
      const wire = wireOf(name);
      forged[wire] = Fr.add(forged[wire]!, 1n);
      expect(rowsOf(wire)).toContain(await firstViolated(forged));
    },
  );

  test('refuses other weights under the commitment of the first', async () => {
    const inputs = await honest(8);
    const other = await honest(9);
    await expect(witness({ ...other, commitment: inputs.commitment })).rejects.toThrow(/Assert Failed/);
  });

  test('says nothing about integers: (c A, B / c) gives the same y', async () => {
    const { module, x } = embedded(RANK, N, K, 10);
    const inputs = await directInputs(module, x, applyExact(module, x, 1), 1n);
    const c = 3n;
    const a = inputs.a.map((value) => Fr.mul(value, c));
    const bT = inputs.bT.map((value) => Fr.div(value, c));
    const scaled = await directInputs({ a, bT }, x, applyExact(module, x, 1), 1n);
    expect(scaled.commitment).not.toBe(inputs.commitment);
    expect(await firstViolated(await witness(scaled))).toBe('satisfied');
  });
});

import { type Logger, type MemoryFile, r1cs as r1csTools, wtns } from 'snarkjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Engine, Fr, loadEngine, R } from '../../src/algebra/index.js';
import { equalBytes } from '../../src/bytes.js';
import { circuitR1cs, witnessWasm } from '../../src/circuit/circuitFiles.js';
import { type RankCheckInputs, wiresOf } from '../../src/circuit/rankCheck.js';
import { CIRCUIT_SIZES, constraintCount, publicSignalCount, wireCount } from '../../src/circuit/size.js';
import { honestInputs, witnessFile, witnessOf } from './helpers.js';

const PAIRS = 15;
let engine: Engine;

beforeAll(async () => {
  engine = await loadEngine();
});
afterAll(() => engine.terminate());

/** Index of the constraint at which snarkjs gives up, or 'satisfied'. */
async function firstViolated(pairs: number, values: readonly bigint[]): Promise<number | 'satisfied'> {
  const warnings: string[] = [];
  const ignore = () => undefined;
  const logger: Logger = { debug: ignore, info: ignore, error: ignore, warn: (text) => warnings.push(text) };
  if (await wtns.check(await circuitR1cs(pairs), witnessFile(values), logger)) return 'satisfied';
  return Number(/at constraint (\d+)/.exec(warnings[0]!)![1]);
}

async function calculated(inputs: RankCheckInputs): Promise<Uint8Array> {
  const file: MemoryFile = { type: 'mem' };
  const { y, mu, b, p, q } = inputs;
  await wtns.calculate({ y, mu, b, p, q }, await witnessWasm(p.length), file, { memorySize: 1 });
  return file.data!;
}

describe('constraint system', () => {
  test.each(CIRCUIT_SIZES)(
    'RankCheck(%i): K + 2 constraints, 2K + 3 public signals, each in a constraint',
    async (pairs) => {
      const system = await r1csTools.exportJson(await circuitR1cs(pairs));
      expect(system).toMatchObject({
        nConstraints: pairs + 2,
        nPubInputs: 2 * pairs + 3,
        nOutputs: 0,
        nPrvInputs: 0,
        nVars: 3 * pairs + 5,
      });
      const used = new Set(system.constraints.flat().flatMap((combination) => Object.keys(combination)));
      const missing = Array.from({ length: 2 * pairs + 3 }, (_, i) => i + 1).filter(
        (wire) => !used.has(String(wire)),
      );
      expect(missing).toEqual([]);
      expect([constraintCount(pairs), publicSignalCount(pairs), wireCount(pairs)]).toEqual([
        pairs + 2,
        2 * pairs + 3,
        3 * pairs + 5,
      ]);
    },
  );

  test('is p_l q_l = product_l, p_K q_K = y - sum of products, mu^2, b^2 and nothing else', async () => {
    const { constraints } = await r1csTools.exportJson(await circuitR1cs(PAIRS));
    const p = (l: number) => 4 + l;
    const q = (l: number) => 4 + PAIRS + l;
    const product = (l: number) => 4 + 2 * PAIRS + l;
    const square = (i: number) => 4 + 3 * PAIRS - 1 + i;
    const minusOne = String(R - 1n);
    const lastSum: Record<number, string> = { 1: minusOne };
    for (let l = 0; l < PAIRS - 1; l++) lastSum[product(l)] = '1';
    // circom writes every product as (-a) * b = -c
    expect(constraints).toEqual([
      ...Array.from({ length: PAIRS - 1 }, (_, l) => [
        { [p(l)]: minusOne },
        { [q(l)]: '1' },
        { [product(l)]: minusOne },
      ]),
      [{ [p(PAIRS - 1)]: minusOne }, { [q(PAIRS - 1)]: '1' }, lastSum],
      [{ 2: minusOne }, { 2: '1' }, { [square(0)]: minusOne }],
      [{ 3: minusOne }, { 3: '1' }, { [square(1)]: minusOne }],
    ]);
  });
});

describe('witness program', () => {
  test.each(CIRCUIT_SIZES)("RankCheck(%i): the prover's wires, 1, y, mu, b, p, q, ..", async (pairs) => {
    const inputs = honestInputs(pairs);
    const file = await calculated(inputs);
    expect(equalBytes(file, witnessFile(witnessOf(inputs)))).toBe(true);
    expect(equalBytes(file.subarray(-32 * wireCount(pairs)), wiresOf(engine, inputs))).toBe(true);
  });
});

describe('forged witnesses', () => {
  const honest = honestInputs(PAIRS, 'forged');
  const values = witnessOf(honest);
  const changed = (wire: number, value: bigint) => values.map((old, i) => (i === wire ? value : old));
  const bumped = (wire: number) => changed(wire, Fr.add(values[wire]!, 1n));
  const productWire = (l: number) => 4 + 2 * PAIRS + l;

  test('the honest witness satisfies', async () => {
    expect(await firstViolated(PAIRS, values)).toBe('satisfied');
  });

  test.each(Array.from({ length: PAIRS - 1 }, (_, l) => l))('product %i other than p q', async (l) => {
    // the sum is mended through y, so that only the product is wrong
    const forged = bumped(productWire(l));
    forged[1] = Fr.add(values[1]!, 1n);
    expect(await firstViolated(PAIRS, forged)).toBe(l);
  });

  test('y other than the sum', async () => {
    expect(await firstViolated(PAIRS, bumped(1))).toBe(PAIRS - 1);
  });

  test('last product other than y - sum of the others', async () => {
    expect(await firstViolated(PAIRS, bumped(4 + PAIRS - 1))).toBe(PAIRS - 1);
    expect(await firstViolated(PAIRS, bumped(4 + 2 * PAIRS - 1))).toBe(PAIRS - 1);
  });

  test('square of mu', async () => {
    expect(await firstViolated(PAIRS, bumped(4 + 3 * PAIRS - 1))).toBe(PAIRS);
    expect(await firstViolated(PAIRS, bumped(2))).toBe(PAIRS);
  });

  test('square of b', async () => {
    expect(await firstViolated(PAIRS, bumped(4 + 3 * PAIRS))).toBe(PAIRS + 1);
    expect(await firstViolated(PAIRS, bumped(3))).toBe(PAIRS + 1);
  });

  test('p or q changed after the fact', async () => {
    expect(await firstViolated(PAIRS, bumped(4))).toBe(0);
    expect(await firstViolated(PAIRS, bumped(4 + PAIRS + 3))).toBe(3);
  });

  test('mu and b take part in no relation: any value with its square satisfies', async () => {
    const free = witnessOf({ ...honest, mu: 0n, b: R - 1n });
    expect(await firstViolated(PAIRS, free)).toBe('satisfied');
  });
});

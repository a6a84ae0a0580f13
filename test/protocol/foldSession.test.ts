import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Engine,
  Fr,
  loadEngine,
  powersVector,
  R,
  subVector,
  vectorToScalars,
} from '../../src/algebra/index.js';
import { ZkLoraError } from '../../src/errors.js';
import { foldSession, foldSessionAtPoint } from '../../src/protocol/foldSession.js';
import type { CallSource, SessionCall } from '../../src/protocol/index.js';
import type { Statement } from '../../src/protocol/statement.js';
import { refusalOf } from '../adapter/refusal.js';

const [N, K] = [3, [64, 33]];
const OFFSET = 2;
const LONGS = [1n - 2n ** 63n, 2n ** 63n - 1n, 0x7fff7fff7fff8000n, -1n, 0n, 32768n, -(2n ** 47n)];
const SHORTS = [-32768, 32767, -1, 0, 1];

/** A call of hostile values. */
function callOf(tokens: number, seed: number): SessionCall {
  const longs = (_: unknown, i: number) => LONGS[(5 * i + seed) % LONGS.length]!;
  return {
    tokens,
    inputs: [
      {
        x: Int16Array.from({ length: tokens * N }, (_, i) => SHORTS[(3 * i + seed) % SHORTS.length]!),
        exponents: new Int16Array(tokens),
      },
    ],
    outputs: K.map((k) => BigInt64Array.from({ length: tokens * k }, longs)),
  };
}

// the longest call that there is makes it long enough for the workers; more calls than blocks that are out at a time
const TOKENS = [2 ** 15, ...new Array<number>(12).fill(1)];
const CALLS = TOKENS.map(callOf);

const header = {
  format: 'zklora/session/v1' as const,
  adapterId: '',
  contributorKey: '',
  userKey: '',
  nonce: '',
  inputs: [[0, 1]],
};
const statement: Statement = {
  rankCheck: 'groth16',
  parametersId: new Uint8Array(32),
  adapterId: new Uint8Array(32),
  sessionDigest: new Uint8Array(32),
  domainSize: 64,
  tokens: TOKENS.reduce((a, b) => a + b),
  modules: K.map((outFeatures, index) => ({
    index,
    rank: 1,
    inFeatures: N,
    outFeatures,
    columnOffset: OFFSET,
    input: 0,
  })),
  groups: [],
};
const source: CallSource = { header, callCount: CALLS.length, readCall: async (index) => CALLS[index]! };

let engine: Engine;
beforeAll(async () => {
  engine = await loadEngine();
});
afterAll(() => engine.terminate());

const [U, V] = [R - 5n, R - 3n];

/** sum_t u^t row_t, column by column. */
function plainSums(rows: (call: SessionCall) => Int16Array | BigInt64Array, width: number): bigint[] {
  const sums = new Array<bigint>(width).fill(0n);
  let power = 1n;
  for (const call of CALLS) {
    const values = rows(call);
    for (let t = 0; t < call.tokens; t++) {
      for (let c = 0; c < width; c++) sums[c]! += power * BigInt(values[t * width + c]!);
      power = Fr.mul(power, U);
    }
  }
  return sums.map((sum) => Fr.create(sum));
}

function innerProduct(a: readonly bigint[], b: readonly bigint[]): bigint {
  return a.reduce((sum, value, i) => Fr.add(sum, Fr.mul(value, b[i]!)), 0n);
}

describe('a long session', () => {
  it('is folded exactly, with one call of 2^15 rows and many of one', async () => {
    const a = plainSums(({ inputs }) => inputs[0]!.x, N);
    const y = K.map((k, m) =>
      innerProduct(
        plainSums(({ outputs }) => outputs[m]!, k),
        vectorToScalars(engine, powersVector(engine, V, k)),
      ),
    );
    const basis = powersVector(engine, R - 7n, statement.domainSize);
    let seen: readonly bigint[] = [];
    const folding = { statement, u: U, v: V, basis };
    const [atPoint] = await foldSessionAtPoint(engine, source, [folding], ([inputs]) => {
      seen = [...inputs!.inputsAtPoint];
    });
    expect(atPoint!.outputs).toEqual(y);
    const known = innerProduct(a, vectorToScalars(engine, subVector(basis, OFFSET, N)));
    expect(atPoint!.inputsAtPoint).toEqual([known, known]);
    // when they are said to be whole, they are
    expect(seen).toEqual([known, known]);
    for (const inMemory of [true, false]) {
      const folded = await foldSession(engine, source, folding, inMemory);
      expect(vectorToScalars(engine, folded.inputs[0]!)).toEqual(a);
      expect(await folded.outputs()).toEqual(y);
    }
  });

  it('that cannot be read to its end leaves no task behind', async () => {
    const { tm } = engine.curve;
    const { queueAction } = tm;
    let [given, out] = [0, 0];
    tm.queueAction = async (task) => {
      given += 1;
      out += 1;
      try {
        return await queueAction.call(tm, task);
      } finally {
        out -= 1;
      }
    };
    try {
      const broken: CallSource = {
        ...source,
        readCall: async (index) => {
          if (index === 1) throw new ZkLoraError('SESSION_MALFORMED', 'broken');
          return CALLS[index]!;
        },
      };
      const folding = { statement, u: U, v: V };
      expect((await refusalOf(foldSession(engine, broken, folding, false))).code).toBe('SESSION_MALFORMED');
      expect(given).toBeGreaterThan(0);
      expect(out).toBe(0);
    } finally {
      tm.queueAction = queueAction;
    }
  });
});

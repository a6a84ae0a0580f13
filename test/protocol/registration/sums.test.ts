import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Engine,
  Fr,
  lagrangeAt,
  loadEngine,
  randomScalar,
  vectorToScalars,
} from '../../../src/algebra/index.js';
import { expandBits } from '../../../src/protocol/registration/bits.js';
import { combineAllRows, sketchAll } from '../../../src/protocol/registration/combinations.js';
import { COMBINATIONS, SKETCHES } from '../../../src/protocol/registration/sizes.js';
import type { CommittedMatrix } from '../../../src/protocol/registration/statement.js';
import { sketchTotal } from '../../../src/protocol/registration/total.js';
import type { WeightMatrix } from '../../../src/protocol/registration/weights.js';
import { pointWeights } from '../../../src/protocol/registration/weightsAtPoint.js';
import { seeded } from '../../support/scenario.js';
import { statementOf } from './statements.js';

let engine: Engine;
beforeAll(async () => {
  engine = await loadEngine();
});
afterAll(() => engine.terminate());

const range = fc
  .tuple(fc.nat(512), fc.nat(512))
  .filter(([a, b]) => a !== b)
  .map(([a, b]) => ({ offset: Math.min(a, b), length: Math.abs(a - b) }));
const matrix: fc.Arbitrary<CommittedMatrix> = fc
  .tuple(fc.integer({ min: 1, max: 6 }), fc.oneof(range, fc.constant({ offset: 0, length: 512 })))
  .map(([rank, place]) => ({ rank, ...place }));

function fill(matrices: readonly CommittedMatrix[], next: () => number): WeightMatrix[] {
  let firstRow = 0;
  return matrices.map((shape) => {
    const values = Int16Array.from({ length: shape.rank * shape.length }, next);
    firstRow += shape.rank;
    return { ...shape, values, firstRow: firstRow - shape.rank };
  });
}

describe('integer sketches', () => {
  it('equal their definition, on any shapes', () => {
    fc.assert(
      fc.property(
        fc.array(matrix, { minLength: 1, maxLength: 4 }),
        fc.nat(),
        fc.boolean(),
        (shapes, seed, extreme) => {
          const statement = statementOf(shapes);
          const random = seeded(seed);
          const weights = fill(shapes, () => (extreme ? -32768 : Math.floor((random() - 0.5) * 65535)));
          const bits = expandBits(new Uint8Array(32).fill(seed), statement);
          const combined = combineAllRows(statement, weights, bits);
          const sketches = sketchAll(combined, 512, bits);
          for (const k of [0, 64, COMBINATIONS - 1]) {
            const sums = new Float64Array(512);
            for (const { rank, offset, length, values, firstRow } of weights) {
              for (let row = 0; row < rank; row++) {
                if (!bits.rows[k * statement.rowCount + firstRow + row]) continue;
                for (let c = 0; c < length; c++) sums[offset + c]! += values[row * length + c]!;
              }
            }
            expect(combined.slice(k * 512, (k + 1) * 512)).toEqual(sums);
            const places = bits.places(k);
            for (const q of [0, 1, 2]) {
              const expected = sums.reduce((sum, value, j) => ((places[j]! >> q) & 1 ? sum + value : sum), 0);
              expect(sketches[3 * k + q]).toBe(expected);
            }
          }
        },
      ),
      { numRuns: 25 },
    );
  });
});

describe('coefficients of the rows', () => {
  it('equal their definition', () => {
    const matrices = [
      { rank: 2, offset: 0, length: 5 },
      { rank: 1, offset: 500, length: 12 },
      { rank: 1, offset: 0, length: 512 },
    ];
    const statement = statementOf(matrices);
    const bits = expandBits(new Uint8Array(32).fill(3), statement);
    const challenges = { lambda: randomScalar(), sigma: randomScalar(), nu: randomScalar() };
    const basis = lagrangeAt(engine, 512, randomScalar());
    const atPoint = pointWeights(engine, statement, bits, challenges, basis);

    const L = vectorToScalars(engine, basis);
    const lambdas = Array.from({ length: SKETCHES + 1 }, (_, i) => Fr.pow(challenges.lambda, BigInt(i)));
    const sigmas = L.map((_, j) => Fr.pow(challenges.sigma, BigInt(j)));
    let row = 0;
    const expected = matrices.flatMap(({ rank, offset, length }) =>
      Array.from({ length: rank }, () => {
        let sum = 0n;
        for (let k = 0; k < COMBINATIONS; k++) {
          if (!bits.rows[k * 4 + row]) continue;
          const places = bits.places(k);
          for (const q of [0, 1, 2]) {
            const atZ = L.reduce((part, value, j) => ((places[j]! >> q) & 1 ? part + value : part), 0n);
            sum += lambdas[3 * k + q]! * (atZ % Fr.ORDER);
          }
        }
        const outside = L.reduce(
          (part, value, j) => (j < offset || j >= offset + length ? part + value * sigmas[j]! : part),
          0n,
        );
        sum += lambdas[SKETCHES]! * Fr.pow(challenges.nu, BigInt(row)) * (outside % Fr.ORDER);
        row++;
        return Fr.create(sum);
      }),
    );
    expect(vectorToScalars(engine, atPoint.rows)).toEqual(expected);
    const masks = L.slice(0, SKETCHES).reduce((sum, value, i) => sum + value * lambdas[i]!, 0n);
    expect(atPoint.masks).toBe(Fr.create(masks));
  });

  it('the total reads sketches as integers', () => {
    const lambda = randomScalar();
    const sketches = Array.from({ length: SKETCHES }, (_, i) => (i === 2 ? -5n : i === 0 ? 7n : 0n));
    expect(sketchTotal(engine, sketches, lambda)).toBe(Fr.create(7n - 5n * lambda * lambda));
  });
});

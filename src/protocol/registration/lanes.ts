import {
  addScaled,
  addVectors,
  combineRows,
  dotVectors,
  type Engine,
  type FieldVector,
  Fr,
  gatherVector,
  multiplyRows,
  padVector,
  powersVector,
  subVector,
  toLimbs,
  vectorFromIntegers,
  vectorFromScalars,
  vectorToScalars,
  zeroVector,
} from '../../algebra/index.js';
import type { Lane, LaneSource } from '../sumProve.js';
import type { RegistrationBits } from './bits.js';
import type { SumChallenges } from './challenges.js';
import { COMBINATIONS, SKETCHES_EACH } from './sizes.js';
import type { RegistrationStatement } from './statement.js';
import type { WeightMatrix } from './weights.js';
import { pointWeights, rangeKey, sketchWeights, supportWeights } from './weightsAtPoint.js';

/** The private side of a registration proof. */
export interface RegistrationSecrets {
  readonly weights: readonly WeightMatrix[];
  /** Blinders of all rows, `[rowCount]`. */
  readonly blinders: FieldVector;
  /** g_i, `[SKETCHES]`. */
  readonly masks: FieldVector;
  /** Blinder of [G]. */
  readonly maskBlinder: bigint;
  /** u_k, `[COMBINATIONS, N]`. */
  readonly combined: Float64Array;
}

/**
 * Products of a registration proof's sum: one for each combination of rows, one for the masks, one for each
 * distinct range of rows (these contribute zero).
 */
export function registrationLanes(
  engine: Engine,
  statement: RegistrationStatement,
  bits: RegistrationBits,
  challenges: SumChallenges,
  secrets: RegistrationSecrets,
  onLane?: (done: number, total: number) => void,
): LaneSource {
  const { domainSize, rowCount } = statement;
  const { weights, blinders, combined } = secrets;
  const lambdas = sketchWeights(engine, challenges.lambda);
  const masks = padVector(secrets.masks, 0, domainSize);
  const support = supportWeights(engine, challenges, rowCount);
  const ranges = new Map<string, WeightMatrix[]>();
  for (const matrix of weights) {
    const key = rangeKey(matrix);
    ranges.set(key, [...(ranges.get(key) ?? []), matrix]);
  }
  const sumRows = (matrices: readonly WeightMatrix[], coefficients: FieldVector) => {
    let values = zeroVector(domainSize);
    for (const { values: entries, rank, offset, length, firstRow } of matrices) {
      const part = combineRows(engine, subVector(coefficients, firstRow, rank), entries, length);
      values = addVectors(engine, values, padVector(part, offset, domainSize));
    }
    return values;
  };

  function* lanes(): Generator<Lane> {
    const combinedBlinders = vectorToScalars(
      engine,
      multiplyRows(engine, bits.rows, COMBINATIONS, rowCount, toLimbs(engine, blinders)),
    );
    const total = COMBINATIONS + 1 + ranges.size;
    let done = 0;
    for (let k = 0; k < COMBINATIONS; k++) {
      onLane?.(done++, total);
      const sums = subsetSums(engine, subVector(lambdas, SKETCHES_EACH * k, SKETCHES_EACH));
      yield {
        known: gatherVector(sums, bits.places(k)),
        rows: vectorFromIntegers(engine, combined.subarray(k * domainSize, (k + 1) * domainSize)),
        blinder: combinedBlinders[k]!,
      };
    }
    onLane?.(done++, total);
    yield { known: padVector(lambdas, 0, domainSize), rows: masks, blinder: secrets.maskBlinder };
    const sigmas = powersVector(engine, challenges.sigma, domainSize);
    for (const matrices of ranges.values()) {
      onLane?.(done++, total);
      const { offset, length } = matrices[0]!;
      const known = new Uint8Array(sigmas);
      subVector(known, offset, length).fill(0);
      let blinder = 0n;
      for (const { firstRow, rank } of matrices) {
        const part = dotVectors(
          engine,
          subVector(support, firstRow, rank),
          subVector(blinders, firstRow, rank),
        );
        blinder = Fr.add(blinder, part);
      }
      yield { known, rows: sumRows(matrices, support), blinder };
    }
  }

  return {
    lanes,
    combineAt: (basis) => {
      const atPoint = pointWeights(engine, statement, bits, challenges, basis);
      return {
        values: addScaled(engine, sumRows(weights, atPoint.rows), masks, atPoint.masks),
        blinder: Fr.add(
          dotVectors(engine, atPoint.rows, blinders),
          Fr.mul(atPoint.masks, secrets.maskBlinder),
        ),
      };
    },
  };
}

/** Sums of the subsets of three scalars: entry s adds those whose bit is set in s, `[8]`. */
function subsetSums(engine: Engine, vector: FieldVector): FieldVector {
  const scalars = vectorToScalars(engine, vector);
  const sums = Array.from({ length: 2 ** SKETCHES_EACH }, (_, subset) =>
    scalars.reduce((sum, scalar, q) => ((subset >> q) & 1 ? Fr.add(sum, scalar) : sum), 0n),
  );
  return vectorFromScalars(engine, sums);
}

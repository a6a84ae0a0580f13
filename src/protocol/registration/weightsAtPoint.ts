import {
  addVectors,
  combineRows,
  dotVectors,
  type Engine,
  type FieldVector,
  Fr,
  multiplyRows,
  mulVectors,
  powersVector,
  prefixSums,
  scaleVector,
  subVector,
  toLimbs,
  vectorFromScalars,
  vectorToScalars,
} from '../../algebra/index.js';
import { concatBytes } from '../../bytes.js';
import type { RegistrationBits } from './bits.js';
import type { SumChallenges } from './challenges.js';
import { COMBINATIONS, SKETCHES, SKETCHES_EACH } from './sizes.js';
import type { CommittedMatrix, RegistrationStatement } from './statement.js';

/** Coefficients of the committed points in [Lambda]. docs/protocol.md, "Registration proof". */
export interface PointWeights {
  /** One for each row, `[rowCount]`. */
  readonly rows: FieldVector;
  /** lambda(z) of the mask row G. */
  readonly masks: bigint;
}

/** Weights of sketches: lambda^i, `[SKETCHES]`. */
export function sketchWeights(engine: Engine, lambda: bigint): FieldVector {
  return powersVector(engine, lambda, SKETCHES);
}

/** Weights of rows in the support check: lambda^SKETCHES nu^row, `[rowCount]`. */
export function supportWeights(engine: Engine, challenges: SumChallenges, rowCount: number): FieldVector {
  return powersVector(engine, challenges.nu, rowCount, Fr.pow(challenges.lambda, BigInt(SKETCHES)));
}

/**
 * Coefficient of row w:
 * sum_k a_k,row sum_q lambda^(3k+q) b_(3k+q)(z) + lambda^SKETCHES nu^row * sum of sigma^j L_j(z) outside its range.
 *
 * @param basis Lagrange basis of H at z, `[N]`
 */
export function pointWeights(
  engine: Engine,
  statement: RegistrationStatement,
  bits: RegistrationBits,
  challenges: SumChallenges,
  basis: FieldVector,
): PointWeights {
  const lambdas = sketchWeights(engine, challenges.lambda);
  const factors = combinationFactors(engine, bits, lambdas, basis);
  const sketched = combineRows(engine, factors, bits.rows, statement.rowCount);
  const outside = outsideRanges(engine, statement, challenges.sigma, basis);
  const support = supportWeights(engine, challenges, statement.rowCount);
  let row = 0;
  const scaled = statement.matrices.map(({ rank }, i) => {
    const part = scaleVector(engine, subVector(support, row, rank), outside[i]!);
    row += rank;
    return part;
  });
  return {
    rows: addVectors(engine, sketched, concatBytes(...scaled)),
    masks: dotVectors(engine, lambdas, subVector(basis, 0, SKETCHES)),
  };
}

/** sum_q lambda^(3k+q) b_(3k+q)(z) for each combination k, `[COMBINATIONS]`. */
function combinationFactors(
  engine: Engine,
  bits: RegistrationBits,
  lambdas: FieldVector,
  basis: FieldVector,
): FieldVector {
  const limbs = toLimbs(engine, basis);
  const size = basis.byteLength / 32;
  const matrix = new Uint16Array(SKETCHES_EACH * size);
  const factors: bigint[] = [];
  for (let k = 0; k < COMBINATIONS; k++) {
    const places = bits.places(k);
    for (let q = 0; q < SKETCHES_EACH; q++) {
      for (let j = 0; j < size; j++) matrix[q * size + j] = (places[j]! >> q) & 1;
    }
    const atPoint = multiplyRows(engine, matrix, SKETCHES_EACH, size, limbs);
    factors.push(dotVectors(engine, atPoint, subVector(lambdas, SKETCHES_EACH * k, SKETCHES_EACH)));
  }
  return vectorFromScalars(engine, factors);
}

/** sum of sigma^j L_j(z) over the places j outside the range of each matrix. */
function outsideRanges(
  engine: Engine,
  statement: RegistrationStatement,
  sigma: bigint,
  basis: FieldVector,
): bigint[] {
  const { domainSize, matrices } = statement;
  const terms = mulVectors(engine, powersVector(engine, sigma, domainSize), basis);
  const { sums, total } = prefixSums(engine, terms);
  const before = (place: number) =>
    place === domainSize ? total : vectorToScalars(engine, subVector(sums, place, 1))[0]!;
  const outside = new Map<string, bigint>();
  return matrices.map((matrix) => {
    const key = rangeKey(matrix);
    let value = outside.get(key);
    if (value === undefined) {
      const { offset, length } = matrix;
      value = Fr.sub(total, Fr.sub(before(offset + length), before(offset)));
      outside.set(key, value);
    }
    return value;
  });
}

/** Names the range of a matrix's rows. */
export function rangeKey({ offset, length }: Pick<CommittedMatrix, 'offset' | 'length'>): string {
  return `${offset}:${length}`;
}

import type { AdapterSecret } from '../../adapter/secret.js';
import { moduleBlinders } from '../../adapter/secret.js';
import type { AdapterCommitment, QuantizedModule } from '../../adapter/types.js';
import { type Engine, type FieldVector, vectorFromScalars } from '../../algebra/index.js';
import { hexToBytes } from '../../bytes.js';
import type { CommittedMatrix, RegistrationStatement } from './statement.js';

/** A committed matrix and what it holds. */
export interface WeightMatrix extends CommittedMatrix {
  /** Row-major `[rank, length]`. */
  readonly values: Int16Array;
  /** Number of its first row among all rows. */
  readonly firstRow: number;
}

/** The matrices of a statement with their weights, in the statement's order. */
export function weightMatrices(
  statement: RegistrationStatement,
  modules: readonly QuantizedModule[],
): WeightMatrix[] {
  let firstRow = 0;
  const values = modules.flatMap(({ a, bT }) => [a, bT]);
  return statement.matrices.map((matrix, i) => {
    const weights = { ...matrix, values: values[i]!, firstRow };
    firstRow += matrix.rank;
    return weights;
  });
}

/** Blinders of all rows, `[rowCount]`. */
export function rowBlinders(
  engine: Engine,
  adapter: AdapterCommitment,
  modules: readonly QuantizedModule[],
  secret: AdapterSecret,
): FieldVector {
  const key = hexToBytes(secret.blindingSecret);
  const salt = hexToBytes(adapter.salt);
  return vectorFromScalars(
    engine,
    modules.flatMap((module) => {
      const { a, b } = moduleBlinders(key, salt, module);
      return [...a, ...b];
    }),
  );
}

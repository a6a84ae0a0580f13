import { adapterId } from '../../adapter/commitment.js';
import type { AdapterCommitment } from '../../adapter/types.js';
import { hexToBytes } from '../../bytes.js';
import { ZkLoraError } from '../../errors.js';
import { MAX_MODULE_PRODUCTS, SKETCHES } from './sizes.js';

/** Rows of one committed matrix; all have the same range. */
export interface CommittedMatrix {
  /** Number of rows. */
  readonly rank: number;
  /** Index in the evaluation domain of the first entry. */
  readonly offset: number;
  /** Entries of one row: outside [offset, offset + length) a row is zero. */
  readonly length: number;
}

/** What a registration proof is about. */
export interface RegistrationStatement {
  readonly parametersId: Uint8Array;
  readonly adapterId: Uint8Array;
  readonly domainSize: number;
  /** For each module, in order: rows of A, then columns of B. Rows are numbered through all matrices. */
  readonly matrices: readonly CommittedMatrix[];
  readonly rowCount: number;
}

/**
 * Makes the statement that prover and verifier agree on.
 *
 * @throws ZkLoraError `STATEMENT_INVALID` for an adapter that the argument cannot speak about.
 */
export function registrationStatement(adapter: AdapterCommitment): RegistrationStatement {
  if (adapter.domainSize < SKETCHES) {
    throw new ZkLoraError('STATEMENT_INVALID', 'the evaluation domain is too small for a registration proof');
  }
  for (const { name, rank, inFeatures } of adapter.modules) {
    if (rank * inFeatures >= MAX_MODULE_PRODUCTS) {
      throw new ZkLoraError(
        'STATEMENT_INVALID',
        `rank times inputs of module ${name} is 2^31 or more: a registration proof cannot cover it; lower its rank`,
      );
    }
  }
  const matrices = adapter.modules.flatMap(({ rank, inFeatures, outFeatures, columnOffset }) => [
    { rank, offset: columnOffset, length: inFeatures },
    { rank, offset: 0, length: outFeatures },
  ]);
  return {
    parametersId: hexToBytes(adapter.parametersId),
    adapterId: hexToBytes(adapterId(adapter)),
    domainSize: adapter.domainSize,
    matrices,
    rowCount: matrices.reduce((sum, { rank }) => sum + rank, 0),
  };
}

import type { CommittedMatrix, RegistrationStatement } from '../../../src/protocol/registration/statement.js';

/** A statement about matrices of the given sizes, domain 512. */
export function statementOf(matrices: readonly CommittedMatrix[]): RegistrationStatement {
  return {
    parametersId: new Uint8Array(32).fill(1),
    adapterId: new Uint8Array(32).fill(2),
    domainSize: 512,
    matrices,
    rowCount: matrices.reduce((sum, { rank }) => sum + rank, 0),
  };
}

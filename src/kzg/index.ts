export { commitPolynomial, commitRows, type IntegerRow } from './commit.js';
export type { ProverSrs } from './srs.js';

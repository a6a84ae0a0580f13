export { commitPolynomial, commitRows, commitValues, type IntegerRow } from './commit.js';
export type { ProverSrs } from './srs.js';

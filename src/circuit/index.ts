export { type CircuitBuild, circuitBuild, circuitR1cs, witnessWasm } from './circuitFiles.js';
export { DEVELOPMENT_SEED, type DevelopmentOptions, makeDevelopmentParameters } from './development.js';
export type { Groth16Proof } from './groth16Prove.js';
export { openParameters, PARAMETER_FILES, type ParameterStore } from './parameterFiles.js';
export {
  type CircuitFiles,
  type Contribution,
  circuitFiles,
  type ParameterSet,
  parameterSetId,
  parseParameterSet,
  verificationKeyOf,
} from './parameters.js';
export { proveRankCheck, type RankCheckInputs } from './rankCheck.js';
export { CIRCUIT_SIZES, constraintCount, groth16DomainSize, MAX_PAIRS, publicSignalCount } from './size.js';
export {
  encodeVerificationKey,
  IC_INDEX,
  icCount,
  parseVerificationKey,
  type VerificationKey,
  verificationKeyBytes,
} from './verificationKey.js';

export {
  adapterId,
  checkAdapterCommitment,
  parseAdapterCommitment,
  serializeAdapterCommitment,
} from './commitment.js';
export { applyExact, scaleDelta } from './forward.js';
export {
  MAX_COMMITMENT_BYTES,
  MAX_DOMAIN_SIZE,
  MAX_EXPONENT,
  MAX_FEATURES,
  MAX_MODULES,
  MAX_NAME_LENGTH,
  MAX_RANK,
  MAX_TOTAL_RANK,
  MIN_DOMAIN_SIZE,
  MIN_EXPONENT,
} from './limits.js';
export { assertFitsInt64, fitsInt64, OUTPUT_BOUND, outputBound } from './overflow.js';
export { type FloatAdapter, type FloatModule, readPeftAdapter } from './peft.js';
export { peftConfigText, writePeftAdapter } from './peftWrite.js';
export { quantizeActivations, quantizeModule } from './quantize.js';
export { domainSizeFor, type RegisterOptions, type Registration, registerAdapter } from './register.js';
export {
  type Dtype,
  parseSafetensors,
  type SafetensorsFile,
  type SafetensorsLimits,
  serializeSafetensors,
  type Tensor,
  tensorToFloat32,
} from './safetensors.js';
export {
  type AdapterSecret,
  assertSecretMatches,
  deriveBlinder,
  type ModuleBlinders,
  moduleBlinders,
  parseAdapterSecret,
  type ReadSecret,
  readAdapterSecret,
  writeAdapterSecret,
} from './secret.js';
export type { AdapterCommitment, CommittedModule, QuantizedModule } from './types.js';

export {
  decodeRegistrationProof,
  encodeRegistrationProof,
  type RegistrationProof,
} from './proof.js';
export { proveRegistration, type RegistrationProveOptions } from './prove.js';
export {
  type RegistrationInvalidReason,
  type RegistrationResult,
  type RegistrationVerifyOptions,
  type ValidRegistration,
  verifyRegistration,
} from './verify.js';

/**
 * zklora: zero-knowledge verification of LoRA adapters.
 *
 * The contributor registers an adapter, serves it and proves what it served; the base-model user evaluates and
 * verifies. Each step is a call; everything else is in the subpath exports.
 */
export {
  type AdapterCommitment,
  type AdapterSecret,
  adapterId,
  domainSizeFor,
  parseAdapterCommitment,
  parseAdapterSecret,
  quantizeModule,
  readAdapterSecret,
  readPeftAdapter,
  registerAdapter,
  serializeAdapterCommitment,
  writeAdapterSecret,
} from './adapter/index.js';
export { type Engine, loadEngine, warmCircuitProver, warmProver, warmVerifier } from './algebra/index.js';
export {
  openParameters,
  type ParameterSet,
  type ParameterStore,
  parameterSetId,
  parseParameterSet,
} from './circuit/index.js';
export { type ErrorCode, ZkLoraError } from './errors.js';
export {
  connectContributor,
  evaluateAdapter,
  openBaseModel,
  openSessionRecord,
  serveContributor,
} from './inference/index.js';
export {
  type BatchItem,
  type BatchResult,
  type BatchVerdict,
  type InvalidReason,
  proveRegistration,
  proveSession,
  type RegistrationInvalidReason,
  type RegistrationResult,
  type Session,
  type VerificationResult,
  verifyBatch,
  verifyProof,
  verifyRegistration,
} from './protocol/index.js';

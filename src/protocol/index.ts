export {
  decodeProofFile,
  encodeProofFile,
  type GroupProof,
  type LinearFormProof,
  outlineProofFile,
  type Proof,
  type ProofFile,
  type ProofOutline,
} from './proof.js';
export { type ProveOptions, type ProveStage, proveSession, proveUnchecked } from './prove.js';
export * from './registration/index.js';
export * from './session.js';
export { callDigest, combineDigests, headerDigest } from './sessionDigest.js';
export { type ReadSession, readSession, sessionDigest } from './sessionPass.js';
export { partition } from './statement.js';
export {
  type InvalidReason,
  type VerificationKeys,
  type VerificationResult,
  type VerifyOptions,
  verifyProof,
} from './verify.js';

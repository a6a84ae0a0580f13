export {
  decodeProofFile,
  encodeProofFile,
  type GroupProof,
  type LinearFormProof,
  type Proof,
  type ProofFile,
} from './proof.js';
export { type ProveOptions, type ProveStage, proveSession } from './prove.js';
export * from './session.js';
export { callDigest, combineDigests, headerDigest, readSession, sessionDigest } from './sessionDigest.js';
export {
  type InvalidReason,
  type VerificationKeys,
  type VerificationResult,
  type VerifyOptions,
  verifyProof,
} from './verify.js';

export {
  type BlockProof,
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
export { headerDigest } from './sessionDigest.js';
export {
  openRow,
  type RowInvalidReason,
  type RowOpening,
  type RowVerdict,
  verifyRow,
} from './sessionOpening.js';
export { type ReadSession, readSession, sessionDigest } from './sessionPass.js';
export type { OpenedRow, SessionRow, WantedRow } from './sessionTree.js';
export { partition, RANK_CHECKS, type RankCheck } from './statement.js';
export {
  type InvalidReason,
  type VerificationKeys,
  type VerificationResult,
  type VerifyOptions,
  verifyProof,
} from './verify.js';
export {
  type BatchItem,
  type BatchResult,
  type BatchVerdict,
  MAX_BATCH_PROOFS,
  type VerifyBatchOptions,
  verifyBatch,
} from './verifyBatch.js';
export {
  requireOneBase,
  type SetItem,
  type SetVerdict,
  type VerifySetOptions,
  verifySet,
} from './verifySet.js';

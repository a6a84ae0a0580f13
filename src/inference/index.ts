export { type Address, formatAddress, isLoopback, parseAddress } from './address.js';
export {
  type AnsweredStage,
  answeredRows,
  readAnswered,
} from './answeredJournal.js';
export { type BaseModel, type Logits, openBaseModel } from './baseModel.js';
export {
  type AttachSession,
  type ConnectOptions,
  type ContributorClient,
  connectContributor,
  DEFAULT_TIMEOUTS,
  type OpenSession,
  type RemoteSession,
  type SessionStanding,
  type StageRows,
  type Timeouts,
} from './client.js';
export type { ClientTls } from './clientTls.js';
export type { Clock } from './clock.js';
export { MAX_CONTRIBUTORS } from './contributorSet.js';
export type { ContributorState } from './contributorState.js';
export { type ContributorEntry, MAX_CONTRIBUTORS_BYTES, parseContributors } from './contributorsFile.js';
export { unionModules } from './contributorView.js';
export {
  type EvaluateOptions,
  type EvaluateSetOptions,
  type Evaluation,
  type EvaluationProgress,
  evaluateAdapter,
  evaluateSet,
  type MeasureOptions,
  type MemberReport,
  type SetEvaluation,
} from './evaluate.js';
export type { EvaluationSource } from './evaluationJournal.js';
export type { FeedType, ModelFeed } from './feeds.js';
export { type ApplyStage, type CutModel, type GraphModel, openGraphModel } from './graphModel.js';
export { growHeapFreely } from './heapGrowth.js';
export { type Estimate, estimateMean } from './interval.js';
export type { Charge, ChargedRows, ChargedStage, LeakageGuard } from './leakage/guard.js';
export { PACKED_WEIGHTS, type Revealed } from './leakage/inputSpace.js';
export {
  DEFAULT_BUDGET,
  type LeakageBudget,
  LeakageLedger,
  type LedgerOptions,
  type LedgerState,
  readLeakage,
} from './leakage/ledger.js';
export { type AskedRows, LeakageMeter } from './leakage/meter.js';
export { type AdapterLeakage, adapterLeakage, type ModuleLeakage } from './leakage/report.js';
export {
  MAX_CALL_FILE_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_OPEN_SESSIONS,
  MAX_PEM_FILE_BYTES,
  MAX_PENDING_BYTES,
  MAX_PROOF_BYTES,
  MAX_RUNNING_PROOFS,
  MAX_TOKEN_FILE_BYTES,
  MIN_FREE_BYTES,
  SESSION_IDLE_MS,
} from './limits.js';
export { floatDelta, localLora } from './localLora.js';
export { type Forward, type Loss, type LossOptions, measureLoss } from './loss.js';
export { ModelWorker } from './modelWorker.js';
export { type ProverOptions, processProver } from './processProver.js';
export {
  LocalProofJobs,
  PROOF_FILE,
  type ProofJobs,
  type ProofProgress,
  type ProveSession,
} from './proofJobs.js';
export type { ProofState, ProofStatus } from './proofStates.js';
export {
  checkClosedDigest,
  checkClosing,
  createSessionRecord,
  openSessionRecord,
  type SessionRecord,
  type SessionWriter,
} from './record.js';
export {
  type AdapterSession,
  type AdapterSessionOptions,
  openAdapterSession,
  openRecordedSession,
  type RecordedSession,
  type RecordedSessionOptions,
} from './recordedSession.js';
export { DEFAULT_RETRY, type RetryOptions } from './retry.js';
export { MAX_OPENING_BYTES, parseRowOpening, serializeRowOpening } from './rowOpening.js';
export {
  ownTls,
  readCertificates,
  type ServerTls,
  tlsFromFiles,
} from './serverTls.js';
export { type ContributorServer, type ServeOptions, type ServiceEvent, serveContributor } from './service.js';
export {
  parseSessionClosing,
  parseSessionHeader,
  parseSessionSecret,
  type SessionClosing,
  type SessionSecret,
} from './sessionHeader.js';
export type { MemberFailure, SetMember } from './setMember.js';
export {
  closingMessage,
  generateKeyPair,
  isSignedBy,
  type KeyPair,
  keyPairFromSeed,
  openingMessage,
  sign,
  userOpeningMessage,
  wrongSigner,
} from './signatures.js';
export type { BaseModelInfo, GraphModelInfo, ModelOutput, StageInput } from './stageRunner.js';
export type { ModuleShape } from './targets.js';
export { type Rate, TokenBuckets } from './tokenBucket.js';
export {
  type PlainText,
  TOKENIZER_TIMEOUT_MS,
  type Tokenized,
  tokenizeBytes,
  tokenizeTexts,
} from './tokenizer.js';
export { MAX_TOKENIZER_BYTES, tokenizerDigest } from './tokenizerFile.js';
export { AccessTokens, parseToken } from './tokens.js';
export { checkVocabulary } from './vocabulary.js';
export {
  byteWindows,
  type CutTexts,
  cutTexts,
  MAX_WINDOWS,
  type TokenText,
  type WindowOptions,
  type Windows,
} from './windows.js';

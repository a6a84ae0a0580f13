/** Settlement: the evaluated weights against payment. docs/settlement.md. */

export {
  type ConnectOptions,
  ESCROW_STATES,
  EscrowChain,
  type EscrowState,
  type EscrowStatus,
  MAX_CONFIRMATIONS,
  REVEAL_MARGIN_SECONDS,
  type Settled,
} from './chain.js';
export { checkDelivery, checkOffer } from './checkDelivery.js';
export { Delivery, type DeliveryDigests, type DeliveryOptions, rowsRootOf } from './deliver.js';
export {
  type DeliveryDescription,
  describeDelivery,
  type OfferTerms,
  parseDeliveryDescription,
  serializeDeliveryDescription,
  signOffer,
} from './deliveryDescription.js';
export { DeliveryFile, type DownloadState, type EncryptedRow, resumeDownload } from './deliveryFile.js';
export {
  type ChallengeInput,
  type DeliveredRow,
  type FraudProof,
  fraudChallenge,
  makeFraudProof,
  rowPolynomial,
  srsDigest,
} from './fraudProof.js';
export {
  type FraudProofFile,
  MAX_FRAUD_PROOF_BYTES,
  parseFraudProofFile,
  serializeFraudProofFile,
} from './fraudProofFile.js';
export { adapterEscrowAbi, adapterEscrowBytecode } from './gen/escrow.js';
export { keccak256 } from './keccak.js';
export {
  deliveryPublicKey,
  makeDeliveryKey,
  makeMasterKey,
  readDeliveryKey,
  readMasterKey,
  type SecretFile,
} from './keyFiles.js';
export { MAX_KEYSTORE_BYTES, makeKeystore, openKeystore } from './keystore.js';
export { keyHashOf, MASTER_KEY_BYTES, RowCipher } from './keystream.js';
export * from './limits.js';
export { cipherLeaf, MerkleTree, rootFromPath, rowsLeaf } from './merkle.js';
export {
  checkOfferSignature,
  type EscrowAddress,
  NATIVE_TOKEN,
  type Offer,
  offerId,
  offerTypedData,
  parseSignedOffer,
  type SignedOffer,
  serializeSignedOffer,
} from './offer.js';
export { type Opened, type OpenOptions, openDelivery } from './openDelivery.js';
export { type PipelineOptions, type PipelineOutcome, type PipelineStep, runPipeline } from './pipeline.js';
export type { AbortReason } from './pipelineAbort.js';
export type { EvaluationSource, Evidence, LineageEvidence, Losses } from './pipelineEvidence.js';
export { type PipelinePolicy, parsePipelinePolicy, policyDigest } from './pipelinePolicy.js';
export {
  checkReceiptSignature,
  type EvaluationReceipt,
  lossToNano,
  parseSignedReceipt,
  receiptTypedData,
  type SignedReceipt,
  serializeSignedReceipt,
} from './receipt.js';
export {
  decodeRow,
  encodeRow,
  entryWords,
  type PlainRow,
  rowBytes,
  type SettlementRow,
  settlementRows,
} from './rows.js';

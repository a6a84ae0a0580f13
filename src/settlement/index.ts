/** Settlement: the evaluated weights against payment. docs/settlement.md. */
export {
  type ChallengeInput,
  type DeliveredRow,
  type FraudProof,
  fraudChallenge,
  makeFraudProof,
  rowPolynomial,
  srsDigest,
} from './fraudProof.js';
export { adapterEscrowAbi, adapterEscrowBytecode } from './gen/escrow.js';
export { keccak256 } from './keccak.js';
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
export {
  checkReceiptSignature,
  type EvaluationReceipt,
  lossToNano,
  parseSignedReceipt,
  receiptDigest,
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

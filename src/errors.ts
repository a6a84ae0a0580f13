/**
 * Every failure that zklora reports, as one string union.
 *
 * Codes are stable: programs switch on them, tests name them, the command line maps them to exit codes.
 */
export type ErrorCode =
  // input that does not have the form it claims (exit 2)
  | 'ADAPTER_MALFORMED'
  | 'ADAPTER_UNSUPPORTED'
  | 'ADAPTER_OVERFLOW'
  | 'CERTIFICATE_INVALID'
  | 'CHECKPOINT_MALFORMED'
  | 'COMMITMENT_MALFORMED'
  | 'CONTRIBUTORS_MALFORMED'
  | 'DELIVERY_MALFORMED'
  | 'ENSEMBLE_MALFORMED'
  | 'ENSEMBLE_MISMATCH'
  | 'EVALUATION_MALFORMED'
  | 'EVALUATION_MISMATCH'
  | 'FRAUD_PROOF_MALFORMED'
  | 'JOURNAL_MALFORMED'
  | 'KEYSTORE_MALFORMED'
  | 'LEDGER_MALFORMED'
  | 'LINEAGE_MALFORMED'
  | 'OFFER_MALFORMED'
  | 'ONNX_MALFORMED'
  | 'PARAMETERS_MALFORMED'
  | 'PARAMETERS_MISMATCH'
  | 'POINT_INVALID'
  | 'POLICY_MALFORMED'
  | 'PROOF_MALFORMED'
  | 'RECEIPT_MALFORMED'
  | 'SAFETENSORS_MALFORMED'
  | 'SCALAR_INVALID'
  | 'SECRET_MALFORMED'
  | 'SECRET_MISMATCH'
  | 'SESSION_MALFORMED'
  | 'SESSION_MISMATCH'
  | 'STATEMENT_INVALID'
  | 'TEXT_INVALID'
  | 'TOKENIZER_MALFORMED'
  | 'TOKENS_MALFORMED'
  | 'USAGE'
  // the adapter does not fit the base model (exit 2)
  | 'BASE_MODEL_MISMATCH'
  | 'MODULE_NOT_FOUND'
  | 'SHAPE_MISMATCH'
  // policy or proof says no (exit 1)
  | 'CEREMONY_INCOMPLETE'
  | 'CHAIN_MISMATCH'
  | 'CHAIN_REFUSED'
  | 'CONTRIBUTOR_UNTRUSTED'
  | 'DELIVERY_MISMATCH'
  | 'LEAKAGE_BUDGET'
  | 'OFFER_REFUSED'
  | 'PARAMETERS_DEVELOPMENT'
  // the world outside (exit 3)
  | 'ACCESS_REFUSED'
  | 'CHAIN_UNREACHABLE'
  | 'CONTRIBUTOR_REFUSED'
  | 'CONTRIBUTOR_UNREACHABLE'
  | 'DELIVERY_INCOMPLETE'
  | 'FILE_EXISTS'
  | 'FILE_NOT_FOUND'
  | 'FILE_UNREADABLE'
  | 'FILE_UNWRITABLE'
  | 'FOLDER_IN_USE'
  | 'LIMIT_REACHED'
  | 'SHUTTING_DOWN'
  // a bug of ours (exit 70)
  | 'INTERNAL';

/** Options of {@link ZkLoraError}. */
export interface ZkLoraErrorOptions {
  /** Machine-readable facts about the failure; never secrets, weights or blinders. */
  readonly details?: Readonly<Record<string, string | number | boolean>>;
  readonly cause?: unknown;
}

/**
 * The one error class of the library.
 *
 * `message` is one line that says what was wrong and what to do about it.
 */
export class ZkLoraError extends Error {
  override readonly name = 'ZkLoraError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, string | number | boolean>>;

  constructor(code: ErrorCode, message: string, options: ZkLoraErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}

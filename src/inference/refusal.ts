import { Metadata, status } from '@grpc/grpc-js';
import { type ErrorCode, ZkLoraError } from '../errors.js';

/** Trailing metadata key that carries our error code. */
export const CODE_METADATA = 'zklora-code';

/** Trailing metadata key of a refusal for lack of room: milliseconds, decimal. See {@link refusal}. */
export const RETRY_METADATA = 'zklora-retry-ms';

/** gRPC statuses that a contributor refuses with. */
export type RefusalStatus =
  | 'INVALID_ARGUMENT'
  | 'NOT_FOUND'
  | 'PERMISSION_DENIED'
  | 'FAILED_PRECONDITION'
  | 'RESOURCE_EXHAUSTED'
  | 'UNAUTHENTICATED'
  | 'UNAVAILABLE';

/**
 * A refusal whose message is written for the other side of the wire.
 *
 * @param retryMs for lack of room: in so many milliseconds there is room unless others go on to use it; fixed for what is
 * lacking, so that it tells nothing of the others
 */
export function refusal(
  grpcStatus: RefusalStatus,
  code: ErrorCode,
  message: string,
  retryMs?: number,
): ZkLoraError {
  return new ZkLoraError(code, message, {
    details: { grpcStatus, ...(retryMs !== undefined && { retryMs }) },
  });
}

/** Codes whose messages hold nothing but what the caller sent; all others stay inside. */
const PUBLIC_STATUS: Partial<Record<ErrorCode, RefusalStatus>> = {
  ACCESS_REFUSED: 'UNAUTHENTICATED',
  LEAKAGE_BUDGET: 'RESOURCE_EXHAUSTED',
  LIMIT_REACHED: 'RESOURCE_EXHAUSTED',
  SESSION_MALFORMED: 'INVALID_ARGUMENT',
  SESSION_MISMATCH: 'FAILED_PRECONDITION',
  SHUTTING_DOWN: 'UNAVAILABLE',
  STATEMENT_INVALID: 'INVALID_ARGUMENT',
};

/** What the other side gets to see of an error: a status, one of our codes, one line. */
export interface WireError {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

export function toWireError(error: unknown): WireError {
  const metadata = new Metadata();
  const name = error instanceof ZkLoraError ? PUBLIC_STATUS[error.code] : undefined;
  if (!(error instanceof ZkLoraError) || name === undefined) {
    metadata.set(CODE_METADATA, 'INTERNAL');
    return { code: status.INTERNAL, details: 'the contributor cannot answer', metadata };
  }
  metadata.set(CODE_METADATA, error.code);
  const { grpcStatus, retryMs } = error.details;
  if (typeof retryMs === 'number') metadata.set(RETRY_METADATA, String(retryMs));
  const chosen = (grpcStatus as RefusalStatus | undefined) ?? name;
  return { code: status[chosen], details: error.message, metadata };
}

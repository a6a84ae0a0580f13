/** Why a pipeline ended without the adapter. */
export type AbortReason =
  // before any money moved
  | 'RECEIPT_REFUSED'
  | 'REGISTRATION_INVALID'
  | 'PROOF_INVALID'
  | 'LINEAGE_INVALID'
  | 'NO_EFFECT'
  | 'OFFER_REFUSED'
  | 'DELIVERY_REFUSED'
  | 'FUNDING_REFUSED'
  | 'OFFER_CANCELLED'
  // the price came back
  | 'NOT_REVEALED'
  // the price came back, and the stake with it
  | 'FRAUD_PROVEN'
  // a row is wrong, but the window for the proof had passed: the price is lost
  | 'FRAUD_TOO_LATE';

/** Ends a pipeline; `runPipeline` turns it into its outcome. */
export class PipelineAbort extends Error {
  constructor(
    readonly reason: AbortReason,
    message: string,
  ) {
    super(message);
  }
}

export function abort(reason: AbortReason, message: string): PipelineAbort {
  return new PipelineAbort(reason, message);
}

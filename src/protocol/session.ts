/**
 * What was exchanged between base-model user and contributor: the statement's public data.
 *
 * docs/formats.md, "Session". This file is pure: no file system, no network.
 */

/** Fixed at the opening of a session; its canonical JSON (RFC 8785) is bound by the session digest. */
export interface SessionHeader {
  readonly format: 'zklora/session/v1';
  /** Id of the adapter commitment, 32 bytes, hex. */
  readonly adapterId: string;
  /** Ed25519 public keys, 32 bytes, hex. */
  readonly contributorKey: string;
  readonly userKey: string;
  /** 32 random bytes of the user, hex. */
  readonly nonce: string;
  /**
   * `inputs[i]` lists the adapter's module indices that share input activations i (q, k and v projections,
   * say). Ascending inside an input; inputs ordered by their first module; no module twice.
   */
  readonly inputs: readonly (readonly number[])[];
}

/** Quantised activations of one input in one call. */
export interface ActivationRows {
  /** int16, row-major `[tokens, inFeatures]`. */
  readonly x: Int16Array;
  /** Power-of-two exponent of each row, `[tokens]`: activation = x * 2^exponent. */
  readonly exponents: Int16Array;
}

/** One forward pass of the base model over some tokens. */
export interface SessionCall {
  readonly tokens: number;
  /** One entry for each of the header's inputs, in that order. */
  readonly inputs: readonly ActivationRows[];
  /**
   * One entry for each module of the session, ascending by module index: the exact integers
   * Y = X A^T B^T, row-major `[tokens, outFeatures]`.
   */
  readonly outputs: readonly BigInt64Array[];
}

/** Calls of a session, read one at a time so that memory stays flat. */
export interface CallSource {
  readonly header: SessionHeader;
  readonly callCount: number;
  /** @throws ZkLoraError `SESSION_MALFORMED` when the stored call does not parse. */
  readCall(index: number): Promise<SessionCall>;
  /** Resolves when this thread has done what it does with the last call beside its reader: where it digests it. */
  digested?(): Promise<void>;
}

/** A whole session. */
export interface Session extends CallSource {
  /**
   * 32 random bytes of the user, known to both parties: the salts of the rows come from them, so that a row can be
   * shown without the others. Whoever has them can test guesses at rows.
   */
  readonly seed: Uint8Array;
  /**
   * Token rows of a call as they can be told without reading all of it; undefined where they cannot. A verifier that
   * has them reads a session once that it would read twice, and holds them against what it has read.
   */
  statedTokens?(index: number): Promise<number | undefined>;
  /**
   * Takes back a call that {@link CallSource.readCall} gave and nobody looks at any more: a later one may be read into
   * its memory.
   */
  recycle?(call: SessionCall): void;
}

/** Module indices of a session, ascending. */
export function sessionModules(header: SessionHeader): number[] {
  return header.inputs.flat().sort((a, b) => a - b);
}

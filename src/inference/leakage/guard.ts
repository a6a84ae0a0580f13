import type { SessionHeader } from '../../protocol/session.js';

/** A stage that is about to be answered. */
export interface ChargedStage {
  readonly call: number;
  readonly stage: number;
  readonly tokens: number;
}

/** Rows of one input of a stage. */
export interface ChargedRows {
  /** Index into the header's inputs. */
  readonly input: number;
  /** int16, row-major `[tokens, inFeatures]`. */
  readonly x: Int16Array;
}

/** A stage that has been counted. */
export interface Charge {
  /** Resolves when the count is on disk; the stage may be answered then. Rejects with `FILE_UNWRITABLE`. */
  readonly written: Promise<void>;
}

/** What watches over the answers of a contributor. */
export interface LeakageGuard {
  /**
   * Notes the opening of a session, on disk when the promise resolves.
   *
   * @throws ZkLoraError `SESSION_MISMATCH` for a header that opened a session before, `LEAKAGE_BUDGET`
   */
  open(header: SessionHeader): Promise<void>;
  /**
   * Counts the rows of a stage before anything is computed for it. Rows that were counted before cost nothing: a
   * stage that is answered again may be charged again.
   *
   * @throws ZkLoraError `LEAKAGE_BUDGET` when the answer would pass a budget; nothing is counted then
   */
  charge(header: SessionHeader, stage: ChargedStage, rows: readonly ChargedRows[]): Promise<Charge>;
}

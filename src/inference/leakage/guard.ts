import type { SessionHeader } from '../../protocol/session.js';
import type { RoomClaim } from '../roomClaim.js';

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
   * @param place taken once nothing else stands against it, before anything is noted
   * @throws ZkLoraError `SESSION_MISMATCH` for a header that opened a session before, `LEAKAGE_BUDGET`, and what the place's
   * check throws
   */
  open(header: SessionHeader, place: RoomClaim): Promise<void>;
  /**
   * Counts the rows of a stage before anything is computed for it.
   *
   * @param room checked before anything depends on the weights, so that who finds none learns nothing of them; taken once
   * nothing else stands against the stage
   * @throws ZkLoraError `LEAKAGE_BUDGET` when the answer would pass a budget, and what the check of the room throws; nothing
   * is counted then
   */
  charge(
    header: SessionHeader,
    stage: ChargedStage,
    rows: readonly ChargedRows[],
    room: RoomClaim,
  ): Promise<Charge>;
  /**
   * What a stage was charged that was answered before: it costs nothing when it is asked again.
   *
   * @returns undefined where its rows were lost, so that they are charged when they come again
   */
  chargeOf(header: SessionHeader, stage: ChargedStage): Charge | undefined;
}

/** A request's claim to room that is scarce. Nobody gives way to a request that is refused for anything else. */
export interface RoomClaim {
  /** @throws ZkLoraError `SESSION_MISMATCH`, `LIMIT_REACHED` where there is none, though all who may gave way */
  check(): void;
  /** Takes the room, others giving way: the last thing before a request is taken up, in the same turn as a {@link check}. */
  take(): void;
}

/** The claim of who holds what it needs. */
export const NOTHING_TO_CLAIM: RoomClaim = { check: () => undefined, take: () => undefined };

import type { ZkLoraError } from '../errors.js';
import { type DiskFloor, diskFull } from './diskFloor.js';
import { CALL_QUIET_MS, MAX_PENDING_BYTES } from './limits.js';
import { refusal } from './refusal.js';
import type { RoomClaim } from './roomClaim.js';

/** A call under way that gives its room to one that is to begin. */
export interface LyingCall {
  readonly bytes: number;
  giveWay(): void;
}

/** What is said to a call for which there is no room; `UNAVAILABLE` has its client send it again from the first stage on. */
type NoRoomStatus = 'UNAVAILABLE' | 'RESOURCE_EXHAUSTED';

/**
 * Room of the calls under way in all sessions: memory, and the disk on which they are going to be written. Bytes of calls
 * are those of {@link callBytes}.
 */
export class CallRoom {
  private held = 0;
  private written = 0;

  /** @param lying calls that may give way, those that go first in front */
  constructor(
    private readonly disk: DiskFloor,
    private readonly lying: () => readonly LyingCall[],
  ) {}

  /** Room for a call that is to begin; whoever takes it gives it back, see {@link give}. */
  async claim(bytes: number, status: NoRoomStatus): Promise<RoomClaim> {
    // what is written while the disk is asked counts twice rather than not at all
    const { written } = this;
    const onDisk = written + (await this.disk.room());
    return {
      check: () => this.check(bytes, onDisk, status),
      take: () => {
        for (const call of this.lying()) {
          if (this.fits(bytes, onDisk)) break;
          call.giveWay();
        }
        this.held += bytes;
      },
    };
  }

  /** @param isWritten whether the call is on the disk now */
  give(bytes: number, isWritten = false): void {
    this.held -= bytes;
    if (isWritten) this.written += bytes;
  }

  private check(bytes: number, onDisk: number, status: NoRoomStatus): void {
    if (this.fits(bytes, onDisk)) return;
    const lying = this.lying().reduce((sum, call) => sum + call.bytes, 0);
    if (this.held - lying + bytes > MAX_PENDING_BYTES) throw crowded(status);
    if (this.fits(bytes - lying, onDisk)) return;
    const fitsAlone = this.written + bytes <= onDisk;
    throw fitsAlone ? diskFull(CALL_QUIET_MS) : diskFull();
  }

  /** @param onDisk bytes of calls that this process may have written or hold */
  private fits(bytes: number, onDisk: number): boolean {
    const all = this.held + bytes;
    return all <= MAX_PENDING_BYTES && this.written + all <= onDisk;
  }
}

function crowded(status: NoRoomStatus): ZkLoraError {
  return refusal(
    status,
    'SESSION_MISMATCH',
    'too many calls are under way; try again later or send fewer tokens in a call',
    CALL_QUIET_MS,
  );
}

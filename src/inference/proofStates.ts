import { ProofState as WireState } from './gen/zklora_pb.js';
import type { ProofProgress } from './proofJobs.js';

/** What has become of a session's proof; `none`, `done`, `failed` and `cancelled` last until somebody asks for it. */
export type ProofState = 'none' | 'queued' | 'running' | 'done' | 'failed' | 'cancelled';

export interface ProofStatus {
  readonly state: ProofState;
  /** While it runs. */
  readonly progress?: ProofProgress;
}

const WIRE: Readonly<Record<ProofState, WireState>> = {
  none: WireState.NONE,
  queued: WireState.QUEUED,
  running: WireState.RUNNING,
  done: WireState.DONE,
  failed: WireState.FAILED,
  cancelled: WireState.CANCELLED,
};

export function toWireState(state: ProofState): WireState {
  return WIRE[state];
}

/** States of later versions count as none. */
export function fromWireState(state: WireState): ProofState {
  const known = Object.entries(WIRE).find(([, wire]) => wire === state);
  return (known?.[0] as ProofState | undefined) ?? 'none';
}

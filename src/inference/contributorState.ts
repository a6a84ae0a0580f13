import type { AdapterCommitment, QuantizedModule } from '../adapter/types.js';
import { bytesToHex } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import type { Clock } from './clock.js';
import type { LeakageGuard } from './leakage/guard.js';
import type { ProofJobs, ProveSession } from './proofJobs.js';
import { keyPairFromSeed } from './signatures.js';

/** What a contributor serves. */
export interface ContributorState {
  readonly commitment: AdapterCommitment;
  /** The committed weights, in the commitment's order. */
  readonly modules: readonly QuantizedModule[];
  /** Ed25519 seed whose public key is in the commitment, 32 bytes. */
  readonly secretKey: Uint8Array;
  /** Folder that receives one session record for each session. */
  readonly sessionsDir: string;
  /** How closed sessions are proven: by a function, one at a time, or by a queue. */
  readonly prove: ProveSession | ProofJobs;
  /** Counts what answers give away, and refuses beyond a budget; nothing is counted without it. */
  readonly leakage?: LeakageGuard;
  /** Public keys, hex, of the users who may open sessions; everybody without it. */
  readonly allowedUsers?: ReadonlySet<string>;
  /** Open sessions of one user key; {@link MAX_SESSIONS_PER_USER} without it. */
  readonly sessionsPerUser?: number;
  /** Bytes of the disk that calls leave free; {@link MIN_FREE_BYTES} without it. */
  readonly minFreeBytes?: number;
  /** For idle sessions; the machine's own without it. */
  readonly clock?: Clock;
}

/** @throws ZkLoraError `SECRET_MISMATCH` when weights or key are not those of the commitment */
export function requireCommitted({ commitment, modules, secretKey }: ContributorState): void {
  const same =
    commitment.modules.length === modules.length &&
    commitment.modules.every((committed, i) => isModule(modules[i]!, committed));
  if (!same) {
    throw new ZkLoraError(
      'SECRET_MISMATCH',
      'the adapter is not the one that was committed to; serve that one',
    );
  }
  if (bytesToHex(keyPairFromSeed(secretKey).publicKey) !== commitment.contributorKey) {
    throw new ZkLoraError('SECRET_MISMATCH', 'the secret file does not belong to this adapter commitment');
  }
}

function isModule(module: QuantizedModule, committed: AdapterCommitment['modules'][number]): boolean {
  return (
    module.name === committed.name &&
    module.rank === committed.rank &&
    module.inFeatures === committed.inFeatures &&
    module.outFeatures === committed.outFeatures &&
    module.aExponent === committed.aExponent &&
    module.bExponent === committed.bExponent &&
    module.scaling === committed.scaling
  );
}

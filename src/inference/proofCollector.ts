import { ZkLoraError } from '../errors.js';
import type { ProveResponse } from './gen/zklora_pb.js';
import { MAX_PROOF_BYTES, MAX_PROOF_MESSAGES } from './limits.js';
import type { ProofProgress } from './proofJobs.js';

/** Puts a proof together from the messages of an untrusted sender. */
export class ProofCollector {
  private readonly chunks: Uint8Array[] = [];
  private size = 0;
  private messages = 0;

  constructor(private readonly onProgress: (progress: ProofProgress) => void) {}

  /** @throws ZkLoraError `PROOF_MALFORMED`, and what `onProgress` throws */
  take({ event }: ProveResponse): void {
    this.messages += 1;
    if (this.messages > MAX_PROOF_MESSAGES) {
      throw new ZkLoraError('PROOF_MALFORMED', `the proof comes in more than ${MAX_PROOF_MESSAGES} messages`);
    }
    if (event.case === 'progress') {
      this.onProgress(shownProgress(event.value));
    } else if (event.case === 'chunk') {
      this.size += event.value.length;
      if (event.value.length === 0) throw new ZkLoraError('PROOF_MALFORMED', 'a part of the proof is empty');
      if (this.size > MAX_PROOF_BYTES) {
        throw new ZkLoraError('PROOF_MALFORMED', `the proof is larger than ${MAX_PROOF_BYTES} bytes`);
      }
      this.chunks.push(event.value);
    }
  }

  proof(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.chunks));
  }
}

/** Progress from an untrusted sender, fit for one line. */
export function shownProgress({ step, done, total }: ProofProgress): ProofProgress {
  return { step: step.slice(0, 80).replace(/[^\x20-\x7e]/g, '?'), done, total };
}

import {
  drawBatch,
  drawOpening,
  drawPairs,
  drawPoint,
  startTranscript,
} from '../../../src/protocol/challenges.js';
import type { BlockProof, Proof } from '../../../src/protocol/proof.js';
import type { Statement } from '../../../src/protocol/statement.js';
import type { Transcript } from '../../../src/protocol/transcript.js';
import type { Challenges } from '../../reference/challenges.js';
import { type BlockWeights, blockWeights } from '../../reference/pairBlocks.js';

type SumProof = Proof['sum'];

/**
 * The verifier's moves where pairs are checked on H, as both sides make them. Subclasses draw too early, or leave
 * places free: the verifiers against which an attack works.
 */
export class PairSchedule {
  protected readonly transcript: Transcript;
  u: bigint;
  v: bigint;
  t: bigint;
  protected readonly domainSize: number;

  constructor(statement: Statement) {
    const { transcript, challenges } = startTranscript(statement);
    this.transcript = transcript;
    this.domainSize = statement.domainSize;
    ({ u: this.u, v: this.v, t: this.t } = challenges);
  }

  /** rho */
  pairs(blocks: readonly Pick<BlockProof, 'p' | 'q'>[]): bigint {
    return drawPairs(this.transcript, blocks);
  }

  /** r and s of each block. */
  weights(pairs: number, rho: bigint): BlockWeights[] {
    return blockWeights(this.domainSize, pairs, rho);
  }

  /** z */
  point(proof: Pick<SumProof, 'runningSum' | 'quotient'>): bigint {
    return drawPoint(this.transcript, this.domainSize, proof);
  }

  /** nu */
  values(shifted: bigint, opened: readonly bigint[]): bigint {
    return drawOpening(this.transcript, shifted, opened);
  }

  batch(proof: Pick<SumProof, 'opening' | 'shiftedOpening'>): bigint {
    return drawBatch(this.transcript, proof);
  }

  /** All challenges of a finished proof. */
  replay(proof: Proof): Challenges & { readonly batch: bigint } {
    const { u, v, t } = this;
    const rho = this.pairs(proof.blocks);
    const z = this.point(proof.sum);
    const opened = proof.blocks.map(({ qAtPoint }) => qAtPoint);
    const nu = this.values(proof.sum.shifted, opened);
    return { u, v, t, rho, kappa: 1n, forms: [], z, nu, batch: this.batch(proof.sum) };
  }
}

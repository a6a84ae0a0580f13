/** Verifiers of pairs on H that a design could have ended up with; docs/protocol.md says why it did not. */
import type { BlockProof, Proof } from '../../../src/protocol/index.js';
import type { Statement } from '../../../src/protocol/statement.js';
import { type BlockWeights, blockSizes } from '../../reference/pairBlocks.js';
import { PairSchedule } from './pairSchedule.js';

type SumProof = Proof['sum'];

/** No weights for tokens, outputs or modules: one of u, v, t is 1. */
export class UnweightedPairs extends PairSchedule {
  constructor(statement: Statement, challenge: 'u' | 'v' | 't') {
    super(statement);
    this[challenge] = 1n;
  }
}

/** rho before [p] and [q]. */
export class EarlyPairs extends PairSchedule {
  readonly rho = this.transcript.challenge('rho');

  override pairs(blocks: readonly Pick<BlockProof, 'p' | 'q'>[]): bigint {
    super.pairs(blocks);
    return this.rho;
  }
}

/** Weights r or s that are zero at one place of every block: nothing forces p or q there. */
export class FreePlace extends PairSchedule {
  constructor(
    statement: Statement,
    readonly side: 'r' | 's',
    readonly place: number,
  ) {
    super(statement);
  }

  override weights(pairs: number, rho: bigint): BlockWeights[] {
    return super.weights(pairs, rho).map((weights) => {
      const values = [...weights[this.side]];
      values[this.place] = 0n;
      return { ...weights, [this.side]: values };
    });
  }
}

/** The weights that force zeros are those of block 0 in every block. */
export class SharedZeros extends PairSchedule {
  override weights(pairs: number, rho: bigint): BlockWeights[] {
    const own = super.weights(pairs, rho);
    const sizes = blockSizes(pairs, this.domainSize);
    const zeros = super.weights(pairs, rho)[0]!;
    return own.map(({ r, s }, g) => ({
      r: r.map((value, i) => (i >= sizes[g]! && i >= sizes[0]! ? zeros.r[i]! : value)),
      s: s.map((value, i) => (i === this.domainSize - 3 ? zeros.s[i]! : value)),
    }));
  }
}

/** q(z) is taken as sent: nothing is opened beside Lambda. */
export class UnopenedValues extends PairSchedule {
  override values(shifted: bigint, opened: readonly bigint[]): bigint {
    super.values(shifted, opened);
    return 0n;
  }
}

/** Lambda and every q are opened in one sum without weights. */
export class UnweightedValues extends PairSchedule {
  override values(shifted: bigint, opened: readonly bigint[]): bigint {
    super.values(shifted, opened);
    return 1n;
  }
}

/** nu before e and q(z). */
export class EarlyValues extends PairSchedule {
  nu = 0n;

  override point(proof: Pick<SumProof, 'runningSum' | 'quotient'>): bigint {
    const z = super.point(proof);
    this.nu = this.transcript.challenge('nu');
    return z;
  }

  override values(shifted: bigint, opened: readonly bigint[]): bigint {
    super.values(shifted, opened);
    return this.nu;
  }
}

/** z before phi and Q. */
export class EarlyPairPoint extends PairSchedule {
  z = 0n;

  override pairs(blocks: readonly Pick<BlockProof, 'p' | 'q'>[]): bigint {
    const rho = super.pairs(blocks);
    this.z = this.transcript.nonZeroChallenge('z');
    return rho;
  }

  override point(): bigint {
    return this.z;
  }
}

/** The batching challenge before the openings. */
export class EarlyPairBatch extends PairSchedule {
  weight = 0n;

  override point(proof: Pick<SumProof, 'runningSum' | 'quotient'>): bigint {
    const z = super.point(proof);
    this.weight = this.transcript.challenge('batch');
    return z;
  }

  override batch(): bigint {
    return this.weight;
  }
}

/** Verifiers that a design could have ended up with; docs/protocol.md says why it did not. */
import type { G1Point } from '../../../src/algebra/index.js';
import type { GroupProof, Proof } from '../../../src/protocol/index.js';
import type { Statement } from '../../../src/protocol/statement.js';
import { Schedule } from './schedule.js';

type SumProof = Proof['sum'];

/** No weights for tokens, outputs or modules: one of u, v, t is 1. */
export class Unweighted extends Schedule {
  constructor(statement: Statement, challenge: 'u' | 'v' | 't') {
    super(statement);
    this[challenge] = 1n;
  }
}

/** rho before D, [R] and the Groth16 proofs. */
export class EarlyForm extends Schedule {
  readonly rho = this.transcript.challenge('rho');

  override form(groups: readonly Pick<GroupProof, 'committed' | 'mask' | 'groth16'>[]): bigint {
    super.form(groups);
    return this.rho;
  }
}

/** kappa before D, [R] and S. */
export class EarlyGroupWeight extends Schedule {
  readonly kappa = this.transcript.challenge('kappa');

  override groupWeight(formValues: readonly bigint[]): bigint {
    super.groupWeight(formValues);
    return this.kappa;
  }
}

/** x alone, no second challenge. */
export class NoSecondChallenge extends Schedule {
  override response(proof: { readonly mask: G1Point; readonly maskValue: bigint }): { x: bigint; c: bigint } {
    return { x: super.response(proof).x, c: 1n };
  }
}

/** x and c before D_r and s_r. */
export class EarlyResponse extends Schedule {
  x = 0n;
  c = 0n;

  override groupWeight(formValues: readonly bigint[]): bigint {
    const kappa = super.groupWeight(formValues);
    this.x = this.transcript.challenge('x');
    this.c = this.transcript.nonZeroChallenge('c');
    return kappa;
  }

  override response(): { x: bigint; c: bigint } {
    return { x: this.x, c: this.c };
  }
}

/** Folds that do not depend on left and right. */
export class EarlyFold extends Schedule {
  readonly folds = Array.from({ length: 20 }, () => this.transcript.nonZeroChallenge('fold'));
  #round = 0;

  override fold(): bigint {
    return this.folds[this.#round++]!;
  }
}

/** z before phi and Q. */
export class EarlyPoint extends Schedule {
  z = 0n;

  override groupWeight(formValues: readonly bigint[]): bigint {
    const kappa = super.groupWeight(formValues);
    this.z = this.transcript.nonZeroChallenge('z');
    return kappa;
  }

  override point(): bigint {
    return this.z;
  }
}

/** The batching challenge before e, W and W'. */
export class EarlyBatch extends Schedule {
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

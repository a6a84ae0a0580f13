import type { G1Point } from '../../../src/algebra/index.js';
import {
  absorbFinal,
  drawBatch,
  drawFold,
  drawForm,
  drawGroupWeight,
  drawOpening,
  drawPoint,
  drawResponse,
  startTranscript,
} from '../../../src/protocol/challenges.js';
import type { GroupProof, Proof } from '../../../src/protocol/proof.js';
import type { Statement } from '../../../src/protocol/statement.js';
import type { Transcript } from '../../../src/protocol/transcript.js';
import type { Challenges, FormChallenges } from '../../reference/challenges.js';

type SumProof = Proof['sum'];

/**
 * The verifier's moves as both sides make them. Subclasses forget to absorb something, or draw too early: the
 * verifiers against which an attack works.
 */
export class Schedule {
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
  form(groups: readonly Pick<GroupProof, 'committed' | 'mask' | 'groth16'>[]): bigint {
    return drawForm(this.transcript, groups);
  }

  /** kappa */
  groupWeight(formValues: readonly bigint[]): bigint {
    return drawGroupWeight(this.transcript, formValues);
  }

  response(proof: { readonly mask: G1Point; readonly maskValue: bigint }): { x: bigint; c: bigint } {
    return drawResponse(this.transcript, proof);
  }

  fold(left: G1Point, right: G1Point): bigint {
    return drawFold(this.transcript, left, right);
  }

  final(value: bigint): void {
    absorbFinal(this.transcript, value);
  }

  /** z */
  point(proof: Pick<SumProof, 'runningSum' | 'quotient'>): bigint {
    return drawPoint(this.transcript, this.domainSize, proof);
  }

  batch(proof: Pick<SumProof, 'shifted' | 'opening' | 'shiftedOpening'>): bigint {
    drawOpening(this.transcript, proof.shifted, []);
    return drawBatch(this.transcript, proof);
  }

  /** All challenges of a finished proof. */
  replay(proof: Proof): Challenges & { readonly batch: bigint } {
    const { u, v, t } = this;
    const rho = this.form(proof.groups);
    const kappa = this.groupWeight(proof.groups.map(({ formValue }) => formValue));
    const forms = proof.groups.map(({ linearForm }): FormChallenges => {
      const { x, c } = this.response(linearForm);
      const folds = linearForm.rounds.map(({ left, right }) => this.fold(left, right));
      this.final(linearForm.final);
      return { x, c, folds };
    });
    const z = this.point(proof.sum);
    return { u, v, t, rho, kappa, forms, z, nu: 0n, batch: this.batch(proof.sum) };
  }
}

import { ZkLoraError } from '../errors.js';
import type { Logits } from './baseModel.js';
import { requireCallFits } from './callSizes.js';
import { MAX_ACTIVATION } from './deltaBound.js';
import type { ApplyStage, CutModel } from './graphModel.js';
import { replayPass } from './replayCall.js';
import { type Member, type NamedFailure, named, settle } from './setMember.js';
import type { StageInput } from './stageRunner.js';

/** Contributors whose deltas a message gives the size of. */
const MAX_SHOWN = 8;

/** A pass with the deltas of all that were asked. */
export interface MeasuredPass {
  readonly logits: Logits;
  /** See {@link SetPass.spoiled}. */
  readonly spoiled: (what: string) => ZkLoraError;
}

/** A pass in which contributors failed; it was finished without them, and its logits are of no set. */
export interface FailedPass {
  readonly failed: readonly NamedFailure[];
}

/** One contributor in one forward pass. */
export class PassPart {
  readonly apply: ApplyStage;
  /** Size of its largest delta so far, times its weight. */
  largest = 0;

  /** @throws ZkLoraError `USAGE` for more tokens than a call takes */
  constructor(
    readonly entry: Member,
    tokens: number,
  ) {
    const { member, view, session, nextCall } = entry;
    if (session === undefined) throw new ZkLoraError('INTERNAL', 'the session is not open');
    const { commitment } = member;
    requireCallFits({ inputs: view.model.inputs }, commitment.modules, tokens, view.model.stages);
    const { record } = session;
    this.apply =
      nextCall < record.callCount ? replayPass(view.model, commitment, record, nextCall) : session.pass();
  }
}

/** One forward pass with the deltas of several contributors. */
export class SetPass {
  readonly failed: NamedFailure[] = [];

  /** @param onFailed leaves contributors out of what follows, or ends the pass */
  constructor(
    private readonly model: CutModel,
    private readonly parts: readonly PassPart[],
    private readonly onFailed: (failed: readonly NamedFailure[]) => void,
  ) {}

  /** Sums of the deltas of all that are asked for a stage, each times its weight. */
  async apply(stage: number, given: readonly StageInput[]): Promise<Map<number, Float32Array>> {
    const inputs = this.within(given);
    const asked = this.parts.filter(
      ({ entry }) => entry.failure === undefined && entry.view.ownStage(stage) !== undefined,
    );
    const deltas = new Map<Member, ReadonlyMap<number, Float32Array>>();
    const failures = await settle(
      asked.map(({ entry }) => entry),
      async (entry) => {
        const part = asked.find((candidate) => candidate.entry === entry)!;
        deltas.set(entry, await part.apply(entry.view.ownStage(stage)!, entry.view.ownInputs(inputs)));
      },
    );
    if (failures.length > 0) this.onFailed(failures);
    this.failed.push(...failures);
    return this.sumOf(inputs, deltas);
  }

  /**
   * The error for numbers that left all bounds, although every delta kept its own. They are somebody's in particular only
   * when one contributor alone was in the pass.
   */
  spoiled(what: string): ZkLoraError {
    const [first, ...others] = [...this.parts].sort((a, b) => b.largest - a.largest);
    if (others.length === 0) {
      const message = `${what} with the adapter's deltas: the adapter does not fit this model, or its contributor lies`;
      return named(first!.entry, new ZkLoraError('BASE_MODEL_MISMATCH', message)) as ZkLoraError;
    }
    const sizes = this.parts.length > MAX_SHOWN ? ` (${MAX_SHOWN} of ${this.parts.length})` : '';
    const shown = [first!, ...others]
      .slice(0, MAX_SHOWN)
      .map(({ entry, largest }) => `${entry.member.name} ${largest.toPrecision(2)}`);
    return new ZkLoraError(
      'BASE_MODEL_MISMATCH',
      `${what} with the deltas of several contributors; it may be any of them. The largest of each in this pass${sizes}: ` +
        `${shown.join(', ')}. Evaluate again without the one that you suspect, or each alone`,
    );
  }

  /**
   * Activations that can be asked about. Once somebody failed, the pass is only finished for the others' records: its
   * deltas so far may be what drove the model there, and what is beyond becomes 0.
   *
   * @throws ZkLoraError `BASE_MODEL_MISMATCH`
   */
  private within(inputs: readonly StageInput[]): readonly StageInput[] {
    const isWithin = (value: number): boolean => Math.abs(value) < MAX_ACTIVATION;
    if (inputs.every(({ values }) => values.every(isWithin))) return inputs;
    if (this.failed.length === 0) throw this.spoiled("the model's activations pass all bounds");
    return inputs.map((input) => ({ ...input, values: input.values.map((x) => (isWithin(x) ? x : 0)) }));
  }

  private sumOf(
    inputs: readonly StageInput[],
    deltas: ReadonlyMap<Member, ReadonlyMap<number, Float32Array>>,
  ): Map<number, Float32Array> {
    const sums = new Map<number, Float64Array>();
    for (const { input, tokens } of inputs) {
      for (const module of this.model.inputs[input]!) {
        sums.set(module, new Float64Array(tokens * this.model.modules[module]!.outFeatures));
      }
    }
    for (const part of this.parts) {
      const { member, view } = part.entry;
      for (const [own, delta] of deltas.get(part.entry) ?? []) {
        const sum = sums.get(view.unionModule[own]!)!;
        for (let i = 0; i < sum.length; i += 1) {
          const value = member.weight * delta[i]!;
          part.largest = Math.max(part.largest, Math.abs(value));
          sum[i]! += value;
        }
      }
    }
    return new Map([...sums].map(([module, sum]) => [module, Float32Array.from(sum)]));
  }
}

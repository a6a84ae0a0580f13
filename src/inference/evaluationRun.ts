import { ZkLoraError } from '../errors.js';
import type { ContributorSet } from './contributorSet.js';
import type { EvaluateSetOptions } from './evaluate.js';
import type { EvaluationEntry, EvaluationJournal } from './evaluationJournal.js';
import { type Pass, passes, passIds, scorePass } from './loss.js';
import type { NamedFailure } from './setMember.js';
import type { MeasuredPass } from './setPass.js';

interface RunOptions
  extends Pick<EvaluateSetOptions, 'model' | 'windows' | 'batch' | 'resume' | 'onProgress'> {
  readonly onFailure: 'stop' | 'drop';
  readonly set: ContributorSet;
}

/** Sums of losses by window, of a measurement under way. */
class Part {
  readonly sums: Float64Array;
  private passesDone = 0;

  constructor(
    private readonly plan: readonly Pass[],
    windows: number,
  ) {
    this.sums = new Float64Array(windows);
  }

  get next(): Pass | undefined {
    return this.plan[this.passesDone];
  }

  add(sums: Float64Array): void {
    this.sums.set(sums, this.next!.first);
    this.passesDone += 1;
  }

  restart(): void {
    this.passesDone = 0;
  }
}

/** One run of an evaluation: what earlier runs measured is taken from the journal. */
export class EvaluationRun {
  private readonly base: Part;
  private readonly adapter: Part;

  /**
   * @param entries of the journal, from earlier runs
   * @throws ZkLoraError `EVALUATION_MALFORMED` for a journal that no run of these passes writes, `USAGE`
   */
  constructor(
    private readonly options: RunOptions,
    entries: readonly EvaluationEntry[],
  ) {
    const { windows, batch, set } = options;
    const plan = passes(windows.count, batch);
    this.base = new Part(plan, windows.count);
    this.adapter = new Part(plan, windows.count);
    for (const entry of entries) {
      if (entry.kind === 'pass') {
        const part = this[entry.part];
        const { next } = part;
        if (next?.first !== entry.first || next.size !== entry.sums.length) throw outOfOrder();
        part.add(Float64Array.from(entry.sums));
        if (entry.part === 'adapter') set.skipPass();
      } else {
        for (const { name, code, message } of entry.members) {
          if (!set.active.includes(name)) throw outOfOrder();
          set.drop(name, { code, message });
        }
        if (set.active.length === 0) throw outOfOrder();
        if (entry.inPass) set.skipPass();
        this.adapter.restart();
      }
    }
  }

  /** Whether all passes were made in runs before this one: who fails now gave its part, and stays in the losses. */
  private get isMeasured(): boolean {
    return this.adapter.next === undefined;
  }

  /**
   * Leaves contributors out that could not be reached, or could not open a session.
   *
   * @throws ZkLoraError the first failure, with `stop` or when nobody is left
   */
  require(failed: readonly NamedFailure[]): void {
    if (failed.length === 0) return;
    const { set, onFailure } = this.options;
    if (onFailure === 'stop') throw set.stopped(failed);
    if (this.isMeasured) return;
    for (const { name, failure } of failed) set.drop(name, failure);
    if (set.active.length === 0) throw set.stopped(failed);
  }

  /**
   * Measures what is left to measure.
   *
   * @param unreached {@link require}d already, to be noted
   * @returns sums by window, in nats; `adapter` with those contributors that are active at the end. `late`: who is in the
   * losses, and cannot be asked any more
   */
  async measure(
    journal: EvaluationJournal,
    unreached: readonly NamedFailure[],
  ): Promise<{ base: Float64Array; adapter: Float64Array; late: readonly NamedFailure[] }> {
    const { model, windows, set, resume } = this.options;
    const { isMeasured } = this;
    if (!isMeasured) await this.note(journal, unreached, false);
    for (let pass = this.base.next; pass !== undefined; pass = this.base.next) {
      const logits = await model.forwardBase(passIds(windows, pass), pass.size, windows.sequence);
      const sums = scorePass(logits, windows, pass);
      await journal.pass('base', pass.first, sums);
      this.done('base', pass, sums);
    }
    const unopened = await set.open(resume === true);
    this.require(unopened);
    if (!isMeasured) await this.note(journal, unopened, false);
    for (let pass = this.adapter.next; pass !== undefined; pass = this.adapter.next) {
      await this.adapterPass(journal, pass);
    }
    const late = isMeasured ? [...unreached, ...unopened] : [];
    return { base: this.base.sums, adapter: this.adapter.sums, late };
  }

  private async adapterPass(journal: EvaluationJournal, pass: Pass): Promise<void> {
    const { set, windows, onFailure } = this.options;
    const result = await set.forward(passIds(windows, pass), pass.size, windows.sequence, onFailure);
    if ('failed' in result) {
      if (set.active.length === 0) throw set.stopped(result.failed);
      await this.note(journal, result.failed, true);
      return;
    }
    const sums = this.score(result, pass);
    await journal.pass('adapter', pass.first, sums);
    this.done('adapter', pass, sums);
  }

  /** The base model gave losses for the same windows: where these are none, it is for the deltas. */
  private score({ logits, spoiled }: MeasuredPass, pass: Pass): Float64Array {
    try {
      return scorePass(logits, this.options.windows, pass);
    } catch (error) {
      throw error instanceof ZkLoraError ? spoiled(error.message) : error;
    }
  }

  /** Contributors that are left out: the others are measured from the start. */
  private async note(
    journal: EvaluationJournal,
    failed: readonly NamedFailure[],
    inPass: boolean,
  ): Promise<void> {
    if (failed.length === 0) return;
    await journal.drop(failed, inPass);
    this.adapter.restart();
  }

  private done(part: 'base' | 'adapter', { first, size }: Pass, sums: Float64Array): void {
    this[part].add(sums);
    this.options.onProgress?.({ part, done: first + size, total: this.options.windows.count });
  }
}

function outOfOrder(): ZkLoraError {
  return new ZkLoraError(
    'EVALUATION_MALFORMED',
    'evaluation.jsonl is not the progress of one evaluation; begin another one in a new folder',
  );
}

import { ZkLoraError } from '../errors.js';
import type { ContributorSet } from './contributorSet.js';
import type { EvaluateSetOptions } from './evaluate.js';
import type { EvaluationJournal } from './evaluationJournal.js';
import { type Pass, passes, passIds, scorePass } from './loss.js';

interface RunOptions extends Pick<EvaluateSetOptions, 'model' | 'windows' | 'batch' | 'onProgress'> {
  readonly onFailure: 'stop' | 'drop';
  readonly set: ContributorSet;
  readonly journal: EvaluationJournal;
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

  /** @throws ZkLoraError `EVALUATION_MALFORMED` for a journal that no run of these passes writes, `USAGE` */
  constructor(private readonly options: RunOptions) {
    const { windows, batch, journal, set } = options;
    const plan = passes(windows.count, batch);
    this.base = new Part(plan, windows.count);
    this.adapter = new Part(plan, windows.count);
    for (const entry of journal.entries) {
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

  /**
   * Measures what is left to measure.
   *
   * @returns sums by window, in nats; `adapter` with those contributors that are active at the end
   */
  async measure(): Promise<{ base: Float64Array; adapter: Float64Array }> {
    const { model, windows, journal } = this.options;
    for (let pass = this.base.next; pass !== undefined; pass = this.base.next) {
      const logits = await model.forwardBase(passIds(windows, pass), pass.size, windows.sequence);
      const sums = scorePass(logits, windows, pass);
      await journal.pass('base', pass.first, sums);
      this.done('base', pass, sums);
    }
    await this.openSessions();
    for (let pass = this.adapter.next; pass !== undefined; pass = this.adapter.next) {
      await this.adapterPass(pass);
    }
    return { base: this.base.sums, adapter: this.adapter.sums };
  }

  private async openSessions(): Promise<void> {
    const { set, journal, onFailure } = this.options;
    const failed = await set.open();
    if (failed.length === 0) return;
    for (const { name, failure } of failed) set.drop(name, failure);
    if (onFailure === 'stop' || set.active.length === 0) throw set.stopped(failed);
    await journal.drop(failed, false);
    this.adapter.restart();
  }

  private async adapterPass(pass: Pass): Promise<void> {
    const { set, windows, journal, onFailure } = this.options;
    const result = await set.forward(passIds(windows, pass), pass.size, windows.sequence, onFailure);
    if ('failed' in result) {
      if (set.active.length === 0) throw set.stopped(result.failed);
      await journal.drop(result.failed, true);
      this.adapter.restart();
      return;
    }
    const sums = scorePass(result, windows, pass);
    await journal.pass('adapter', pass.first, sums);
    this.done('adapter', pass, sums);
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

import { applyExact } from '../adapter/forward.js';
import type { QuantizedModule } from '../adapter/types.js';
import type { ZkLoraError } from '../errors.js';
import type { ActivationRows, SessionCall, SessionHeader } from '../protocol/session.js';
import { sessionModules } from '../protocol/session.js';
import { SessionTree } from '../protocol/sessionTree.js';
import { AnsweredJournal, requestDigest } from './answeredJournal.js';
import type { LeakageGuard } from './leakage/guard.js';
import { MAX_PENDING_BYTES } from './limits.js';
import type { SessionWriter } from './record.js';
import { refusal } from './refusal.js';
import { checkStage, decodeRows, type PendingCall, type StageRequest } from './stageRequest.js';

/** Exact integers of one module, `[tokens, outFeatures]`. */
export interface ModuleOutput {
  readonly module: number;
  readonly values: BigInt64Array;
}

/** Memory of the calls under way in all sessions. */
export class PendingMemory {
  private bytes = 0;

  /** @throws ZkLoraError `SESSION_MISMATCH` when {@link MAX_PENDING_BYTES} would be passed. */
  take(bytes: number): void {
    if (this.bytes + bytes > MAX_PENDING_BYTES) {
      throw refusal(
        'RESOURCE_EXHAUSTED',
        'SESSION_MISMATCH',
        'too many calls are under way; try again later or send fewer tokens in a call',
      );
    }
    this.bytes += bytes;
  }

  give(bytes: number): void {
    this.bytes -= bytes;
  }
}

/** An open session of a contributor: answers stages, and puts each on disk before it is answered. */
export class OpenSession {
  private readonly journal: AnsweredJournal;
  private pending: PendingCall | undefined;
  /** Digests of the requests of the last whole call, by stage. */
  private lastRequests: readonly string[] = [];
  /** Tree of the whole calls, so that a close reads none again. */
  private readonly tree: SessionTree;
  private isBrokenOff = false;

  /** @param used time of the last request */
  constructor(
    readonly record: SessionWriter,
    private readonly modules: readonly QuantizedModule[],
    private readonly memory: PendingMemory,
    public used: number,
    private readonly leakage?: LeakageGuard,
  ) {
    this.journal = new AnsweredJournal(record.dir, record.header);
    this.tree = new SessionTree(record, modules);
  }

  /**
   * Answers one stage; one at a time. It is in the journal before it is answered, and a call whose last input came
   * in is recorded before. The stages of the last call are answered again when the request is the same; an
   * answered stage of the call under way with other content breaks the session off.
   *
   * @throws ZkLoraError `SESSION_MISMATCH`, `SESSION_MALFORMED`, `LEAKAGE_BUDGET`, `FILE_UNWRITABLE`
   */
  async apply(request: StageRequest): Promise<ModuleOutput[]> {
    if (this.isBrokenOff) throw brokenOff();
    const digest = requestDigest(request);
    if (this.isRepeated(request, digest)) {
      // The weights are the same, so the integers are.
      return this.compute(request, this.decode(request));
    }
    const pending = checkStage(this.record, this.pending, this.modules, request);
    const rows = this.decode(request);
    const charge = await this.leakage?.charge(
      this.record.header,
      request,
      request.inputs.map(({ input }, i) => ({ input, x: rows[i]!.x })),
    );
    if (this.pending === undefined) {
      this.memory.take(pending.bytes);
      this.pending = pending;
    }
    try {
      const outputs = await this.compute(request, rows);
      await charge?.written;
      const { call, stage, tokens } = request;
      const inputs = request.inputs.map(({ input }) => input);
      await this.journal.append({ call, stage, tokens, inputs, request: digest });
      for (const [i, input] of inputs.entries()) pending.inputs[input] = rows[i]!;
      for (const { module, values } of outputs) pending.outputs.set(module, values);
      pending.requests.push(digest);
      const whole = wholeCall(this.record.header, pending);
      if (whole !== undefined) {
        await this.record.append(whole);
        this.tree.add(whole);
        this.lastRequests = pending.requests;
        this.dropCall();
      }
      return outputs;
    } catch (error) {
      // What is on disk may lack this stage, or hold a part of it: nothing may follow.
      this.breakOff();
      throw error;
    }
  }

  /** Session digest of the whole calls. */
  digest(): Uint8Array {
    return this.tree.digest();
  }

  /** Lets go of the call under way. */
  dropCall(): void {
    if (this.pending !== undefined) this.memory.give(this.pending.bytes);
    this.pending = undefined;
  }

  /** @throws ZkLoraError `SESSION_MISMATCH` for an answered stage with other content */
  private isRepeated({ call, stage }: StageRequest, digest: string): boolean {
    const { callCount } = this.record;
    if (call === callCount - 1) return this.lastRequests[stage] === digest;
    const answered = call === callCount ? this.pending?.requests[stage] : undefined;
    if (answered === undefined) return false;
    if (answered === digest) return true;
    this.breakOff();
    throw brokenOff();
  }

  private breakOff(): void {
    this.isBrokenOff = true;
    this.dropCall();
  }

  private decode({ tokens, inputs }: StageRequest): ActivationRows[] {
    return inputs.map((part) => decodeRows(this.record.header, this.modules, tokens, part));
  }

  /** Deltas of the modules of a stage, ascending by module. @param rows of each input of the request */
  private async compute(
    { tokens, inputs }: StageRequest,
    rows: readonly ActivationRows[],
  ): Promise<ModuleOutput[]> {
    const outputs: ModuleOutput[] = [];
    for (const [i, { input }] of inputs.entries()) {
      for (const module of this.record.header.inputs[input]!) {
        outputs.push({ module, values: applyExact(this.modules[module]!, rows[i]!.x, tokens) });
        // Other sessions get their turn between the products.
        await new Promise(setImmediate);
      }
    }
    return outputs.sort((a, b) => a.module - b.module);
  }
}

/** The pending call once every input of the session has come in. */
function wholeCall(header: SessionHeader, pending: PendingCall): SessionCall | undefined {
  const inputs = pending.inputs.filter((rows) => rows !== undefined);
  if (inputs.length < pending.inputs.length) return undefined;
  const outputs = sessionModules(header).map((module) => pending.outputs.get(module)!);
  return { tokens: pending.tokens, inputs, outputs };
}

function brokenOff(): ZkLoraError {
  return refusal(
    'FAILED_PRECONDITION',
    'SESSION_MISMATCH',
    'the session is broken off: an answered stage came again with other content; close it and open another',
  );
}

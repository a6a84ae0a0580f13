import type { AdapterCommitment } from '../adapter/types.js';
import { type ErrorCode, ZkLoraError } from '../errors.js';
import type { BaseModel, Logits } from './baseModel.js';
import { requireCallFits } from './callSizes.js';
import type { ContributorClient } from './client.js';
import { type ContributorView, viewOf } from './contributorView.js';
import type { ApplyStage } from './graphModel.js';
import { isOfContributor, ofOwnRecord } from './origin.js';
import { hasSessionRecord, openSessionRecord, type SessionRecord } from './record.js';
import { type AdapterSession, checkBaseModel, openAdapterSession } from './recordedSession.js';
import { replayPass } from './replayCall.js';
import type { KeyPair } from './signatures.js';
import type { StageInput } from './stageRunner.js';

/** Contributors of one evaluation: each has a session, a stream and a proof of its own. */
export const MAX_CONTRIBUTORS = 64;

/** Far beyond activations of models that work, far enough from float32's end for what is computed with them. */
const MAX_ACTIVATION = 2 ** 100;

/** One adapter of a set, and who serves it. */
export interface SetMember {
  /** Names the contributor in errors and reports. */
  readonly name: string;
  /** The pinned commitment. */
  readonly commitment: AdapterCommitment;
  /** Its deltas times this are added; finite. */
  readonly weight: number;
  /** Folder for the record of its session. */
  readonly dir: string;
  /** Connects, or gives a client at hand; the caller closes it. */
  readonly connect: () => Promise<ContributorClient>;
  /** The user's key; a fresh one without it. */
  readonly user?: KeyPair;
}

/** Why a contributor is no longer asked. */
export interface MemberFailure {
  /** An {@link ErrorCode}, or one that an earlier version wrote. */
  readonly code: string;
  readonly message: string;
}

/** A contributor of an evaluation under way. */
interface Member {
  readonly member: SetMember;
  readonly view: ContributorView;
  client: ContributorClient | undefined;
  session: AdapterSession | undefined;
  failure: MemberFailure | undefined;
  /** Number of the next pass in its session; below the record's number of calls while passes are repeated from it. */
  nextCall: number;
}

export interface NamedFailure {
  readonly name: string;
  readonly failure: MemberFailure;
}

/** A pass in which contributors failed; it was finished without them, and its logits are of no set. */
export interface FailedPass {
  readonly failed: readonly NamedFailure[];
}

/**
 * Several contributors on one base model. Deltas of one module add up, each times its contributor's weight, in the
 * order of the set, in float64, and are rounded to float32 once.
 */
export class ContributorSet {
  private readonly members: readonly Member[];

  /**
   * @param model opened for the modules of all members, see `unionModules`
   * @throws ZkLoraError `USAGE`, `BASE_MODEL_MISMATCH`
   */
  constructor(
    private readonly model: BaseModel,
    members: readonly SetMember[],
  ) {
    if (members.length === 0 || members.length > MAX_CONTRIBUTORS) {
      throw new ZkLoraError('USAGE', `a set has 1 to ${MAX_CONTRIBUTORS} contributors`);
    }
    if (new Set(members.map(({ name }) => name)).size !== members.length) {
      throw new ZkLoraError('USAGE', 'two contributors have one name');
    }
    this.members = members.map((member) => {
      if (!Number.isFinite(member.weight)) throw new ZkLoraError('USAGE', 'a weight is a finite number');
      const view = viewOf(model, member.commitment.modules);
      try {
        checkBaseModel({ model: view.model, commitment: member.commitment });
      } catch (error) {
        throw this.named(members.length, member.name, error);
      }
      return { member, view, client: undefined, session: undefined, failure: undefined, nextCall: 0 };
    });
  }

  /** Names of the contributors whose deltas enter the losses. */
  get active(): string[] {
    return this.live().map(({ member }) => member.name);
  }

  failureOf(name: string): MemberFailure | undefined {
    return this.of(name).failure;
  }

  sessionOf(name: string): AdapterSession | undefined {
    return this.of(name).session;
  }

  /**
   * The record of a contributor's session; of an earlier run, too, for one in the losses that cannot be asked any more.
   * Undefined where none was opened.
   *
   * @throws ZkLoraError as `openSessionRecord`
   */
  async recordOf(name: string): Promise<SessionRecord | undefined> {
    const { member, session, failure } = this.of(name);
    if (session !== undefined || failure !== undefined) return session?.record;
    const { dir } = member;
    return (await hasSessionRecord(dir)) ? ofOwnRecord(dir, () => openSessionRecord(dir)) : undefined;
  }

  /** Leaves a contributor out from now on; its session stays, to be closed with its whole calls. */
  drop(name: string, failure: MemberFailure): void {
    this.of(name).failure = failure;
  }

  /** Says that a pass has been made by all that are asked, in a run before this one. */
  skipPass(): void {
    for (const member of this.live()) member.nextCall += 1;
  }

  /** Connects to all at the same time; returns those that failed. */
  connect(): Promise<NamedFailure[]> {
    return this.settle(this.live(), async (entry) => {
      entry.client = await entry.member.connect();
    });
  }

  /**
   * Opens the sessions of all that are connected.
   *
   * @param resume goes on with those that an earlier run opened
   * @returns those that failed
   */
  async open(resume: boolean): Promise<NamedFailure[]> {
    const connected = this.live().filter(({ client }) => client !== undefined);
    const failed = await this.settle(connected, (entry) => this.openSession(entry, resume));
    if (resume) await Promise.all(this.members.map((entry) => this.reopenDropped(entry)));
    return failed;
  }

  /**
   * One forward pass with the deltas of all that are asked; each records it in its own session.
   *
   * A contributor that fails does not end the pass: it is finished without its deltas, so that the call is whole for
   * everybody else, and what failed is returned in place of logits. With `stop` the pass ends there, and may be made
   * again.
   *
   * @throws ZkLoraError the user's own failures; with `stop` also a contributor's
   */
  async forward(
    ids: BigInt64Array,
    batch: number,
    sequence: number,
    onFailure: 'stop' | 'drop',
  ): Promise<Logits | FailedPass> {
    const passes = this.live().map((entry) => ({ entry, apply: this.passOf(entry, batch * sequence) }));
    const failed: NamedFailure[] = [];
    const apply: ApplyStage = async (stage, inputs) => {
      this.requireFinite(inputs);
      const asked = passes.filter(
        ({ entry }) => entry.failure === undefined && entry.view.ownStage(stage) !== undefined,
      );
      const deltas = new Map<Member, ReadonlyMap<number, Float32Array>>();
      const failures = await this.settle(
        asked.map(({ entry }) => entry),
        async (entry) => {
          const pass = passes.find((candidate) => candidate.entry === entry)!;
          const answers = await pass.apply(entry.view.ownStage(stage)!, entry.view.ownInputs(inputs));
          deltas.set(entry, answers);
        },
      );
      if (failures.length > 0 && onFailure === 'stop') throw this.stopped(failures);
      for (const { name, failure } of failures) this.drop(name, failure);
      failed.push(...failures);
      return this.combine(inputs, deltas);
    };
    const logits = await this.model.forward(ids, batch, sequence, apply);
    for (const { entry } of passes) entry.nextCall += 1;
    return failed.length > 0 ? { failed } : logits;
  }

  /** Closes the sessions that hold a call, of dropped contributors too; returns those that failed. */
  async close(): Promise<NamedFailure[]> {
    const opened = this.members.filter(({ session }) => session !== undefined);
    const toClose = opened.filter(
      ({ session }) => session!.record.closing === null && session!.record.callCount > 0,
    );
    const failed = await this.settle(toClose, async ({ session }) => {
      await session!.close();
    });
    // what is not closed by now stays as it is; its folder is free again
    await this.abandon();
    return failed;
  }

  /** Ends what is under way; records stay at their last whole calls. */
  async abandon(): Promise<void> {
    for (const { session } of this.members) await session?.abandon();
  }

  /** Turns failures into the error of an evaluation that ends with them. */
  stopped(failed: readonly NamedFailure[]): ZkLoraError {
    const { name, failure } = failed[0]!;
    return this.named(
      this.members.length,
      name,
      new ZkLoraError(failure.code as ErrorCode, failure.message),
    ) as ZkLoraError;
  }

  private async openSession(entry: Member, resume: boolean): Promise<void> {
    const { member, view, client } = entry;
    if (client === undefined) throw new ZkLoraError('INTERNAL', 'the contributor is not connected');
    const { commitment, dir, user } = member;
    entry.session = await openAdapterSession({
      model: view.model,
      client,
      commitment,
      dir,
      resume,
      leastCalls: entry.nextCall,
      ...(user && { user }),
    });
  }

  /** What a contributor gave before it was dropped can be closed and proven, if it answers again. */
  private async reopenDropped(entry: Member): Promise<void> {
    if (entry.failure === undefined || entry.session !== undefined) return;
    if (!(await hasSessionRecord(entry.member.dir))) return;
    try {
      entry.client ??= await entry.member.connect();
      entry.nextCall = 0;
      await this.openSession(entry, true);
    } catch (error) {
      if (!(error instanceof ZkLoraError)) throw error;
    }
  }

  private live(): Member[] {
    return this.members.filter(({ failure }) => failure === undefined);
  }

  private of(name: string): Member {
    const found = this.members.find(({ member }) => member.name === name);
    if (found === undefined) throw new ZkLoraError('INTERNAL', 'there is no such contributor');
    return found;
  }

  private passOf({ member, view, session, nextCall }: Member, tokens: number): ApplyStage {
    if (session === undefined) throw new ZkLoraError('INTERNAL', 'the session is not open');
    const { commitment } = member;
    requireCallFits({ inputs: view.model.inputs }, commitment.modules, tokens, view.model.stages);
    const { record } = session;
    return nextCall < record.callCount
      ? replayPass(view.model, commitment, record, nextCall)
      : session.pass();
  }

  /** All at the same time, and all waited for; what is no contributor's failure is thrown. */
  private async settle(
    members: readonly Member[],
    work: (member: Member) => Promise<void>,
  ): Promise<NamedFailure[]> {
    const outcomes = await Promise.allSettled(members.map(work));
    return outcomes.flatMap((outcome, i) => {
      if (outcome.status === 'fulfilled') return [];
      const { name } = members[i]!.member;
      const reason: unknown = outcome.reason;
      if (!isOfContributor(reason)) throw this.named(this.members.length, name, reason);
      return [{ name, failure: { code: reason.code, message: reason.message } }];
    });
  }

  private combine(
    inputs: readonly StageInput[],
    deltas: ReadonlyMap<Member, ReadonlyMap<number, Float32Array>>,
  ): Map<number, Float32Array> {
    const sums = new Map<number, Float64Array>();
    for (const { input, tokens } of inputs) {
      for (const module of this.model.inputs[input]!) {
        sums.set(module, new Float64Array(tokens * this.model.modules[module]!.outFeatures));
      }
    }
    for (const entry of this.members) {
      for (const [own, delta] of deltas.get(entry) ?? []) {
        const sum = sums.get(entry.view.unionModule[own]!)!;
        const { weight } = entry.member;
        for (let i = 0; i < sum.length; i += 1) sum[i]! += weight * delta[i]!;
      }
    }
    return new Map([...sums].map(([module, sum]) => [module, Float32Array.from(sum)]));
  }

  /**
   * Numbers that leave float32's range are nobody's in particular: every delta came in its own bounds.
   *
   * @throws ZkLoraError `BASE_MODEL_MISMATCH`
   */
  private requireFinite(inputs: readonly StageInput[]): void {
    if (inputs.every(({ values }) => values.every((value) => Math.abs(value) < MAX_ACTIVATION))) return;
    throw new ZkLoraError(
      'BASE_MODEL_MISMATCH',
      `the model's activations pass all bounds with the deltas of ${this.active.join(', ')}; evaluate each alone to ` +
        'see whose',
    );
  }

  private named(members: number, name: string, error: unknown): unknown {
    if (members === 1 || !(error instanceof ZkLoraError)) return error;
    const { code, message, details } = error;
    return new ZkLoraError(code, `contributor ${name}: ${message}`, {
      details: { ...details, contributor: name },
      cause: error,
    });
  }
}

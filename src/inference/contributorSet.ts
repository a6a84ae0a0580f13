import { type ErrorCode, ZkLoraError } from '../errors.js';
import type { BaseModel } from './baseModel.js';
import { viewOf } from './contributorView.js';
import { requireBoundedGain } from './deltaBound.js';
import { ofOwnRecord } from './origin.js';
import { hasSessionRecord, openSessionRecord, type SessionRecord } from './record.js';
import { type AdapterSession, checkBaseModel, openAdapterSession } from './recordedSession.js';
import {
  type Member,
  type MemberFailure,
  type NamedFailure,
  named,
  type SetMember,
  settle,
} from './setMember.js';
import { type FailedPass, type MeasuredPass, PassPart, SetPass } from './setPass.js';

/** Contributors of one evaluation: each has a session, a stream and a proof of its own. */
export const MAX_CONTRIBUTORS = 64;

/**
 * Several contributors on one base model. Deltas of one module add up, each times its contributor's weight, in the
 * order of the set, in float64, and are rounded to float32 once.
 */
export class ContributorSet {
  private readonly members: readonly Member[];

  /**
   * @param model opened for the modules of all members, see `unionModules`
   * @throws ZkLoraError `USAGE`, `BASE_MODEL_MISMATCH`, `ADAPTER_OVERFLOW` for an adapter whose deltas could pass float32
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
    const isAlone = members.length === 1;
    this.members = members.map((member) => {
      if (!Number.isFinite(member.weight)) throw new ZkLoraError('USAGE', 'a weight is a finite number');
      const view = viewOf(model, member.commitment.modules);
      try {
        checkBaseModel({ model: view.model, commitment: member.commitment });
        requireBoundedGain(member.commitment, member.weight);
      } catch (error) {
        throw named({ member, isAlone }, error);
      }
      return {
        member,
        view,
        isAlone,
        client: undefined,
        session: undefined,
        failure: undefined,
        nextCall: 0,
      };
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
    return settle(this.live(), async (entry) => {
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
    const failed = await settle(connected, (entry) => this.openSession(entry, resume));
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
   * @throws ZkLoraError the user's own failures, numbers that pass all bounds; with `stop` also a contributor's
   */
  async forward(
    ids: BigInt64Array,
    batch: number,
    sequence: number,
    onFailure: 'stop' | 'drop',
  ): Promise<MeasuredPass | FailedPass> {
    const parts = this.live().map((entry) => new PassPart(entry, batch * sequence));
    const pass = new SetPass(this.model, parts, (failed) => {
      if (onFailure === 'stop') throw this.stopped(failed);
      for (const { name, failure } of failed) this.drop(name, failure);
    });
    const logits = await this.model.forward(ids, batch, sequence, (stage, inputs) =>
      pass.apply(stage, inputs),
    );
    for (const { entry } of parts) entry.nextCall += 1;
    return pass.failed.length > 0
      ? { failed: pass.failed }
      : { logits, spoiled: (what) => pass.spoiled(what) };
  }

  /** Closes the sessions that hold a call, of dropped contributors too; returns those that failed. */
  async close(): Promise<NamedFailure[]> {
    const opened = this.members.filter(({ session }) => session !== undefined);
    const toClose = opened.filter(
      ({ session }) => session!.record.closing === null && session!.record.callCount > 0,
    );
    const failed = await settle(toClose, async ({ session }) => {
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
    return named(this.of(name), new ZkLoraError(failure.code as ErrorCode, failure.message)) as ZkLoraError;
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
}

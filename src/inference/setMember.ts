import type { AdapterCommitment } from '../adapter/types.js';
import { ZkLoraError } from '../errors.js';
import type { ContributorClient } from './client.js';
import type { ContributorView } from './contributorView.js';
import { isOfContributor } from './origin.js';
import type { AdapterSession } from './recordedSession.js';
import type { KeyPair } from './signatures.js';

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

export interface NamedFailure {
  readonly name: string;
  readonly failure: MemberFailure;
}

/** A contributor of an evaluation under way. */
export interface Member {
  readonly member: SetMember;
  readonly view: ContributorView;
  /** Whether nobody else is in the set, so that errors need no name. */
  readonly isAlone: boolean;
  client: ContributorClient | undefined;
  session: AdapterSession | undefined;
  failure: MemberFailure | undefined;
  /** Number of the next pass in its session; below the record's number of calls while passes are repeated from it. */
  nextCall: number;
}

/** All at the same time, and all waited for; what is no contributor's failure is thrown. */
export async function settle(
  members: readonly Member[],
  work: (member: Member) => Promise<void>,
): Promise<NamedFailure[]> {
  const outcomes = await Promise.allSettled(members.map(work));
  return outcomes.flatMap((outcome, i) => {
    if (outcome.status === 'fulfilled') return [];
    const reason: unknown = outcome.reason;
    if (!isOfContributor(reason)) throw named(members[i]!, reason);
    return [{ name: members[i]!.member.name, failure: { code: reason.code, message: reason.message } }];
  });
}

/** The same error with the contributor's name in it. */
export function named(
  { member: { name }, isAlone }: Pick<Member, 'isAlone'> & { readonly member: { readonly name: string } },
  error: unknown,
): unknown {
  if (isAlone || !(error instanceof ZkLoraError)) return error;
  const { code, message, details } = error;
  return new ZkLoraError(code, `contributor ${name}: ${message}`, {
    details: { ...details, contributor: name },
    cause: error,
  });
}

/** Verification of an evaluation with several contributors. Imports no prover and no file system. */
import { ZkLoraError } from '../errors.js';
import { type BatchItem, type BatchVerdict, type VerifyBatchOptions, verifyBatch } from './verifyBatch.js';

/** One contributor's session and proof, with the verifier's own data about it. */
export interface SetItem extends BatchItem {
  readonly name: string;
}

/** Arguments of {@link verifySet}. */
export interface VerifySetOptions extends Omit<VerifyBatchOptions, 'items'> {
  /** Each with the commitment that the verifier pinned; all for one base model. */
  readonly members: readonly SetItem[];
}

/** Verdict on a set. */
export interface SetVerdict {
  /** Whether every member is valid. */
  readonly valid: boolean;
  /** In the order of the members. */
  readonly members: readonly { readonly name: string; readonly verdict: BatchVerdict }[];
}

/**
 * Verifies the sessions of several contributors of one evaluation: a verdict for each, and one in all. A member that
 * is invalid does not change the verdicts on the others.
 *
 * It says that each contributor's deltas came from its committed weights. Which weight the user gave to them is not
 * recorded in any session.
 *
 * @throws ZkLoraError `USAGE` for no members or a name that two have, `BASE_MODEL_MISMATCH` for pinned commitments to
 * adapters of different base models, and what {@link verifyBatch} throws about the verifier's parameters.
 * @example
 * const { valid, members } = await verifySet({ engine, parameters, verificationKeys, members });
 * for (const { name, verdict } of members) if (!verdict.valid) console.error(name, verdict.reason);
 */
export async function verifySet({ members, ...options }: VerifySetOptions): Promise<SetVerdict> {
  if (new Set(members.map(({ name }) => name)).size !== members.length) {
    throw new ZkLoraError('USAGE', 'two members of the set have one name');
  }
  requireOneBase(members.map(({ name, adapter }) => ({ name, commitment: adapter })));
  const { valid, verdicts } = await verifyBatch({ ...options, items: members });
  return { valid, members: members.map(({ name }, i) => ({ name, verdict: verdicts[i]! })) };
}

/** @throws ZkLoraError `BASE_MODEL_MISMATCH` */
export function requireOneBase(
  members: readonly { readonly name: string; readonly commitment: { readonly baseDigest: string } }[],
): void {
  const [first] = members;
  const other = members.find(({ commitment }) => commitment.baseDigest !== first?.commitment.baseDigest);
  if (first === undefined || other === undefined) return;
  throw new ZkLoraError(
    'BASE_MODEL_MISMATCH',
    `the adapters of ${first.name} and ${other.name} were registered for different base models`,
  );
}

/** Verification of many proofs with one product of pairings. Imports no prover and no file system. */
import { type Engine, Fr, PairingProduct, randomScalar } from '../algebra/index.js';
import { type ErrorCode, ZkLoraError } from '../errors.js';
import { MergedTerms } from './mergedTerms.js';
import { addEquation } from './sumVerify.js';
import {
  checkProof,
  type InvalidReason,
  type ReadProof,
  readProof,
  type VerificationResult,
  VerifierCache,
  type VerifyOptions,
} from './verify.js';

/** Proof files in one batch: of each, its terms are kept until the end, a few MB for the largest adapters. */
export const MAX_BATCH_PROOFS = 1024;

/** One proof file of a batch, with the verifier's own data about it. */
export type BatchItem = Pick<VerifyOptions, 'adapter' | 'session' | 'proof' | 'registration'>;

/** Arguments of {@link verifyBatch}. */
export interface VerifyBatchOptions
  extends Pick<
    VerifyOptions,
    'engine' | 'parameters' | 'verificationKeys' | 'allowDevelopmentParameters' | 'rankCheck'
  > {
  /** Any adapters and sessions, all under the one parameter set. */
  readonly items: readonly BatchItem[];
}

/** Verdict on one item; what `verifyProof` throws for an item without the right form is a reason here. */
export type BatchVerdict =
  | VerificationResult
  | { readonly valid: false; readonly reason: InvalidReason | ErrorCode; readonly message: string };

/** Verdict on a batch. */
export interface BatchResult {
  /** Whether every item is valid. */
  readonly valid: boolean;
  /** One verdict for each item, in their order; where the batch does not hold, each item is checked alone. */
  readonly verdicts: readonly BatchVerdict[];
}

/** Codes that speak of one item, not of the verifier's parameters or of a bug. */
const ITEM_CODES: readonly ErrorCode[] = [
  'COMMITMENT_MALFORMED',
  'PROOF_MALFORMED',
  'SESSION_MALFORMED',
  'STATEMENT_INVALID',
];

/**
 * Verifies many proof files, of any adapters and sessions under one parameter set, with one product of pairings.
 *
 * Every check of `verifyProof` but the equations is made item by item. Then the equations of all proofs, each proof
 * weighted with a fresh random scalar from the operating system, drawn after all proofs are read, are checked
 * together. If one proof does not hold, the product is one for at most one of the R - 1 values of its weight: the
 * batch accepts what an item by item verification refuses with probability at most 1/(R - 1). docs/protocol.md,
 * "Many proofs at once".
 *
 * @throws ZkLoraError `USAGE` for an empty batch or more than {@link MAX_BATCH_PROOFS} items, and what concerns the
 * verifier's own parameters: `PARAMETERS_MALFORMED`, `PARAMETERS_MISMATCH`, `FILE_NOT_FOUND`, `FILE_UNREADABLE`
 * @example
 * const { valid, verdicts } = await verifyBatch({ engine, parameters, verificationKeys, items });
 * verdicts.forEach((verdict, i) => { if (!verdict.valid) console.error(i, verdict.reason, verdict.message); });
 */
export async function verifyBatch(options: VerifyBatchOptions): Promise<BatchResult> {
  const { items, engine } = options;
  if (items.length < 1 || items.length > MAX_BATCH_PROOFS) {
    throw new ZkLoraError('USAGE', `a batch has 1 to ${MAX_BATCH_PROOFS} proofs, not ${items.length}`);
  }
  const cache = new VerifierCache();
  const read: (ReadProof | BatchVerdict)[] = [];
  const { items: _, ...own } = options;
  for (const { adapter, session, proof, registration } of items) {
    // nothing else of an item: what the verifier demands must not be replaced by it
    const item = { adapter, session, proof, ...(registration && { registration }) };
    read.push(await readItem({ ...own, ...item }, cache));
  }

  const open = read.filter((entry) => 'checks' in entry);
  const weights = open.flatMap(({ checks }) => checks.map(() => randomScalar()));
  const together = await holdTogether(engine, open, weights);
  const verdicts: BatchVerdict[] = [];
  for (const entry of read) {
    if (!('checks' in entry)) verdicts.push(entry);
    else verdicts.push(together ? entry.verdict : await checkProof(engine, entry));
  }
  return { valid: verdicts.every(({ valid }) => valid), verdicts };
}

async function readItem(options: VerifyOptions, cache: VerifierCache): Promise<ReadProof | BatchVerdict> {
  try {
    return await readProof(options, cache);
  } catch (error) {
    if (!(error instanceof ZkLoraError) || !ITEM_CODES.includes(error.code)) throw error;
    return { valid: false, reason: error.code, message: error.message };
  }
}

/**
 * Whether the product over all proofs of (product of its equations, weighted by its own challenge) ^ weight is one.
 *
 * @param weights one for each proof of each file; they must be unknown to whoever made the proofs
 */
export async function holdTogether(
  engine: Engine,
  read: readonly ReadProof[],
  weights: readonly bigint[],
): Promise<boolean> {
  const terms = new MergedTerms(engine);
  read
    .flatMap(({ checks }) => checks)
    .forEach(({ equations, batch }, i) => {
      let weight = weights[i]!;
      for (const equation of equations) {
        addEquation(equation, terms, weight);
        weight = Fr.mul(weight, batch);
      }
    });
  const product = new PairingProduct(engine);
  terms.addTo(product);
  return product.isOne();
}

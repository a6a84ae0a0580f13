import type { Address } from 'viem';
import { z } from 'zod';
import { bytesToHex, canonicalJson, labelledSha256 } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { parseJsonText } from '../jsonText.js';
import { address, decimal } from './hex.js';
import { MAX_WINDOW_SECONDS, MIN_WINDOW_SECONDS } from './limits.js';

/** Accounts whose receipts count: a handful. */
const MAX_EVALUATORS = 64;
const MAX_POLICY_BYTES = 16_384;

const windowSeconds = z.number().int().min(MIN_WINDOW_SECONDS).max(MAX_WINDOW_SECONDS);

const schema = z.strictObject({
  format: z.literal('zklora/pipeline-policy/v1'),
  /** Nats by which the adapter has to lower the mean loss. */
  minimumImprovement: z.number().min(0).max(1e6),
  /** Predictions that the mean has to be over. */
  minimumPredictions: z.number().int().min(1),
  /** Whether the lineage has to hold under a policy of its own. */
  requireLineage: z.boolean(),
  /** Accounts whose evaluation receipts are taken in place of an evaluation of one's own. */
  evaluators: z.array(address).max(MAX_EVALUATORS),
  /** In the token's smallest unit. */
  maximumPrice: decimal(128),
  minimumStake: decimal(128),
  /** ERC-20, or the zero address for the chain's own coin. */
  token: address,
  /** Longest time that the price may be locked without a key, seconds. */
  maximumRevealWindow: windowSeconds,
  /** Shortest time for opening and dispute, seconds. */
  minimumDisputeWindow: windowSeconds,
  /** For trials: proofs under development parameters prove nothing. */
  allowDevelopmentParameters: z.boolean(),
});

/** What a pipeline's owner wrote down before anything was offered. */
export type PipelinePolicy = Omit<z.infer<typeof schema>, 'evaluators' | 'token'> & {
  readonly evaluators: readonly Address[];
  readonly token: Address;
};

/** Parses a policy file (docs/settlement.md, "Pipeline"). @throws ZkLoraError `POLICY_MALFORMED` */
export function parsePipelinePolicy(json: string): PipelinePolicy {
  if (json.length > MAX_POLICY_BYTES) throw malformed('it is too large');
  const parsed = schema.safeParse(parseJsonText(json, 'POLICY_MALFORMED', 'the pipeline policy'));
  if (parsed.success) return parsed.data;
  const path = parsed.error.issues[0]?.path.map(String).join('.') || 'the top level';
  throw malformed(`"${path}" is missing, unknown or out of range`);
}

/** Digest of a policy: a pipeline that was begun under another one is not continued. */
export function policyDigest(policy: PipelinePolicy): string {
  const { maximumPrice, minimumStake, ...members } = policy;
  const text = { ...members, maximumPrice: String(maximumPrice), minimumStake: String(minimumStake) };
  return bytesToHex(labelledSha256('zklora/pipeline-policy/v1', canonicalJson(text)));
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError('POLICY_MALFORMED', `not a pipeline policy: ${problem}; docs/settlement.md has one`);
}

import type { AdapterLineageQuestion, AdapterLineageVerdict } from '../checkpoint/verifyAdapterLineage.js';
import { verifyWithLineage } from '../checkpoint/verifyWithLineage.js';
import { ZkLoraError } from '../errors.js';
import { openSessionRecord } from '../inference/record.js';
import { type RegistrationInvalidReason, verifyRegistration } from '../protocol/registration/verify.js';
import {
  type InvalidReason,
  type VerificationResult,
  type VerifyOptions,
  verifyProof,
} from '../protocol/verify.js';
import { sessionFolder } from './run.js';
import { type RunReason, type RunToVerify, type RunVerdict, verifyEnsembleRun } from './verifyRun.js';

export type ProvenRunReason =
  | RunReason
  | InvalidReason
  | RegistrationInvalidReason
  /** There is no proof for a session that the run was made with. */
  | 'PROOF_MISSING'
  | 'LINEAGE_INVALID';

export interface ProvenRunToVerify
  extends RunToVerify,
    Pick<
      VerifyOptions,
      'engine' | 'parameters' | 'verificationKeys' | 'allowDevelopmentParameters' | 'rankCheck'
    > {
  /** By expert. */
  readonly proofs: ReadonlyMap<number, Uint8Array>;
  /** What each adapter's lineage is judged by, by expert; without it no lineage is judged. */
  readonly lineages?: ReadonlyMap<number, Omit<AdapterLineageQuestion, 'adapter'>>;
  /** Called when the replay held, before the proof of an expert's session is verified. */
  readonly onProof?: (expert: number) => void;
}

/** What one session's proof shows. */
export interface ProvenSession {
  readonly expert: number;
  readonly proof: VerificationResult & { readonly valid: true };
  /** Null when it was not judged. */
  readonly lineage: AdapterLineageVerdict | null;
}

export type ProvenRunVerdict =
  | (Omit<RunVerdict & { readonly valid: true }, 'sessions'> & {
      readonly sessions: readonly ProvenSession[];
    })
  | { readonly valid: false; readonly reason: ProvenRunReason; readonly message: string };

/**
 * Verifies a recorded run whole: `verifyEnsembleRun`, and for each of its sessions the adapter's registration, the proof of
 * every delta, and the adapter's lineage where one is asked for. The samples then follow from plan, models and committed
 * integer weights.
 *
 * @throws ZkLoraError `USAGE` when lineages are judged and an adapter has none; as `verifyEnsembleRun`,
 * `verifyRegistration` and `verifyWithLineage`
 */
export async function verifyProvenRun(options: ProvenRunToVerify): Promise<ProvenRunVerdict> {
  for (const expert of options.adapters.keys()) {
    if (options.lineages === undefined || options.lineages.has(expert)) continue;
    throw new ZkLoraError('USAGE', `lineages are judged, and the adapter on expert ${expert} has none`);
  }
  const run = await verifyEnsembleRun(options);
  if (!run.valid) return run;
  const sessions: ProvenSession[] = [];
  for (const { expert, digest } of run.sessions) {
    options.onProof?.(expert);
    const verdict = await verifySession(options, expert, digest);
    if ('reason' in verdict) {
      const { reason, message } = verdict;
      return { valid: false, reason, message: `the adapter on expert ${expert}: ${message}` };
    }
    sessions.push(verdict);
  }
  return { ...run, sessions };
}

async function verifySession(
  options: ProvenRunToVerify,
  expert: number,
  digest: string,
): Promise<ProvenSession | { readonly reason: ProvenRunReason; readonly message: string }> {
  const { dir, adapters, proofs, lineages, engine, parameters, verificationKeys, rankCheck } = options;
  const adapter = adapters.get(expert)!;
  const proof = proofs.get(expert);
  if (proof === undefined) return { reason: 'PROOF_MISSING', message: 'its session has no proof' };
  const allowDevelopmentParameters = options.allowDevelopmentParameters === true;
  const common = { engine, parameters, adapter, allowDevelopmentParameters };
  const registration = await verifyRegistration(common);
  if (!registration.valid) return registration;
  const session = await openSessionRecord(sessionFolder(dir, expert));
  const proofOptions = {
    ...common,
    verificationKeys,
    session,
    proof,
    registration,
    ...(rankCheck && { rankCheck }),
  };
  const question = lineages?.get(expert);
  const bound = question && (await verifyWithLineage(proofOptions, question));
  if (bound?.valid === false) return bound;
  const verdict = bound?.proof ?? (await verifyProof(proofOptions));
  if (!verdict.valid) return verdict;
  // the record was read again since the replay
  if (verdict.sessionDigest !== digest) {
    return { reason: 'SESSION_DIFFERS', message: 'its session changed while the run was verified' };
  }
  return { expert, proof: verdict, lineage: bound?.lineage ?? null };
}

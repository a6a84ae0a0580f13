import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { adapterId } from '../adapter/commitment.js';
import type { AdapterCommitment } from '../adapter/types.js';
import { bytesToHex, sha256 } from '../bytes.js';
import { ensureNewFolder, writeFileAtomic } from '../files.js';
import type { ContributorClient } from '../inference/client.js';
import { type AdapterSession, checkBaseModel, openAdapterSession } from '../inference/recordedSession.js';
import type { SessionClosing } from '../inference/sessionHeader.js';
import { generateKeyPair, type KeyPair, sign } from '../inference/signatures.js';
import { toBytes } from '../littleEndian.js';
import { sampleValues } from './description.js';
import { type Ensemble, requireExpert } from './ensemble.js';
import { gaussianNoise } from './noise.js';
import {
  planDigest,
  planId,
  type RunPlan,
  type RunTrace,
  traceDigest,
  type UnsignedTrace,
} from './runFiles.js';
import { type Sampled, type Sampling, sampleEnsemble } from './sampler.js';

export const PLAN_FILE = 'plan.json';
export const TRACE_FILE = 'trace.json';
export const SAMPLES_FILE = 'samples.f32';

/** Folder of one expert's session in a run. */
export function sessionFolder(dir: string, expert: number): string {
  return join(dir, 'sessions', `expert_${expert}`);
}

/** A contributor's adapter on one expert. */
export interface ServedAdapter {
  readonly expert: number;
  /** The pinned commitment; its base digest is that of the expert's file. */
  readonly commitment: AdapterCommitment;
  readonly client: ContributorClient;
}

export interface RunOptions extends Sampling {
  /** Opened with the modules of the adapters. */
  readonly ensemble: Ensemble;
  readonly adapters: readonly ServedAdapter[];
  /** New or empty folder for plan, trace, samples and sessions. */
  readonly dir: string;
  readonly seed: number;
  readonly samples: number;
  /** The user's key for all sessions and the trace; a fresh one without it. */
  readonly user?: KeyPair;
  readonly onStep?: (step: number, total: number) => void;
}

/** A finished run: sessions closed, everything on disk. */
export interface EnsembleRun extends Sampled {
  readonly plan: RunPlan;
  /** Closed, for their proofs; by expert. Experts that no sample was routed to are not here. */
  readonly sessions: ReadonlyMap<
    number,
    { readonly session: AdapterSession; readonly closing: SessionClosing }
  >;
  /** Experts whose adapter was never asked. */
  readonly unused: readonly number[];
}

/**
 * Makes samples with adapters that contributors serve, and records every call of every adapted expert.
 *
 * @throws ZkLoraError `USAGE`, `ENSEMBLE_MISMATCH`, `BASE_MODEL_MISMATCH` for an adapter that was registered for another
 * expert, and as `openAdapterSession`. A contributor that fails leaves the records at their last whole calls.
 */
export async function runEnsemble(options: RunOptions): Promise<EnsembleRun> {
  const { ensemble, dir, labels, guidance, steps, top, seed, samples } = options;
  const adapters = [...options.adapters].sort((a, b) => a.expert - b.expert);
  for (const { expert, commitment } of adapters) {
    requireExpert(ensemble.description, expert);
    checkBaseModel({ model: ensemble.experts[expert]!, commitment });
  }
  const user = options.user ?? generateKeyPair();
  const plan: RunPlan = {
    format: 'zklora/ensemble-run/v1',
    ensemble: ensemble.digest,
    salt: randomBytes(32).toString('hex'),
    seed,
    samples,
    labels: labels && [...labels],
    guidance,
    steps,
    top,
    adapters: adapters.map(({ expert, commitment }) => ({ expert, adapterId: adapterId(commitment) })),
  };
  await ensureNewFolder(dir, { mode: 0o700 });
  await mkdir(join(dir, 'sessions'), { mode: 0o700 });
  await writeFileAtomic(join(dir, PLAN_FILE), `${JSON.stringify(plan, null, 2)}\n`);

  const sessions = new Map<number, AdapterSession>();
  try {
    for (const { expert, commitment, client } of adapters) {
      const model = ensemble.experts[expert]!;
      const nonce = planDigest(plan);
      const folder = sessionFolder(dir, expert);
      sessions.set(expert, await openAdapterSession({ model, client, commitment, dir: folder, user, nonce }));
    }
    const noise = gaussianNoise(seed, samples * sampleValues(ensemble.description));
    const sampled = await sampleEnsemble(ensemble, noise, options, {
      deltas: (expert) => sessions.get(expert)?.pass(),
      ...(options.onStep && { onStep: options.onStep }),
    });
    const closed = new Map<number, { session: AdapterSession; closing: SessionClosing }>();
    const unused: number[] = [];
    for (const [expert, session] of sessions) {
      if (session.record.callCount > 0) closed.set(expert, { session, closing: await session.close() });
      else unused.push(expert);
    }
    const bytes = toBytes(sampled.samples);
    await writeFileAtomic(join(dir, SAMPLES_FILE), bytes);
    await writeTrace(dir, plan, sampled, closed, user, bytes);
    return { ...sampled, plan, sessions: closed, unused };
  } catch (error) {
    for (const session of sessions.values()) await session.abandon();
    throw error;
  }
}

async function writeTrace(
  dir: string,
  plan: RunPlan,
  { trace }: Sampled,
  closed: ReadonlyMap<number, { readonly closing: SessionClosing }>,
  user: KeyPair,
  samples: Uint8Array,
): Promise<void> {
  const next = new Map<number, number>();
  const adapted = new Set(plan.adapters.map(({ expert }) => expert));
  const numbered = (expert: number): number | null => {
    if (!adapted.has(expert)) return null;
    const call = next.get(expert) ?? 0;
    next.set(expert, call + 1);
    return call;
  };
  const unsigned: UnsignedTrace = {
    format: 'zklora/ensemble-trace/v1',
    plan: planId(plan),
    steps: trace.map(({ step, time, calls }) => ({
      step,
      time,
      calls: calls.map(({ expert, rows, weights }) => ({
        expert,
        rows: [...rows],
        weights: [...weights],
        call: numbered(expert),
      })),
    })),
    sessions: [...closed].map(([expert, { closing }]) => ({ expert, digest: closing.digest })),
    samples: bytesToHex(sha256(samples)),
    userKey: bytesToHex(user.publicKey),
  };
  const signed: RunTrace = {
    ...unsigned,
    signature: bytesToHex(sign(traceDigest(unsigned), user.secretKey)),
  };
  await writeFileAtomic(join(dir, TRACE_FILE), `${JSON.stringify(signed)}\n`);
}

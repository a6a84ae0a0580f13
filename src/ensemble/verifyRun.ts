import { join } from 'node:path';
import { adapterId } from '../adapter/commitment.js';
import type { AdapterCommitment } from '../adapter/types.js';
import { bytesToHex, hexToBytes, sha256 } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { readFileBounded } from '../files.js';
import { checkClosing, openSessionRecord, type SessionRecord } from '../inference/record.js';
import { isSignedBy } from '../inference/signatures.js';
import { sampleValues } from './description.js';
import type { Ensemble } from './ensemble.js';
import { MAX_PLAN_BYTES, MAX_RUN_VALUES, MAX_TRACE_BYTES } from './limits.js';
import { gaussianNoise } from './noise.js';
import { checkRouting, REPLAY_TOLERANCE, ReplayMismatch, replayPass } from './replay.js';
import { PLAN_FILE, SAMPLES_FILE, sessionFolder, TRACE_FILE } from './run.js';
import { parseRunPlan, parseRunTrace, planId, type RunPlan, type RunTrace, traceDigest } from './runFiles.js';
import { sampleEnsemble, stepTimes } from './sampler.js';

export type RunReason =
  /** The plan is for another ensemble, or for other adapters than the pinned ones. */
  | 'PLAN_DIFFERS'
  /** The trace is not the user's, or not of this plan. */
  | 'TRACE_DIFFERS'
  /** A session is of another plan or adapter, was edited, or has other calls than the trace. */
  | 'SESSION_DIFFERS'
  /** An adapter belongs to another expert. */
  | 'WRONG_EXPERT'
  | 'ROUTING_DIFFERS'
  | 'ACTIVATIONS_DIFFER'
  /** The samples do not follow from plan, models and recorded deltas. */
  | 'SAMPLES_DIFFER';

export type RunVerdict =
  | {
      readonly valid: true;
      readonly steps: number;
      readonly calls: number;
      /** Experts whose adapter was never asked: no session, and nothing to prove. */
      readonly unused: readonly number[];
      /** Digests of the sessions whose deltas the run was made with; each needs a proof. */
      readonly sessions: readonly { readonly expert: number; readonly digest: string }[];
    }
  | { readonly valid: false; readonly reason: RunReason; readonly message: string };

export interface RunToVerify {
  readonly dir: string;
  /** Your own copy, opened with the modules of the adapters. */
  readonly ensemble: Ensemble;
  /** Pinned commitments, by expert. */
  readonly adapters: ReadonlyMap<number, AdapterCommitment>;
  readonly onStep?: (step: number, total: number) => void;
}

/**
 * Runs a recorded run again with its recorded deltas: plan, models and deltas must give the recorded activations, routing
 * decisions and samples. That the deltas are those of the committed weights is for each session's proof to show: see
 * `verifyProvenRun`.
 *
 * @throws ZkLoraError `ENSEMBLE_MALFORMED`, `SESSION_MALFORMED`, `FILE_NOT_FOUND`, `FILE_UNREADABLE`
 */
export async function verifyEnsembleRun(options: RunToVerify): Promise<RunVerdict> {
  const { dir, adapters } = options;
  const plan = parseRunPlan(await readFileBounded(join(dir, PLAN_FILE), MAX_PLAN_BYTES, 'plan of a run'));
  const trace = parseRunTrace(
    await readFileBounded(join(dir, TRACE_FILE), MAX_TRACE_BYTES, 'trace of a run'),
  );
  const samples = await readFileBounded(join(dir, SAMPLES_FILE), 4 * MAX_RUN_VALUES, 'samples of a run');
  const refused = checkPlan(plan, options) ?? checkTrace(trace, plan, samples);
  if (refused !== undefined) return refused;
  const sessions = new Map<number, SessionRecord>();
  for (const { expert } of trace.sessions) {
    const commitment = adapters.get(expert);
    if (commitment === undefined) return no('SESSION_DIFFERS', `the plan has no adapter on expert ${expert}`);
    const session = await openSessionRecord(sessionFolder(dir, expert));
    const problem = await checkSession(session, commitment, expert, plan, trace);
    if (problem !== undefined) return problem;
    sessions.set(expert, session);
  }
  try {
    return await replay(options, plan, trace, sessions, samples);
  } catch (error) {
    if (error instanceof ReplayMismatch) return no(error.reason, error.message);
    // what the plan asks for, this ensemble does not do
    if (error instanceof ZkLoraError && error.code === 'USAGE') return no('PLAN_DIFFERS', error.message);
    throw error;
  }
}

function checkPlan(plan: RunPlan, { ensemble, adapters }: RunToVerify): RunVerdict | undefined {
  if (plan.ensemble !== ensemble.digest) return no('PLAN_DIFFERS', 'the run was made with another ensemble');
  if (plan.adapters.length !== adapters.size) {
    return no('PLAN_DIFFERS', 'the run was made with other adapters than the pinned ones');
  }
  for (const { expert, adapterId: id } of plan.adapters) {
    const commitment = adapters.get(expert);
    if (commitment === undefined || adapterId(commitment) !== id) {
      return no(
        'PLAN_DIFFERS',
        `the run was made with another adapter on expert ${expert} than the pinned one`,
      );
    }
    if (commitment.baseDigest !== ensemble.experts[expert]?.digest) {
      return no('WRONG_EXPERT', `the adapter on expert ${expert} was registered for another model`);
    }
  }
  return undefined;
}

function checkTrace(trace: RunTrace, plan: RunPlan, samples: Uint8Array): RunVerdict | undefined {
  if (trace.plan !== planId(plan)) return no('TRACE_DIFFERS', 'the trace is of another plan');
  const digest = traceDigest(trace);
  if (!isSignedBy(hexToBytes(trace.signature), digest, hexToBytes(trace.userKey))) {
    return no('TRACE_DIFFERS', "the user's signature does not fit the trace");
  }
  const times = stepTimes(plan.steps);
  if (trace.steps.length !== times.length || trace.steps.some(({ time }, i) => time !== times[i])) {
    return no('TRACE_DIFFERS', 'the trace has other steps or times than the plan');
  }
  const adapted = new Set(plan.adapters.map(({ expert }) => expert));
  const calls = trace.steps.flatMap((step) => step.calls);
  if (calls.some(({ expert, call }) => (call !== null) !== adapted.has(expert))) {
    return no('TRACE_DIFFERS', 'the trace numbers other calls than those of the experts with an adapter');
  }
  if (bytesToHex(sha256(samples)) !== trace.samples) {
    return no('SAMPLES_DIFFER', 'the samples are not those of the trace');
  }
  return undefined;
}

async function checkSession(
  session: SessionRecord,
  commitment: AdapterCommitment,
  expert: number,
  plan: RunPlan,
  trace: RunTrace,
): Promise<RunVerdict | undefined> {
  const { header } = session;
  const wrong = (message: string) => no('SESSION_DIFFERS', `the session of expert ${expert} ${message}`);
  if (header.adapterId !== adapterId(commitment)) return wrong('is with another adapter');
  if (header.nonce !== planId(plan)) return wrong('is of another run');
  if (header.userKey !== trace.userKey) return wrong('was opened by another user');
  const calls = trace.steps.flatMap((step) => step.calls).filter((call) => call.expert === expert);
  if (calls.length !== session.callCount || calls.some(({ call }, i) => call !== i)) {
    return wrong(`has ${session.callCount} calls and the trace ${calls.length}`);
  }
  try {
    const digest = bytesToHex(await checkClosing(session, commitment.modules));
    const named = trace.sessions.find((entry) => entry.expert === expert)?.digest;
    return digest === named ? undefined : wrong('has another digest than in the trace');
  } catch (error) {
    if (error instanceof ZkLoraError && error.code === 'SESSION_MISMATCH')
      return wrong(`fails: ${error.message}`);
    throw error;
  }
}

async function replay(
  { ensemble, adapters, onStep }: RunToVerify,
  plan: RunPlan,
  trace: RunTrace,
  sessions: ReadonlyMap<number, SessionRecord>,
  recorded: Uint8Array,
): Promise<RunVerdict> {
  const noise = gaussianNoise(plan.seed, plan.samples * sampleValues(ensemble.description));
  let calls = 0;
  const { samples } = await sampleEnsemble(ensemble, noise, plan, {
    route: (step, shares) => {
      const given = trace.steps[step]!.calls;
      checkRouting(given, shares, ensemble.experts.length, plan.top);
      return given;
    },
    deltas: (expert, step) => {
      const commitment = adapters.get(expert);
      if (commitment === undefined) return undefined;
      const session = sessions.get(expert);
      const call = trace.steps[step]!.calls.find((entry) => entry.expert === expert)?.call ?? null;
      if (session === undefined || call === null) {
        throw new ReplayMismatch(
          'ACTIVATIONS_DIFFER',
          `step ${step} has no recorded call of expert ${expert}`,
        );
      }
      calls += 1;
      return replayPass(ensemble.experts[expert]!, commitment, session, call);
    },
    ...(onStep && { onStep }),
  });
  const view = new DataView(recorded.buffer, recorded.byteOffset, recorded.byteLength);
  const isSame =
    recorded.length === 4 * samples.length &&
    // values lie in [-1, 1]
    samples.every((value, i) => Math.abs(value - view.getFloat32(4 * i, true)) <= REPLAY_TOLERANCE);
  if (!isSame) return no('SAMPLES_DIFFER', 'the samples do not follow from the plan and the recorded deltas');
  const unused = plan.adapters.map(({ expert }) => expert).filter((expert) => !sessions.has(expert));
  return { valid: true, steps: trace.steps.length, calls, unused, sessions: trace.sessions };
}

function no(reason: RunReason, message: string): RunVerdict & { valid: false } {
  return { valid: false, reason, message };
}

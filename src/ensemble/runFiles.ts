import { z } from 'zod';
import { bytesToHex, canonicalJson, labelledSha256 } from '../bytes.js';
import { MAX_EXPERTS } from '../checkpoint/limits.js';
import { digestSchema } from '../checkpoint/vocabulary.js';
import { ZkLoraError } from '../errors.js';
import { parseJsonBytes } from '../jsonText.js';
import { MAX_SESSION_CALLS } from '../protocol/sessionDigest.js';
import { MAX_CLASSES, MAX_GUIDANCE, MAX_SAMPLES, MAX_STEPS } from './limits.js';

/** The two sidecar files of a run; docs/formats.md, "Ensemble". */

const PLAN_LABEL = 'zklora/ensemble-run/v1';
const TRACE_LABEL = 'zklora/ensemble-trace/v1';

const expertIndex = z
  .number()
  .int()
  .min(0)
  .max(MAX_EXPERTS - 1);
const ascending = (values: readonly number[]) =>
  values.every((value, i) => i === 0 || value > values[i - 1]!);
const byExpert = (entries: readonly { expert: number }[]) => ascending(entries.map(({ expert }) => expert));

const planSchema = z.strictObject({
  format: z.literal(PLAN_LABEL),
  /** Digest of ensemble.json. */
  ensemble: digestSchema,
  /** 32 random bytes: nobody can foresee the digest of the plan. */
  salt: digestSchema,
  /** Seed of the noise. */
  seed: z
    .number()
    .int()
    .min(0)
    .max(2 ** 32 - 1),
  samples: z.number().int().min(1).max(MAX_SAMPLES),
  labels: z.array(z.number().int().min(0).max(MAX_CLASSES)).max(MAX_SAMPLES).nullable(),
  guidance: z.number().min(0).max(MAX_GUIDANCE),
  steps: z.number().int().min(1).max(MAX_STEPS),
  top: z.number().int().min(1).max(MAX_EXPERTS),
  /** Experts with an adapter, ascending. */
  adapters: z
    .array(z.strictObject({ expert: expertIndex, adapterId: digestSchema }))
    .max(MAX_EXPERTS)
    .refine(byExpert),
});

const callSchema = z
  .strictObject({
    expert: expertIndex,
    /** Samples, ascending. */
    rows: z
      .array(
        z
          .number()
          .int()
          .min(0)
          .max(MAX_SAMPLES - 1),
      )
      .min(1)
      .max(MAX_SAMPLES)
      .refine(ascending),
    weights: z.array(z.number().gt(0).max(1)).max(MAX_SAMPLES),
    /** Index of the call in the session of this expert's adapter; null for an expert without one. */
    call: z.number().int().min(0).max(MAX_SESSION_CALLS).nullable(),
  })
  .refine(({ rows, weights }) => rows.length === weights.length, { path: ['weights'] });

const traceSchema = z.strictObject({
  format: z.literal(TRACE_LABEL),
  /** Digest of the plan. */
  plan: digestSchema,
  steps: z
    .array(
      z.strictObject({
        step: z.number().int().min(0).max(MAX_STEPS),
        time: z.number().gt(0).lt(1),
        calls: z.array(callSchema).min(1).max(MAX_EXPERTS).refine(byExpert),
      }),
    )
    .min(2)
    .max(MAX_STEPS + 1)
    .refine((steps) => steps.every(({ step }, i) => step === i)),
  /** Session digests, by expert. */
  sessions: z
    .array(z.strictObject({ expert: expertIndex, digest: digestSchema }))
    .max(MAX_EXPERTS)
    .refine(byExpert),
  /** SHA-256 of samples.f32. */
  samples: digestSchema,
  userKey: digestSchema,
  /** Ed25519 of the user over the digest of the trace without this member. */
  signature: z.string().regex(/^[0-9a-f]{128}$/),
});

/** What is fixed before the first step. Its digest is the nonce of every session of the run. */
export type RunPlan = z.infer<typeof planSchema>;
/** The routing decisions of a run, tied to its sessions and samples, signed by the user. */
export type RunTrace = z.infer<typeof traceSchema>;
export type UnsignedTrace = Omit<RunTrace, 'signature'>;

/** @throws ZkLoraError `ENSEMBLE_MALFORMED` */
export function parseRunPlan(bytes: Uint8Array): RunPlan {
  return parse(planSchema, bytes, 'plan.json');
}

/** @throws ZkLoraError `ENSEMBLE_MALFORMED` */
export function parseRunTrace(bytes: Uint8Array): RunTrace {
  return parse(traceSchema, bytes, 'trace.json');
}

/** 32 bytes: H("zklora/ensemble-run/v1" | 00 | JCS(plan)). */
export function planDigest(plan: RunPlan): Uint8Array {
  return labelledSha256(PLAN_LABEL, canonicalJson(plan));
}

/** 32 bytes, what the user signs: H("zklora/ensemble-trace/v1" | 00 | JCS(trace without signature)). */
export function traceDigest({ format, plan, steps, sessions, samples, userKey }: UnsignedTrace): Uint8Array {
  return labelledSha256(TRACE_LABEL, canonicalJson({ format, plan, steps, sessions, samples, userKey }));
}

/** Hex of {@link planDigest}. */
export function planId(plan: RunPlan): string {
  return bytesToHex(planDigest(plan));
}

function parse<T>(schema: z.ZodType<T>, bytes: Uint8Array, what: string): T {
  const parsed = schema.safeParse(parseJsonBytes(bytes, 'ENSEMBLE_MALFORMED', what));
  if (parsed.success) return parsed.data;
  const path = parsed.error.issues[0]?.path.join('.') || 'the top level';
  throw new ZkLoraError(
    'ENSEMBLE_MALFORMED',
    `${what} is not a file of this version: ${path.slice(0, 80)} is missing, unknown or out of range`,
  );
}

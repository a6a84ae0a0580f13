import { z } from 'zod';
import { MAX_ARGUMENTS, MAX_TEXT_LENGTH } from './limits.js';

/** How a checkpoint or adapter came from its parents. */
export const RELATIONS = [
  'trained-from',
  'finetuned-from',
  'converted-from',
  'quantized-from',
  'exported-from',
  'merged-from',
  'expert-of',
  'router-of',
  'adapter-of',
] as const;
export type Relation = (typeof RELATIONS)[number];

export function isRelation(text: string): text is Relation {
  return (RELATIONS as readonly string[]).includes(text);
}

/** Relations that say where the weights come from; the others say what they belong to. */
export const ORIGIN_RELATIONS: ReadonlySet<Relation> = new Set<Relation>([
  'trained-from',
  'finetuned-from',
  'converted-from',
  'quantized-from',
  'exported-from',
  'merged-from',
]);

/** What a digest in a statement stands for. */
export const KINDS = ['checkpoint', 'adapter', 'ensemble'] as const;
export type Kind = (typeof KINDS)[number];

export const ROLES = ['base', 'expert', 'router', 'adapter'] as const;
export const MODALITIES = ['text', 'image', 'video'] as const;
export const OBJECTIVES = ['autoregressive', 'ddpm', 'flow-matching'] as const;
export type Objective = (typeof OBJECTIVES)[number];

/** Lower-case hex only: anything hashed has one byte form. */
export const digestSchema = z.string().regex(/^[0-9a-f]{64}$/);

/** Text of others that is shown later: Unicode without control characters, at least one character. */
export const textSchema = z
  .string()
  .min(1)
  .max(MAX_TEXT_LENGTH)
  .regex(/^[^\p{Cc}\p{Surrogate}\u2028\u2029]*$/u);

/** A UTC time to the second, e.g. 2026-01-31T12:00:00Z; exactly the form that the same instant is written in. */
export const timeSchema = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  .refine((text) => {
    const time = Date.parse(text);
    return Number.isFinite(time) && formatTime(time) === text;
  });

/** @param milliseconds since 1970 */
export function formatTime(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}

/** The program that made a checkpoint from its parents. */
export const stepSchema = z.strictObject({
  tool: textSchema,
  version: textSchema.nullable(),
  arguments: z.array(textSchema).max(MAX_ARGUMENTS),
  /** True when the step claims to copy or relabel tensors only; re-checked where both listings are at hand. */
  tensorsUnchanged: z.boolean(),
});
export type Step = z.infer<typeof stepSchema>;

export const nodeSchema = z.strictObject({ kind: z.enum(KINDS), digest: digestSchema });

/** A node of the lineage graph. */
export type LineageNode = z.infer<typeof nodeSchema>;

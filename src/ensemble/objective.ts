import type { ExpertFile } from './description.js';

/**
 * Every expert answers in its own terms; here they become one: the clean sample x0 at flow time t, where
 * x = (1 - t) x0 + t noise. docs/ensemble.md, "One representation".
 */

/** DDPM time u with the signal-to-noise ratio of flow time t: tan(pi/2 (offset + span u)) = t / (1 - t), clipped to [0, 1]. */
export function ddpmTime(t: number, { offset, span }: NonNullable<ExpertFile['schedule']>): number {
  return Math.min(1, Math.max(0, (Math.atan2(t, 1 - t) / (Math.PI / 2) - offset) / span));
}

/** What an expert is asked for a flow sample: x times `scale` at its own `time`. */
export function expertInput(expert: ExpertFile, t: number): { scale: number; time: number } {
  if (expert.schedule === null) return { scale: 1, time: t };
  return { scale: 1 / Math.hypot(t, 1 - t), time: ddpmTime(t, expert.schedule) };
}

/** x0 from an expert's answer: (x - t eps) / (1 - t), or x - t v; clipped to [-1, 1]. NaN stays. */
export function cleanValue(objective: ExpertFile['objective'], x: number, answer: number, t: number): number {
  const x0 = objective === 'ddpm' ? (x - t * answer) / (1 - t) : x - t * answer;
  return x0 < -1 ? -1 : x0 > 1 ? 1 : x0;
}

/** Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598): free + weight (conditioned - free). */
export function guided(conditioned: number, free: number, weight: number): number {
  return free + weight * (conditioned - free);
}

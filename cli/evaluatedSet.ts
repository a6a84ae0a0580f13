import { join } from 'node:path';
import { adapterId } from '../src/adapter/index.js';
import { ZkLoraError } from '../src/errors.js';
import { isPresent } from '../src/files.js';
import { measuredContributors, readEvaluation } from '../src/inference/evaluationJournal.js';
import { EVALUATION_FILE } from '../src/inference/record.js';
import type { Contributor } from './contributors.js';

/** What losses are of: a contributor's adapter and its weight in the sum of deltas. */
export interface LossPart {
  readonly name: string;
  readonly adapterId: string;
  readonly weight: number;
}

/** How the set that is verified compares with the one whose losses an evaluation measured. */
export interface SetComparison {
  readonly status: 'same' | 'different' | 'absent' | 'unreadable';
  readonly warning?: string;
}

export function lossParts(contributors: readonly Contributor[]): LossPart[] {
  return contributors.map(({ name, commitment, weight }) => ({
    name,
    adapterId: adapterId(commitment),
    weight,
  }));
}

/**
 * Holds a set against the journal in an evaluation's folder. That file is a hint, nothing is verified by it: whoever shows
 * losses has to show whose they are.
 */
export async function compareWithEvaluation(dir: string, parts: readonly LossPart[]): Promise<SetComparison> {
  if (!(await isPresent(join(dir, EVALUATION_FILE)))) return { status: 'absent' };
  let measured: readonly LossPart[];
  try {
    measured = measuredContributors(await readEvaluation(dir));
  } catch (error) {
    if (!(error instanceof ZkLoraError) || error.code === 'INTERNAL') throw error;
    return { status: 'unreadable', warning: `whose losses were measured is not known: ${error.message}` };
  }
  const texts = [measured, parts].map((set) => set.map(textOf).sort());
  if (JSON.stringify(texts[0]) === JSON.stringify(texts[1])) return { status: 'same' };
  return {
    status: 'different',
    warning:
      `the losses in ${EVALUATION_FILE} are of another set: ${describeParts(measured)}; this verdict says nothing about ` +
      'them',
  };
}

export function describeParts(parts: readonly LossPart[]): string {
  return parts.map(({ name, weight }) => `${name} (weight ${weight})`).join(', ');
}

function textOf({ name, adapterId: id, weight }: LossPart): string {
  return JSON.stringify([name, id, weight]);
}

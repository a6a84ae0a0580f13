/** bench/results/service.json: its sections are measured, and replaced, one by one. */
import { type Machine, machine } from '../report.js';
import { readResult, writeResult } from '../results.js';
import type { LoadRow } from './load.js';
import type { Overhead } from './overhead.js';
import type { Responsiveness } from './responsiveness.js';
import type { Soak } from './soak.js';

/** When and where a section was measured. */
export interface Measured {
  readonly date: string;
  readonly machine: Machine;
}

export interface ServiceFile {
  readonly overhead?: Measured & { readonly models: readonly Overhead[] };
  readonly load?: Measured & { readonly model: string; readonly rows: readonly LoadRow[] };
  readonly responsiveness?: Measured & Responsiveness;
  readonly soak?: Measured & Soak;
}

/** Name of the way to run a pass that the target of the overhead is for. */
export const REMOTE = 'contributor over loopback, records on disk';

const NAME = 'service';

export function readServiceFile(): Promise<ServiceFile | undefined> {
  return readResult<ServiceFile>(NAME);
}

export function measured(): Measured {
  return { date: new Date().toISOString().slice(0, 10), machine: machine() };
}

/** Puts sections into the result file; the others stay. */
export async function writeSections(sections: ServiceFile): Promise<void> {
  await writeResult(NAME, { ...(await readServiceFile()), ...sections });
}

import { basename } from 'node:path';
import { ZkLoraError } from '../src/errors.js';
import { readLedger } from '../src/inference/leakage/ledgerFile.js';

/** Name of a leakage ledger: the adapter id. */
const NAME = /^([0-9a-f]{64})\.ledger$/;

/** What a leakage ledger says by itself; how much was revealed takes the adapter. */
export interface LedgerSummary {
  readonly kind: 'ledger';
  readonly adapterId: string;
  readonly sessions: number;
  readonly users: number;
  readonly stages: number;
  readonly refusedKeys: number;
}

/** @throws ZkLoraError `USAGE` for a name that is no adapter id, `LEDGER_MALFORMED`, `FILE_UNREADABLE` */
export async function summarizeLedger(path: string): Promise<LedgerSummary> {
  const adapterId = NAME.exec(basename(path))?.[1];
  if (adapterId === undefined) {
    throw new ZkLoraError('USAGE', 'a leakage ledger is named after its adapter id; give it its name back');
  }
  const counts = { opening: 0, stage: 0, refusal: 0 };
  const users = new Set<string>();
  await readLedger(path, { adapterId }, async ({ kind, user }) => {
    counts[kind] += 1;
    users.add(user);
  });
  return {
    kind: 'ledger',
    adapterId,
    sessions: counts.opening,
    users: users.size,
    stages: counts.stage,
    refusedKeys: counts.refusal,
  };
}

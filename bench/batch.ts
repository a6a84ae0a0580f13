/**
 * Verification of many proofs at once beside one by one: `node dist/bench/batch.js [--quick]`.
 *
 * Writes bench/results/batch.json; --quick measures 1 and 10 proofs and prints only. Adapters of distilgpt2's shapes: once
 * all proofs for one adapter in different sessions, once each for an adapter of its own.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runChild } from './child.js';
import { benchParameters } from './parameters.js';
import { type Machine, machine } from './report.js';
import { CACHE, writeResult } from './results.js';
import { writeTables } from './tables.js';

/** Seconds for one number of proofs, in a process of its own, the second time they are verified. */
export interface BatchRow {
  readonly proofs: number;
  /** Adapters among them. */
  readonly adapters: number;
  /** `verifyProof`, one after another. */
  readonly singleSeconds: number;
  /** `verifyBatch`. */
  readonly batchSeconds: number;
}

/** bench/results/batch.json */
export interface BatchFile {
  readonly machine: Machine;
  readonly tokens: number;
  readonly rows: readonly BatchRow[];
}

const TOKENS = 15;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { quick: { type: 'boolean' } } });
  const parameters = await benchParameters(join(CACHE, 'params'));
  const counts = values.quick ? [1, 10] : [1, 10, 100];
  const cases = [
    ...counts.map((proofs) => ({ proofs, adapters: 1 })),
    ...counts.slice(1).map((proofs) => ({ proofs, adapters: proofs })),
  ];
  const rows: BatchRow[] = [];
  for (const { proofs, adapters } of cases) {
    const request = JSON.stringify({ parameters, proofs, adapters, tokens: TOKENS });
    const row = await runChild<BatchRow>('batchWork.js', [request]);
    rows.push(row);
    process.stderr.write(
      `${proofs} proofs, ${adapters} adapters: ${row.singleSeconds.toFixed(2)} s one by one, ` +
        `${row.batchSeconds.toFixed(2)} s together\n`,
    );
  }
  const result: BatchFile = { machine: machine(), tokens: TOKENS, rows };
  if (values.quick) {
    process.stdout.write(`${JSON.stringify(result)}\n`);
    return;
  }
  await writeResult('batch', result);
  await writeTables();
}

await main();

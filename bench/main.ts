/**
 * The benchmark: `node dist/bench/main.js [--quick] [--only adapter] [--peers none|small|full]`.
 *
 * Writes bench/results/paper-table.json and peers.json, and the tables and charts made from them. --quick measures three adapters
 * once, without peers, and prints only; so does --only for the adapters that its text is part of, at full length. --peers full
 * measures the direct circuit as large as it can go in ten minutes; otherwise with 64 and 512 weights.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runChild } from './child.js';
import { paperAdapters, paperSource } from './paper.js';
import { benchParameters } from './parameters.js';
import { measurePeers } from './peers.js';
import type { Primitives, PrimitivesRequest } from './primitives.js';
import { detailsMarkdown, machine, type PaperTable, paperMarkdown, type TableRow } from './report.js';
import { CACHE, writeResult } from './results.js';
import { floorOf, measureRow, middlePrimitives, primitiveSizes, sizesOf } from './rows.js';
import type { Startup } from './startup.js';
import { writeTables } from './tables.js';

const TOKENS = 15;
const QUICK = ['distilgpt2', 'Llama-3.2-1B', 'Llama-3.1-8B-Instruct'];

/** Fresh processes for each step of the full run. */
const PROCESSES = 3;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean' },
      only: { type: 'string' },
      peers: { type: 'string', default: 'small' },
    },
  });
  const parameters = await benchParameters(join(CACHE, 'params'));
  const adapters = (await paperAdapters()).filter(({ name }) =>
    values.only ? name.includes(values.only) : !values.quick || QUICK.includes(name),
  );
  const rows: TableRow[] = [];
  let threads = 0;
  for (const adapter of adapters) {
    const sizes = sizesOf(adapter);
    const request: PrimitivesRequest = { parameters, ...primitiveSizes(sizes) };
    const primitives: Primitives[] = [];
    const measured = await measureRow(adapter, {
      parameters,
      scratch: join(CACHE, 'rows'),
      calls: [TOKENS],
      processes: values.quick ? 1 : PROCESSES,
      perModule: !values.quick,
      circuits: true,
      plain: true,
      beforeProve: async () => {
        primitives.push(await runChild<Primitives>('primitives.js', [JSON.stringify(request)]));
      },
    });
    const { register, prove, verify } = measured;
    const floor = floorOf(sizes, middlePrimitives(primitives));
    threads = primitives[0]!.threads;
    const row: TableRow = {
      name: adapter.name,
      modules: adapter.modules,
      parameters: adapter.parameters,
      tokens: TOKENS,
      registerSeconds: register.seconds,
      proveSeconds: prove.seconds,
      verifySeconds: verify.seconds,
      proofBytes: prove.bytes ?? 0,
      peakRssBytes: prove.peakRssBytes,
      floorSeconds: floor.total!,
      efficiency: floor.total! / prove.seconds,
      publishedSeconds: adapter.published,
      details: { ...measured, floor, warmEfficiency: floor.total! / (prove.warmSeconds ?? prove.seconds) },
    };
    rows.push(row);
    process.stderr.write(
      `${row.name}: register ${row.registerSeconds.toFixed(2)} s, prove ${row.proveSeconds.toFixed(2)} s, ` +
        `verify ${row.verifySeconds.toFixed(2)} s, efficiency ${row.efficiency.toFixed(2)}\n`,
    );
  }
  const table: PaperTable = {
    machine: machine(),
    threads,
    source: await paperSource(),
    startup: await runChild<Startup>('startup.js', [parameters]),
    rows,
  };
  process.stdout.write(`${paperMarkdown(table)}\n\n${detailsMarkdown(table)}\n`);
  if (values.quick || values.only) return;
  await writeResult('paper-table', table);
  if (values.peers !== 'none') await measurePeers(parameters, values.peers === 'full');
  await writeTables();
}

await main();

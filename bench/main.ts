/**
 * The benchmark: `node dist/bench/main.js [--quick] [--out folder]`.
 *
 * Writes paper-table.json, paper-table.md and SVG charts; --quick measures three adapters once and prints only.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { logLogChart } from './chart.js';
import { runChild } from './child.js';
import { paperAdapters, paperSource } from './paper.js';
import { benchParameters } from './parameters.js';
import type { Primitives, PrimitivesRequest } from './primitives.js';
import { machine, markdownTable, type TableRow } from './report.js';
import { floorOf, measureRow, primitiveSizes, sizesOf } from './rows.js';

const TOKENS = 15;
const QUICK = ['distilgpt2', 'Llama-3.2-1B', 'Llama-3.1-8B-Instruct'];

/** Fresh processes for each step of the full run. */
const PROCESSES = 3;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { quick: { type: 'boolean' }, out: { type: 'string' }, only: { type: 'string' } },
  });
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const cache = join(root, 'bench/.cache');
  const parameters = await benchParameters(join(cache, 'params'));
  const adapters = (await paperAdapters()).filter(({ name }) =>
    values.only ? name.includes(values.only) : !values.quick || QUICK.includes(name),
  );
  const rows: TableRow[] = [];
  let primitives: Primitives | undefined;
  for (const adapter of adapters) {
    const sizes = sizesOf(adapter);
    // beside each row, so that a machine whose speed drifts is measured in the same state
    const request: PrimitivesRequest = { parameters, ...primitiveSizes(sizes) };
    primitives = await runChild<Primitives>('primitives.js', [JSON.stringify(request)]);
    const floor = floorOf(sizes, primitives);
    const measured = await measureRow(adapter, {
      parameters,
      scratch: join(cache, 'rows'),
      calls: [TOKENS],
      processes: values.quick ? 1 : PROCESSES,
      perModule: !values.quick,
    });
    const { register, prove, verify } = measured;
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
  const where = machine();
  const table = markdownTable(rows, where, await paperSource());
  process.stdout.write(table);
  if (values.quick || values.only) return;
  const out = values.out ?? join(root, 'bench/results');
  await mkdir(out, { recursive: true });
  await writeFile(
    join(out, 'paper-table.json'),
    `${JSON.stringify({ machine: where, threads: primitives?.threads, rows }, null, 2)}\n`,
  );
  await writeFile(join(out, 'paper-table.md'), table);
  const points = (of: (row: TableRow) => number | undefined) =>
    rows.flatMap((row) => {
      const y = of(row);
      return y === undefined ? [] : [{ x: row.parameters, y, label: row.name }];
    });
  const chart = logLogChart({
    title: `Seconds for ${TOKENS} token rows, by weights of the adapter`,
    xLabel: 'weights',
    yLabel: 'seconds',
    series: [
      { name: 'register', points: points((row) => row.registerSeconds), scattered: true },
      { name: 'prove', points: points((row) => row.proveSeconds), scattered: true },
      { name: 'verify', points: points((row) => row.verifySeconds), scattered: true },
      { name: 'published set-up', points: points((row) => row.publishedSeconds?.setup), scattered: true },
      {
        name: 'published prove',
        points: points((row) =>
          row.publishedSeconds ? row.publishedSeconds.witness + row.publishedSeconds.prove : undefined,
        ),
        scattered: true,
      },
      { name: 'published verify', points: points((row) => row.publishedSeconds?.verify), scattered: true },
    ],
  });
  await writeFile(join(out, 'paper-table.svg'), chart);
}

await main();

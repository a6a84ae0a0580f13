/**
 * What answers reveal: `npm run bench:leakage [-- --quick]`.
 *
 * An attack at growing numbers of rows beside the meter, levers of honest users, and the meter's cost. Writes
 * bench/results/leakage.json, from which bench/tables.ts makes tables and charts; `--quick` prints the JSON alone, from a few
 * rows.
 */
import { measureCost } from './leakage/cost.js';
import { openFixture } from './leakage/fixture.js';
import { measureLevers } from './leakage/levers.js';
import type { LeakageFile } from './leakage/markdown.js';
import { measureRecovery } from './leakage/recovery.js';
import { machine } from './report.js';
import { writeResult } from './results.js';
import { localIntegers } from './service/recorded.js';

const isQuick = process.argv.includes('--quick');
const COUNTS = isQuick ? [8, 32] : [4, 8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 192, 256, 384, 512, 576];
const WINDOWS = isQuick ? 12 : 48;

const fixture = await openFixture(WINDOWS);
try {
  const honest = localIntegers(fixture.model, fixture.modules);
  const asking = [0, 1, 2, 3, 4, 5];
  const judging = isQuick ? [8] : [8, 9, 10, 11, 12, 13];
  const recovery = await measureRecovery(fixture, COUNTS, asking, judging, honest);
  const levers = await measureLevers(fixture, honest, WINDOWS);
  const cost = await measureCost(isQuick ? [768] : [768, 2048, 4096]);
  const date = new Date().toISOString().slice(0, 10);
  const result: LeakageFile = { machine: machine(), date, recovery, levers, cost };
  if (!isQuick) await writeResult('leakage', result);
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
} finally {
  await fixture.model.close();
}

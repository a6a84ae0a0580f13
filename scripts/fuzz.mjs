// Goes on where the fuzz tests of the normal run stop: random mutants of every file format for some minutes, shared
// between the readers. A finding names the seed that brings it back.
//
//   npm run fuzz -- [--minutes 60] [--seed N] [--out test/adversarial/fuzz/result.json]
//
// Without a finding it prints the number of mutants of each reader, and writes it where --out says, with the outcomes:
// refused by code, read as something else and judged invalid, read as the same value.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** Calls of runRandom in the tests, on two workers. */
const TARGETS = 8;
const WORKERS = 2;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string' },
    out: { type: 'string' },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed ?? Date.now());
if (!(minutes > 0) || !Number.isSafeInteger(seed)) {
  process.stderr.write('usage: npm run fuzz -- [--minutes 60] [--seed N] [--out FILE]\n');
  process.exit(2);
}
process.stdout.write(`seed ${seed}, ${minutes} minutes\n`);
const folder = await mkdtemp(join(tmpdir(), 'zklora-fuzz-'));
const lines = join(folder, 'results');
const only = ['test/adversarial/fuzz', '-t', 'random edits'];
const child = spawn('npx', ['vitest', 'run', '--maxWorkers', String(WORKERS), ...only], {
  cwd: fileURLToPath(new URL('..', import.meta.url)),
  stdio: 'inherit',
  env: {
    ...process.env,
    ZKLORA_FUZZ_SEED: String(seed),
    ZKLORA_FUZZ_MINUTES: String((minutes * WORKERS) / TARGETS),
    ZKLORA_FUZZ_RESULTS: lines,
  },
});
const [code] = await once(child, 'exit');
if (code === 0)
  await report(
    (await readFile(lines, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  );
else process.stdout.write(`seed ${seed}: a finding, or a failure of the tests themselves\n`);
await rm(folder, { recursive: true });
process.exit(code ?? 1);

async function report(targets) {
  targets.sort((a, b) => (a.target < b.target ? -1 : 1));
  for (const { target, mutants } of targets) process.stdout.write(`${mutants} ${target}\n`);
  const total = targets.reduce((sum, { mutants }) => sum + mutants, 0);
  const perMinute = Math.round(total / minutes);
  process.stdout.write(`seed ${seed}: ${total} mutants, ${perMinute} a minute, no finding\n`);
  if (!values.out) return;
  const processors = cpus();
  const machine = { processor: processors[0].model, cores: processors.length, node: process.version };
  const commit = execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8' }).trim();
  const date = new Date().toISOString().slice(0, 10);
  const result = { date, machine, commit, seed, minutes, mutants: total, perMinute, findings: 0, targets };
  await writeFile(values.out, `${JSON.stringify(result, null, 2)}\n`);
}

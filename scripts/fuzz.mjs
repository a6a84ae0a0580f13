// Goes on where the fuzz tests of the normal run stop: random mutants of every file format for some minutes, shared
// between the readers. A finding names the seed that brings it back.
//
//   npm run fuzz -- [--minutes 60] [--seed N]
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** Calls of runRandom in the tests, on two workers. */
const TARGETS = 8;
const WORKERS = 2;

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '60' }, seed: { type: 'string' } },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed ?? Date.now());
if (!(minutes > 0) || !Number.isSafeInteger(seed)) {
  process.stderr.write('usage: npm run fuzz -- [--minutes 60] [--seed N]\n');
  process.exit(2);
}
process.stdout.write(`seed ${seed}, ${minutes} minutes\n`);
const root = fileURLToPath(new URL('..', import.meta.url));
const child = spawn('npx', ['vitest', 'run', 'test/adversarial/fuzz', '-t', 'random edits'], {
  cwd: root,
  stdio: 'inherit',
  env: {
    ...process.env,
    ZKLORA_FUZZ_SEED: String(seed),
    ZKLORA_FUZZ_MINUTES: String((minutes * WORKERS) / TARGETS),
  },
});
child.on('exit', (code) => {
  process.stdout.write(
    `seed ${seed}: ${code === 0 ? 'no finding' : 'a finding, or a failure of the tests themselves'}\n`,
  );
  process.exit(code ?? 1);
});

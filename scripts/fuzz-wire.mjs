// Attacks a live contributor over its port for some minutes: random and mutated frames and messages, cut and slow
// streams, floods; see test/adversarial/wire. A finding names the seed that brings it back.
//
//   npm run fuzz:wire -- [--minutes 5] [--seed N] [--out bench/results/wireFuzz.json]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string' },
    out: { type: 'string' },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
if (!(minutes > 0) || !Number.isSafeInteger(seed)) {
  process.stderr.write('usage: npm run fuzz:wire -- [--minutes 5] [--seed N] [--out FILE]\n');
  process.exit(2);
}
process.stdout.write(`seed ${seed}, ${minutes} minutes\n`);
const folder = await mkdtemp(join(tmpdir(), 'zklora-wire-'));
const written = join(folder, 'result');
const child = spawn('npx', ['vitest', 'run', 'test/adversarial/wire'], {
  cwd: fileURLToPath(new URL('..', import.meta.url)),
  stdio: 'inherit',
  env: {
    ...process.env,
    ZKLORA_WIRE_SEED: String(seed),
    ZKLORA_WIRE_MINUTES: String(minutes),
    ZKLORA_WIRE_RESULT: written,
  },
});
const [code] = await once(child, 'exit');
if (code === 0) {
  const result = {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, Node ${process.versions.node}`,
    minutes,
    findings: 0,
    ...JSON.parse(await readFile(written, 'utf8')),
  };
  process.stdout.write(`${result.attacks} attacks, no finding, peak ${result.peakRssBytes} bytes\n`);
  if (values.out) await writeFile(values.out, `${JSON.stringify(result, null, 2)}\n`);
} else process.stdout.write(`seed ${seed}: a finding, or a failure of the test itself\n`);
await rm(folder, { recursive: true });
process.exit(code ?? 1);

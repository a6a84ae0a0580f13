/**
 * Whether a contributor's memory stays flat: `npm run bench:soak [-- --minutes 10] [--sessions 4] [--print]`.
 *
 * Writes its section of bench/results/service.json and the table made from it; `--print` prints only.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { quantizeModule, readPeftAdapter } from '../src/adapter/index.js';
import { openBaseModel } from '../src/inference/index.js';
import { Contributor, register, serviceFixture } from './service/contributor.js';
import { tokenWindows } from './service/overhead.js';
import { recordCalls } from './service/recorded.js';
import { measured, writeSections } from './service/result.js';
import { SERVE } from './service/serveOptions.js';
import { measureSoak } from './service/soak.js';
import { writeTables } from './tables.js';

const TOKENS = 96;
const RECORDED = 8;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    sessions: { type: 'string', default: '4' },
    print: { type: 'boolean', default: false },
  },
});
const minutes = Number(values.minutes);
const folder = await mkdtemp(join(tmpdir(), 'zklora-bench-soak-'));
try {
  const fixture = serviceFixture('gpt2-tiny');
  const registered = await register(fixture, join(folder, 'registered'));
  const modules = (await readPeftAdapter(fixture.adapter)).modules.map(quantizeModule);
  const model = await openBaseModel(fixture.base, registered.commitment.modules);
  const { inputs } = model;
  const calls = await recordCalls(model, modules, await tokenWindows(TOKENS, RECORDED));
  await model.close();
  const sessionsDir = join(folder, 'sessions');
  const contributor = await Contributor.start(registered, sessionsDir, SERVE);
  try {
    const soak = await measureSoak({
      contributor,
      registered,
      modules,
      inputs,
      calls,
      minutes,
      sessions: Number(values.sessions),
      callsPerSession: 10,
      callsPerSecond: 2,
      proveEvery: 25,
      sessionsDir,
      sampleSeconds: Math.min(10, (60 * minutes) / 20),
      onSample: ({ seconds, rssBytes, heapBytes, handles, files, calls: done }) =>
        process.stderr.write(
          `${Math.round(seconds)} s: ${Math.round(rssBytes / 1e6)} MB, heap ${Math.round(heapBytes / 1e6)} MB, ` +
            `${handles} handles, ${files ?? '?'} files, ${done} calls\n`,
        ),
    });
    process.stdout.write(`${JSON.stringify(soak, null, 2)}\n`);
    if (!values.print) {
      await writeSections({ soak: { ...measured(), ...soak } });
      await writeTables();
    }
  } finally {
    await contributor.stop();
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}

/**
 * The service under measure: `npm run bench:service [-- --only overhead,load,responsiveness] [--seconds 10] [--passes 60]
 * [--sessions 1,2,4] [--quick]`.
 *
 * Real `zklora serve` processes on this machine. Writes its sections of bench/results/service.json and the tables made from them;
 * `--quick` is short and prints only.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { quantizeModule, readPeftAdapter } from '../src/adapter/index.js';
import { openBaseModel } from '../src/inference/index.js';
import { measureClients } from './service/clients.js';
import { Contributor, type Registered, register, serviceFixture } from './service/contributor.js';
import { type LoadRow, measureLoad } from './service/load.js';
import { measureOverhead, type Overhead, tokenWindows } from './service/overhead.js';
import { recordCalls } from './service/recorded.js';
import { measureResponsiveness, type Responsiveness } from './service/responsiveness.js';
import { measured, type ServiceFile, writeSections } from './service/result.js';
import { SERVE, SERVE_METERED } from './service/serveOptions.js';
import { writeTables } from './tables.js';

const TOKENS = 96;
const SESSIONS = [1, 2, 4, 8, 16, 32, 64];
/** Recorded passes that the load repeats. */
const RECORDED = 8;
const WHOLE_CLIENTS = 4;
const PROVEN_CALLS = 8;

interface Options {
  readonly seconds: number;
  readonly passes: number;
  readonly sessions: readonly number[];
}

type Measure<T> = (folder: string, options: Options) => Promise<T>;

const overhead: Measure<readonly Overhead[]> = async (folder, { passes }) => {
  const models: Overhead[] = [];
  for (const name of ['gpt2-tiny', 'llama-tiny'] as const) {
    const own = await mkdtemp(join(folder, `${name}-`));
    const registered = await register(serviceFixture(name), join(own, 'registered'));
    models.push(
      await measureOverhead({
        registered,
        folder: own,
        tokens: TOKENS,
        passes,
        serve: SERVE,
        ...(SERVE_METERED && { serveMetered: SERVE_METERED }),
      }),
    );
    for (const { name: way, medianMs, ratio } of models.at(-1)!.variants) {
      process.stderr.write(`${name}, ${way}: ${medianMs.toFixed(2)} ms, ${ratio.toFixed(2)} x\n`);
    }
    await rm(own, { recursive: true });
  }
  return models;
};

/** What a load needs of the GPT-2 fixture. */
async function prepare(folder: string) {
  const fixture = serviceFixture('gpt2-tiny');
  const registered = await register(fixture, join(folder, 'registered'));
  const modules = (await readPeftAdapter(fixture.adapter)).modules.map(quantizeModule);
  const model = await openBaseModel(fixture.base, registered.commitment.modules);
  const passes = await tokenWindows(TOKENS, RECORDED);
  return { registered, modules, model, passes, calls: await recordCalls(model, modules, passes) };
}

/** A contributor of its own for each row, whose records are removed afterwards. */
async function withContributor<T>(
  registered: Registered,
  folder: string,
  work: (contributor: Contributor, own: string) => Promise<T>,
): Promise<T> {
  const own = await mkdtemp(join(folder, 'served-'));
  const contributor = await Contributor.start(registered, join(own, 'sessions'), SERVE);
  try {
    return await work(contributor, own);
  } finally {
    await contributor.stop();
    await rm(own, { recursive: true });
  }
}

const load: Measure<{ model: string; rows: LoadRow[] }> = async (folder, { seconds, sessions }) => {
  const { registered, model, passes, calls } = await prepare(folder);
  const { commitment, fixture } = registered;
  const { inputs } = model;
  await model.close();
  const rows: LoadRow[] = [];
  const add = (row: LoadRow): void => {
    rows.push(row);
    process.stderr.write(
      `${row.sessions} sessions, ${row.client}: ${row.callsPerSecond.toFixed(1)} calls/s\n`,
    );
  };
  for (const count of sessions) {
    add(
      await withContributor(registered, folder, (contributor) =>
        measureLoad({ contributor, commitment, inputs, calls, sessions: count, seconds }),
      ),
    );
  }
  add(
    await withContributor(registered, folder, (contributor, own) =>
      measureClients({
        contributor,
        registered,
        folder: own,
        passes,
        sessions: Math.min(WHOLE_CLIENTS, Math.max(...sessions)),
        seconds,
      }),
    ),
  );
  return { model: fixture.name, rows };
};

const responsiveness: Measure<Responsiveness> = async (folder, { seconds }) => {
  const { registered, modules, model, calls } = await prepare(folder);
  try {
    return await withContributor(registered, folder, (contributor) =>
      measureResponsiveness({
        contributor,
        registered,
        model,
        modules,
        calls,
        seconds,
        provenCalls: PROVEN_CALLS,
      }),
    );
  } finally {
    await model.close();
  }
};

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', default: 'overhead,load,responsiveness' },
      seconds: { type: 'string', default: '10' },
      passes: { type: 'string', default: '60' },
      sessions: { type: 'string', default: SESSIONS.join(',') },
      quick: { type: 'boolean', default: false },
    },
  });
  const options: Options = values.quick
    ? { seconds: 1, passes: 10, sessions: [1, 4] }
    : {
        seconds: Number(values.seconds),
        passes: Number(values.passes),
        sessions: values.sessions.split(',').map(Number),
      };
  const wanted = new Set(values.only.split(','));
  const folder = await mkdtemp(join(tmpdir(), 'zklora-bench-service-'));
  try {
    const inFolder = async <T>(work: Measure<T>): Promise<T> =>
      work(await mkdtemp(join(folder, 'section-')), options);
    const sections: ServiceFile = {
      ...(wanted.has('overhead') && { overhead: { ...measured(), models: await inFolder(overhead) } }),
      ...(wanted.has('load') && { load: { ...measured(), ...(await inFolder(load)) } }),
      ...(wanted.has('responsiveness') && {
        responsiveness: { ...measured(), ...(await inFolder(responsiveness)) },
      }),
    };
    process.stdout.write(`${JSON.stringify(sections, null, 2)}\n`);
    if (values.quick) return;
    await writeSections(sections);
    await writeTables();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

await main();

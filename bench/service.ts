/**
 * The service under measure: `npm run bench:service [-- --only overhead,load,responsiveness] [--seconds 10] [--passes 60]
 * [--sessions 1,2,4] [--model distilgpt2] [--quick]`.
 *
 * Real `zklora serve` processes on this machine. Writes its sections of bench/results/service.json and the tables made from them;
 * `--quick` is short, `--model` measures the overhead of models with this in their name; both print only.
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
import { realSizeFixtures } from './service/realSize.js';
import { recordCalls } from './service/recorded.js';
import { measureResponsiveness, type Responsiveness } from './service/responsiveness.js';
import { measured, type ServiceFile, writeSections } from './service/result.js';
import { SERVE, SERVE_METERED } from './service/serveOptions.js';
import { writeTables } from './tables.js';

const TOKENS = 96;
const TOYS = ['gpt2-tiny', 'llama-tiny'] as const;
const SESSIONS = [1, 2, 4, 8, 16, 32, 64];
/** Rounds of a model of real size are this many times fewer: each takes tens of times as long as a toy's. */
const REAL_SIZE_FEWER = 3;
/** With the leakage meter on, a pass at real width takes far longer. */
const REAL_SIZE_METERED = 3;
/** Recorded passes that the load repeats. */
const RECORDED = 8;
const WHOLE_CLIENTS = 4;
const PROVEN_CALLS = 8;

interface Options {
  /** Part of the names of the models whose overhead is measured. */
  readonly only: string;
  readonly seconds: number;
  readonly passes: number;
  readonly sessions: readonly number[];
}

type Measure<T> = (folder: string, options: Options) => Promise<T>;

const overhead: Measure<readonly Overhead[]> = async (folder, { passes, only }) => {
  const results: Overhead[] = [];
  const models = [
    ...TOYS.map((name) => ({ fixture: serviceFixture(name), rounds: passes, metered: {} })),
    ...(await realSizeFixtures()).map((fixture) => ({
      fixture,
      rounds: Math.ceil(passes / REAL_SIZE_FEWER),
      metered: { meteredPasses: REAL_SIZE_METERED },
    })),
  ];
  for (const { fixture, rounds, metered } of models.filter((one) => one.fixture.name.includes(only))) {
    const { name } = fixture;
    const own = await mkdtemp(join(folder, 'overhead-'));
    const registered = await register(fixture, join(own, 'registered'));
    results.push(
      await measureOverhead({
        registered,
        folder: own,
        tokens: TOKENS,
        passes: rounds,
        ...metered,
        serve: SERVE,
        ...(SERVE_METERED && { serveMetered: SERVE_METERED }),
      }),
    );
    for (const { name: way, medianMs, ratio } of results.at(-1)!.variants) {
      process.stderr.write(`${name}, ${way}: ${medianMs.toFixed(2)} ms, ${ratio.toFixed(2)} x\n`);
    }
    await rm(own, { recursive: true });
  }
  return results;
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
      model: { type: 'string', default: '' },
      quick: { type: 'boolean', default: false },
    },
  });
  const options: Options = values.quick
    ? { only: values.model, seconds: 1, passes: 10, sessions: [1, 4] }
    : {
        only: values.model,
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
    if (values.quick || values.model !== '') return;
    await writeSections(sections);
    await writeTables();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

await main();

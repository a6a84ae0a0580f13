/**
 * Markdown and charts from the committed results: `node dist/bench/tables.js`.
 *
 * Measures nothing. Writes bench/results/*.svg and the tables of {@link PAGES}, between
 * `<!-- table:NAME -->` and `<!-- /table:NAME -->`; a result that does not exist leaves its table as it is.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { writeFileAtomic } from '../src/files.js';
import type { BatchFile } from './batch.js';
import { logLogChart, type Series } from './chart.js';
import { type LeakageFile, leakageCharts, leakageTables } from './leakage/markdown.js';
import type { PeersFile } from './peers.js';
import type { ProfileFile, StepProfile } from './profile.js';
import { type RegistrationFile, registrationMarkdown } from './registrationTable.js';
import {
  detailsMarkdown,
  floorMarkdown,
  machineText,
  markdown,
  megabytes,
  type PaperTable,
  paperChart,
  paperMarkdown,
  seconds,
  startupMarkdown,
} from './report.js';
import { RESULTS, ROOT, readResult } from './results.js';
import type { ScalingPoint, ScalingResult } from './scaling.js';
import { serviceTables } from './service/markdown.js';
import { readServiceFile } from './service/result.js';

/** Pages with tables. */
export const PAGES = ['docs/performance.md', 'docs/operations.md', 'docs/leakage.md', 'README.md'];

/** Tables by name. */
export type Tables = Readonly<Record<string, string>>;

function peersMarkdown({ machine, peers }: PeersFile): string {
  const table = markdown(
    [
      'weights',
      'constraints',
      'set-up',
      'key',
      'prove',
      'peak memory',
      'verify',
      'zklora: register',
      'zklora: prove',
      'zklora: verify',
      'prove, ratio',
    ],
    peers.map(({ direct: { setup, prove, verify }, ours }) => [
      setup.weights,
      setup.constraints,
      seconds(setup.setupSeconds),
      `${(setup.keyBytes / 1e6).toFixed(1)} MB`,
      seconds(prove.seconds),
      megabytes(Math.max(setup.peakRssBytes, prove.peakRssBytes)),
      seconds(verify.seconds),
      seconds(ours.register.seconds),
      seconds(ours.prove.seconds),
      seconds(ours.verify.seconds),
      `${(prove.seconds / ours.prove.seconds).toFixed(1)} x`,
    ]),
  );
  return `${table}\n\nMeasured on ${machineText(machine)}.`;
}

function batchMarkdown({ machine, tokens, rows }: BatchFile): string {
  const table = markdown(
    ['proofs', 'adapters', 'one by one', 'together', 'a proof, together', 'speed-up'],
    rows.map(({ proofs, adapters, singleSeconds, batchSeconds }) => [
      proofs,
      adapters,
      seconds(singleSeconds),
      seconds(batchSeconds),
      seconds(batchSeconds / proofs),
      `${(singleSeconds / batchSeconds).toFixed(2)} x`,
    ]),
  );
  return `${table}\n\nAdapters of distilgpt2's shapes, ${tokens} token rows. Measured on ${machineText(machine)}.`;
}

function profileMarkdown({ machine, adapter, tokens, stages, prove, verify }: ProfileFile): string {
  const share = (value: number, { busySeconds }: StepProfile) =>
    `${((100 * value) / busySeconds).toFixed(1)} %`;
  const functions = (profile: StepProfile) =>
    markdown(
      ['function', 'of busy time'],
      profile.functions.slice(0, 12).map(({ name, seconds: own }) => [`\`${name}\``, share(own, profile)]),
    );
  const folders = (profile: StepProfile) =>
    profile.folders
      .slice(0, 6)
      .map(({ name, seconds: own }) => `${name} ${share(own, profile)}`)
      .join(', ');
  return [
    `${adapter}, ${tokens} token rows, ${machineText(machine)}, under the sampling profiler. Stages of proving, wall time: ${Object.entries(
      stages,
    )
      .map(([stage, value]) => `${stage} ${seconds(value)}`)
      .join(', ')}.`,
    '',
    `Proving, ${seconds(prove.busySeconds)} busy in ${prove.threads} threads: ${folders(prove)}.`,
    '',
    functions(prove),
    '',
    `Verifying, ${seconds(verify.busySeconds)} busy in ${verify.threads} threads: ${folders(verify)}.`,
    '',
    functions(verify),
  ].join('\n');
}

function scalingMarkdown({ machine, points }: ScalingResult): string {
  const table = markdown(
    [
      'varies',
      'value',
      'modules x (n, r, k)',
      'tokens',
      'session',
      'prove: first / second',
      'CPU',
      'ns a weight',
      'verify: first / second',
      'peak: prove / verify',
      'weights and parameters alone',
    ],
    points.map((point) => [
      point.series,
      point.x,
      `${point.modules} x (${point.shape.join(', ')})`,
      point.tokens,
      `${(point.sessionBytes / 1e6).toFixed(1)} MB`,
      `${seconds(point.proveSeconds)} / ${seconds(point.proveWarmSeconds)}`,
      seconds(point.proveCpuSeconds),
      Math.round(point.provePerWeight * 1e9),
      `${seconds(point.verifySeconds)} / ${seconds(point.verifyWarmSeconds)}`,
      `${megabytes(point.provePeakRssBytes)} / ${megabytes(point.verifyPeakRssBytes)}`,
      megabytes(point.startRssBytes),
    ]),
  );
  return `${table}\n\nMeasured on ${machineText(machine)}.`;
}

type Measure = (point: ScalingPoint) => number;
const SECONDS: readonly (readonly [string, Measure])[] = [
  ['prove', (point) => point.proveSeconds],
  ['second proof', (point) => point.proveWarmSeconds],
  ['verify', (point) => point.verifySeconds],
];
const MEGABYTES: readonly (readonly [string, Measure])[] = [
  ['prove', (point) => point.provePeakRssBytes / 1e6],
  ['verify', (point) => point.verifyPeakRssBytes / 1e6],
  ['before proving', (point) => point.startRssBytes / 1e6],
];

/** SVG charts by file name. */
function scalingCharts({ points }: ScalingResult): Record<string, string> {
  const of = (name: string) => points.filter(({ series }) => series === name);
  const curves = (
    from: readonly ScalingPoint[],
    measures: typeof SECONDS,
    x: Measure = (point) => point.x,
  ): Series[] =>
    measures.map(([name, y]) => ({ name, points: from.map((point) => ({ x: x(point), y: y(point) })) }));
  const charts: [string, string, string, string, Series[]][] = [
    ['tokens', 'One module 4096 x 16 x 4096', 'token rows', 'seconds', curves(of('tokens'), SECONDS)],
    [
      'modules',
      'Modules 1024 x 8 x 1024, 15 token rows',
      'modules',
      'seconds',
      curves(of('modules'), SECONDS),
    ],
    ['rank', 'One module 2048 x r x 2048, 15 token rows', 'rank', 'seconds', curves(of('rank'), SECONDS)],
    [
      'width',
      'One module of rank 8, 15 token rows, the other side 512',
      'n or k',
      'seconds',
      ['inputs', 'outputs'].flatMap((name) =>
        curves(of(name), SECONDS).map((series) => ({ ...series, name: `${series.name}, ${name}` })),
      ),
    ],
    [
      'weights',
      'Seconds by weights, 15 token rows',
      'weights',
      'seconds',
      ['modules', 'rank', 'inputs', 'outputs'].map((name) => ({
        name: `prove, ${name} vary`,
        points: of(name).map((point) => ({ x: point.weights, y: point.proveSeconds })),
      })),
    ],
    [
      'per-weight',
      'Prove time of one weight, 15 token rows',
      'weights',
      'nanoseconds',
      ['modules', 'rank', 'inputs', 'outputs'].map((name) => ({
        name: `${name} vary`,
        points: of(name).map((point) => ({ x: point.weights, y: point.provePerWeight * 1e9 })),
      })),
    ],
    [
      'memory-modules',
      'Peak memory, modules 1024 x 8 x 1024',
      'modules',
      'MB',
      curves(of('modules'), MEGABYTES),
    ],
    [
      'memory-tokens',
      'Peak memory, one module 4096 x 16 x 4096',
      'token rows',
      'MB',
      curves(of('tokens'), MEGABYTES),
    ],
  ];
  return Object.fromEntries(
    charts
      .filter(([, , , , series]) => series.every(({ points: drawn }) => drawn.length > 0))
      .map(([name, title, xLabel, yLabel, series]) => [
        `scaling-${name}.svg`,
        logLogChart({ title, xLabel, yLabel, series }),
      ]),
  );
}

/** All tables whose results exist, and all charts. */
export async function renderResults(): Promise<{ tables: Tables; charts: Readonly<Record<string, string>> }> {
  const tables: Record<string, string> = {};
  const charts: Record<string, string> = {};
  const paper = await readResult<PaperTable>('paper-table');
  if (paper) {
    tables.paper = paperMarkdown(paper);
    tables.details = detailsMarkdown(paper);
    tables.floor = floorMarkdown(paper);
    tables.startup = startupMarkdown(paper);
    charts['paper-table.svg'] = paperChart(paper);
  }
  const peers = await readResult<PeersFile>('peers');
  if (peers) tables.peers = peersMarkdown(peers);
  const batch = await readResult<BatchFile>('batch');
  if (batch) tables.batch = batchMarkdown(batch);
  const profile = await readResult<ProfileFile>('profile');
  if (profile) tables.profile = profileMarkdown(profile);
  const registration = await readResult<RegistrationFile>('registration');
  if (registration) tables.registration = registrationMarkdown(registration);
  const scaling = await readResult<ScalingResult>('scaling');
  if (scaling) {
    tables.scaling = scalingMarkdown(scaling);
    Object.assign(charts, scalingCharts(scaling));
  }
  const leakage = await readResult<LeakageFile>('leakage');
  if (leakage) {
    Object.assign(tables, leakageTables(leakage));
    Object.assign(charts, leakageCharts(leakage));
  }
  const service = await readServiceFile();
  if (service) Object.assign(tables, serviceTables(service));
  return { tables, charts };
}

/** A page with its tables replaced; tables that are not given stay. */
export function insertTables(page: string, tables: Tables): string {
  return page.replace(/<!-- table:([\w-]+) -->\n[\s\S]*?<!-- \/table:\1 -->/g, (whole, name: string) => {
    const table = tables[name];
    return table === undefined ? whole : `<!-- table:${name} -->\n${table}\n<!-- /table:${name} -->`;
  });
}

/** Writes charts and pages. */
export async function writeTables(): Promise<void> {
  const { tables, charts } = await renderResults();
  for (const [name, svg] of Object.entries(charts)) {
    await writeFileAtomic(join(RESULTS, name), svg, { overwrite: true });
  }
  for (const name of PAGES) {
    const path = join(ROOT, name);
    const page = await readFile(path, 'utf8');
    await writeFileAtomic(path, insertTables(page, tables), { overwrite: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await writeTables();

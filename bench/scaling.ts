/**
 * How cost grows: `node dist/bench/scaling.js [--only series,..] [--run id] [--quick]`.
 *
 * Writes bench/results/scaling.json after every point, so that a run that was stopped goes on with `--run id`; points of other
 * runs are replaced. --quick measures the two smallest points of each series and writes nothing.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { PaperShape } from './paper.js';
import { benchParameters } from './parameters.js';
import { type Machine, machine } from './report.js';
import { CACHE, readResult, writeResult } from './results.js';
import { measureRow, type RowAdapter, sizesOf } from './rows.js';
import { writeTables } from './tables.js';

/** One measured point. */
export interface ScalingPoint {
  readonly series: string;
  /** What varies in its series. */
  readonly x: number;
  readonly modules: number;
  readonly shape: PaperShape;
  readonly tokens: number;
  readonly weights: number;
  readonly domainSize: number;
  /** X, Y and exponents as a session file holds them. */
  readonly sessionBytes: number;
  readonly registerSeconds: number;
  /** First proof of a fresh process. */
  readonly proveSeconds: number;
  /** Second proof of the same process. */
  readonly proveWarmSeconds: number;
  readonly proveCpuSeconds: number;
  readonly provePerWeight: number;
  readonly verifySeconds: number;
  readonly verifyWarmSeconds: number;
  readonly verifyCpuSeconds: number;
  readonly proofBytes: number;
  readonly provePeakRssBytes: number;
  readonly verifyPeakRssBytes: number;
  /** Resident set when proving began: curve, parameters and all weights. */
  readonly startRssBytes: number;
  readonly run: string;
}

/** bench/results/scaling.json */
export interface ScalingResult {
  readonly machine: Machine;
  readonly points: readonly ScalingPoint[];
}

interface Point {
  readonly x: number;
  readonly modules: number;
  readonly shape: PaperShape;
  readonly tokens: number;
}

/** Token rows of the paper's table. */
const TOKENS = 15;

/** Tokens of one call at most: a session is streamed call by call. */
const CALL_TOKENS = 256;

/** From this on a session repeats its first call, read from the file each time: 16 GB need not lie on a disk. */
const MAX_DISTINCT_BYTES = 2 ** 29;

/** From this on a point is proven and verified once only. */
const MAX_REPEATED_BYTES = 2 ** 32;

const SERIES: Readonly<Record<string, readonly Point[]>> = {
  tokens: [15, 64, 256, 1024, 4096, 8192].map((x) => ({
    x,
    modules: 1,
    shape: [4096, 16, 4096],
    tokens: x,
  })),
  modules: [1, 4, 16, 64, 256].map((x) => ({ x, modules: x, shape: [1024, 8, 1024], tokens: TOKENS })),
  rank: [1, 4, 16, 64, 256].map((x) => ({ x, modules: 1, shape: [2048, x, 2048], tokens: TOKENS })),
  inputs: [512, 2048, 8192, 32768].map((x) => ({ x, modules: 1, shape: [x, 8, 512], tokens: TOKENS })),
  outputs: [512, 2048, 8192, 32768].map((x) => ({ x, modules: 1, shape: [512, 8, x], tokens: TOKENS })),
  // Llama-3.3-70B: 8192 tokens are a session of 16 GB
  session70b: [15, 512, 8192].map((x) => ({ x, modules: 80, shape: [8192, 16, 1024], tokens: x })),
};

/** Bytes of one token in a session. */
function tokenBytes({ modules, shape: [n, , k] }: Point): number {
  return modules * (2 * n + 2 + 8 * k);
}

/** Tokens of the calls that are written, and how often they follow one another. */
function callsOf(point: Point): { calls: number[]; repeatCalls: number } {
  const { tokens } = point;
  // 64 MB a call at most
  const most = Math.max(1, Math.min(CALL_TOKENS, 2 ** Math.floor(Math.log2(2 ** 26 / tokenBytes(point)))));
  const count = Math.ceil(tokens / most);
  if (tokens * tokenBytes(point) > MAX_DISTINCT_BYTES && tokens % most === 0) {
    return { calls: [most], repeatCalls: count };
  }
  const calls = new Array<number>(count).fill(most);
  calls[count - 1] = tokens - most * (count - 1);
  return { calls, repeatCalls: 1 };
}

async function measurePoint(
  series: string,
  point: Point,
  parameters: string,
  run: string,
): Promise<ScalingPoint> {
  const { x, modules, shape, tokens } = point;
  const adapter: RowAdapter = { name: `${series}-${x}`, layers: modules, perLayer: [shape], inputs: [0] };
  const { register, prove, verify } = await measureRow(adapter, {
    parameters,
    scratch: join(CACHE, 'scaling'),
    ...callsOf(point),
    processes: 1,
    repeat: tokens * tokenBytes(point) > MAX_REPEATED_BYTES ? 1 : 2,
    perModule: false,
    circuits: false,
    plain: false,
  });
  const { parameters: weights, domainSize } = sizesOf(adapter);
  return {
    series,
    x,
    modules,
    shape,
    tokens,
    weights,
    domainSize,
    sessionBytes: tokens * tokenBytes(point),
    registerSeconds: register.seconds,
    proveSeconds: prove.seconds,
    proveWarmSeconds: prove.warmSeconds ?? prove.seconds,
    proveCpuSeconds: prove.cpuSeconds,
    provePerWeight: prove.seconds / weights,
    verifySeconds: verify.seconds,
    verifyWarmSeconds: verify.warmSeconds ?? verify.seconds,
    verifyCpuSeconds: verify.cpuSeconds,
    proofBytes: prove.bytes ?? 0,
    provePeakRssBytes: prove.peakRssBytes,
    verifyPeakRssBytes: verify.peakRssBytes,
    startRssBytes: prove.startRssBytes,
    run,
  };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { only: { type: 'string' }, run: { type: 'string' }, quick: { type: 'boolean' } },
  });
  const names = values.only?.split(',') ?? Object.keys(SERIES);
  const unknown = names.find((name) => !Object.hasOwn(SERIES, name));
  if (unknown !== undefined) throw new Error(`no series ${unknown}: ${Object.keys(SERIES).join(', ')}`);
  const run = values.run ?? randomBytes(4).toString('hex');
  process.stderr.write(`run ${run}\n`);
  const parameters = await benchParameters(join(CACHE, 'params'));
  const where = machine();
  let points = (await readResult<ScalingResult>('scaling'))?.points ?? [];
  for (const series of names) {
    for (const point of SERIES[series]!.slice(0, values.quick ? 2 : undefined)) {
      const same = (other: ScalingPoint) => other.series === series && other.x === point.x;
      if (points.some((other) => same(other) && other.run === run)) continue;
      const measured = await measurePoint(series, point, parameters, run);
      process.stderr.write(
        `${series} ${point.x}: prove ${measured.proveSeconds.toFixed(2)} s, verify ` +
          `${measured.verifySeconds.toFixed(2)} s, peak ${Math.round(measured.provePeakRssBytes / 1e6)} MB\n`,
      );
      const order = Object.keys(SERIES);
      points = [...points.filter((other) => !same(other)), measured].sort(
        (a, b) => order.indexOf(a.series) - order.indexOf(b.series) || a.x - b.x,
      );
      if (values.quick) process.stdout.write(`${JSON.stringify(measured)}\n`);
      else await writeResult('scaling', { machine: where, points });
    }
  }
  if (!values.quick) await writeTables();
}

await main();

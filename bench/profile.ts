/**
 * Where the time of a proof goes: `node dist/bench/profile.js [adapter name] [--quick]`.
 *
 * Proves and verifies once in a fresh process under V8's sampling profiler (`--cpu-prof`, the main thread and every worker thread
 * write a profile) and adds up the samples by function and by folder. Writes bench/results/profile.json; --quick prints only.
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildBn128 } from 'ffjavascript';
import { addFieldKernels } from '../src/algebra/kernels.js';
import { runChild } from './child.js';
import { paperAdapters } from './paper.js';
import { benchParameters } from './parameters.js';
import { type Machine, machine } from './report.js';
import { CACHE, writeResult } from './results.js';
import { writeTables } from './tables.js';
import { exportedFunctions } from './wasmNames.js';
import type { StepOptions, StepResult } from './work.js';

/** Time of one function, itself without what it calls. */
export interface ProfileEntry {
  readonly name: string;
  readonly seconds: number;
}

/** Busy time of all threads of one process. */
export interface StepProfile {
  readonly threads: number;
  readonly busySeconds: number;
  /** Waiting and sleeping threads. */
  readonly idleSeconds: number;
  readonly folders: readonly ProfileEntry[];
  readonly functions: readonly ProfileEntry[];
}

/** bench/results/profile.json */
export interface ProfileFile {
  readonly machine: Machine;
  readonly adapter: string;
  readonly tokens: number;
  /** Stages of the proof, wall time; the linear form and the polynomials run side by side. */
  readonly stages: Readonly<Record<string, number>>;
  readonly prove: StepProfile;
  readonly verify: StepProfile;
}

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
  }[];
  /** Microseconds on the monotonic clock. */
  readonly startTime: number;
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const TOKENS = 15;
const SAMPLE_MICROSECONDS = 500;
/** Functions that are listed. */
const LISTED = 24;
const IDLE = new Set(['(idle)', '(program)', '(root)']);

/** Folder of src/ or package that a script belongs to. */
function folderOf(name: string, url: string): string {
  if (name === '(garbage collector)') return 'garbage collection';
  if (url.startsWith('wasm:')) return 'WebAssembly';
  if (url.startsWith('node:')) return 'Node';
  const dependency = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url);
  if (dependency) return dependency[1]!;
  const own = /dist\/(src\/[^/]+|bench)/.exec(url);
  // what has no address: worker threads of ffjavascript are started from text
  return own?.[1]?.replace(/\.js$/, '') ?? (url === '' ? 'Node' : 'ffjavascript');
}

/** Our own functions with their file, those of the curve's WebAssembly module by the names it exports. */
function labelOf(name: string, url: string, kernels: ReadonlyMap<number, string>): string {
  const index = url.startsWith('wasm:') ? /^wasm-function\[(\d+)\]$/.exec(name)?.[1] : undefined;
  if (index !== undefined) return `${kernels.get(Number(index)) ?? name} (WebAssembly)`;
  const shown = name === '' ? '(anonymous)' : name;
  const own = /dist\/(src\/.*)\.js$/.exec(url);
  return own ? `${shown} (${own[1]})` : `${shown} (${folderOf(name, url)})`;
}

/** @param span of the work itself: samples outside it, loading above all, do not count */
async function readProfiles(
  dir: string,
  [from, to]: readonly [number, number],
  kernels: ReadonlyMap<number, string>,
): Promise<StepProfile> {
  const functions = new Map<string, number>();
  const folders = new Map<string, number>();
  const add = (map: Map<string, number>, key: string, seconds: number) =>
    map.set(key, (map.get(key) ?? 0) + seconds);
  let idleSeconds = 0;
  let busySeconds = 0;
  const files = (await readdir(dir)).filter((name) => name.endsWith('.cpuprofile'));
  for (const file of files) {
    const profile = JSON.parse(await readFile(join(dir, file), 'utf8')) as CpuProfile;
    const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
    let clock = profile.startTime;
    profile.samples.forEach((id, i) => {
      clock += profile.timeDeltas[i]!;
      if (clock < from || clock > to) return;
      const { functionName, url } = frames.get(id)!;
      const seconds = profile.timeDeltas[i]! / 1e6;
      if (IDLE.has(functionName)) {
        idleSeconds += seconds;
        return;
      }
      busySeconds += seconds;
      add(functions, labelOf(functionName, url, kernels), seconds);
      add(folders, folderOf(functionName, url), seconds);
    });
  }
  const sorted = (map: Map<string, number>) =>
    [...map]
      .map(([name, seconds]) => ({ name, seconds: Math.round(seconds * 1e4) / 1e4 }))
      .sort((a, b) => b.seconds - a.seconds);
  return {
    threads: files.length,
    busySeconds,
    idleSeconds,
    folders: sorted(folders),
    functions: sorted(functions).slice(0, LISTED),
  };
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { quick: { type: 'boolean' } },
    allowPositionals: true,
  });
  const name = positionals[0] ?? (values.quick ? 'distilgpt2' : 'Llama-3.3-70B-Instruct');
  const adapter = (await paperAdapters()).find((candidate) => candidate.name === name);
  if (!adapter) throw new Error(`no adapter is called ${name}`);
  const parameters = await benchParameters(join(CACHE, 'params'));
  const dir = join(CACHE, 'profile');
  await rm(dir, { recursive: true, force: true });
  await mkdir(dir, { recursive: true });
  const { layers, perLayer, inputs } = adapter;
  const options: StepOptions = {
    parameters,
    layers,
    perLayer,
    inputs,
    calls: [TOKENS],
    repeatCalls: 1,
    mode: 'aggregated',
    repeat: 1,
  };
  const step = (which: string, flags: readonly string[] = []) =>
    runChild<StepResult>('work.js', [which, dir, JSON.stringify(options)], flags);
  const profiled = async (which: string) => {
    const profiles = join(dir, which);
    const flags = ['--cpu-prof', `--cpu-prof-dir=${profiles}`, `--cpu-prof-interval=${SAMPLE_MICROSECONDS}`];
    const result = await step(which, flags);
    return { result, profile: await readProfiles(profiles, result.span, kernels) };
  };
  // only a curve on one thread keeps its module's code
  const { tm } = (await buildBn128(true, addFieldKernels)) as { tm: { code: Uint8Array } };
  const kernels = exportedFunctions(tm.code);
  for (const which of ['weights', 'register', 'session']) await step(which);
  const prove = await profiled('prove');
  const verify = await profiled('verify');
  await rm(dir, { recursive: true, force: true });
  const result: ProfileFile = {
    machine: machine(),
    adapter: name,
    tokens: TOKENS,
    stages: prove.result.stages ?? {},
    prove: prove.profile,
    verify: verify.profile,
  };
  if (values.quick) {
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    return;
  }
  await writeResult('profile', result);
  await writeTables();
}

await main();

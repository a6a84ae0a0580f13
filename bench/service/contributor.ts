/** A real `zklora serve` process with a probe in it. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { type AdapterCommitment, parseAdapterCommitment } from '../../src/adapter/index.js';
import { readFileBounded } from '../../src/files.js';
import { type Address, parseAddress } from '../../src/inference/index.js';
import { ROOT } from '../results.js';

const MAIN = join(ROOT, 'dist/cli/main.js');
const PROBE = join(ROOT, 'bench/service/probe.mjs');
const MAX_COMMITMENT_BYTES = 32 * 2 ** 20;

/** A model, an adapter for it, and parameters that are large enough. */
export interface ServiceFixture {
  readonly name: string;
  readonly base: string;
  readonly adapter: string;
  readonly parameters: string;
}

/** Bundled. */
export function serviceFixture(name: 'gpt2-tiny' | 'llama-tiny'): ServiceFixture {
  const folder = join(ROOT, 'fixtures', name);
  return {
    name,
    base: join(folder, 'base/model.onnx'),
    adapter: join(folder, 'adapter'),
    parameters: join(ROOT, 'fixtures/params/development'),
  };
}

/** How late an event loop was, in milliseconds beyond the probe's own millisecond. */
export interface LoopDelay {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** What a process holds; counters run from its start, the delay from the sample before. */
export interface Sample {
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  readonly peakRssBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly handles: number;
  readonly loopDelayMs: LoopDelay;
  /** Open files, where the system lists them under /proc. */
  readonly files: number | null;
}

/** A registered adapter. */
export interface Registered {
  readonly fixture: ServiceFixture;
  readonly commitment: AdapterCommitment;
  readonly commitmentFile: string;
  readonly secretFile: string;
}

/** Registers a fixture's adapter as a contributor does. @param folder new */
export async function register(fixture: ServiceFixture, folder: string): Promise<Registered> {
  const { base, adapter, parameters } = fixture;
  await promisify(execFile)(process.execPath, [
    ...[MAIN, 'register', '--json', '--adapter', adapter, '--base', base],
    ...['--parameters', parameters, '--out', folder],
  ]);
  const commitmentFile = join(folder, 'adapter.zkl.json');
  const bytes = await readFileBounded(commitmentFile, MAX_COMMITMENT_BYTES, 'adapter commitment');
  const commitment = parseAdapterCommitment(new TextDecoder().decode(bytes));
  return { fixture, commitment, commitmentFile, secretFile: join(folder, 'adapter.secret') };
}

/** The process; its log is dropped. */
export class Contributor {
  readonly address: Address;
  /** From the start of the process to its answer that it listens, seconds. */
  readonly startSeconds: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, address: Address, startSeconds: number) {
    this.#child = child;
    this.address = address;
    this.startSeconds = startSeconds;
  }

  /** @param sessions folder of its records @param options more flags of `zklora serve` */
  static async start(
    { fixture, commitmentFile, secretFile }: Registered,
    sessions: string,
    options: readonly string[] = [],
  ): Promise<Contributor> {
    const started = performance.now();
    const args = [
      ...['--expose-gc', '--import', PROBE, MAIN, 'serve', '--json', '--listen', '127.0.0.1:0'],
      ...['--adapter', fixture.adapter, '--commitment', commitmentFile, '--secret', secretFile],
      ...['--parameters', fixture.parameters, '--sessions', sessions, ...options],
    ];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore', 'ipc'] });
    const lines = createInterface({ input: child.stdout! });
    for await (const line of lines) {
      const { address } = JSON.parse(line) as { address?: string };
      if (address === undefined) break;
      return new Contributor(child, parseAddress(address), (performance.now() - started) / 1e3);
    }
    throw new Error(`zklora serve ${options.join(' ')} ended before it listened`);
  }

  /** @param collect collects garbage first */
  async sample(collect = false): Promise<Sample> {
    const answer = once(this.#child, 'message');
    this.#child.send({ collect });
    const [sample] = (await answer) as [Omit<Sample, 'files'>];
    const open = await readdir(`/proc/${this.#child.pid}/fd`).catch(() => null);
    return { ...sample, files: open?.length ?? null };
  }

  /** Ends the process as an operator does. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, 'close');
    this.#child.kill('SIGTERM');
    await ended;
  }
}

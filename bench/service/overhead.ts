/** What split, network and records cost over the uncut model, as a whole and by part. */
import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type QuantizedModule, quantizeModule, readPeftAdapter } from '../../src/adapter/index.js';
import {
  type BaseModel,
  byteWindows,
  type ContributorClient,
  connectContributor,
  growHeapFreely,
  type Logits,
  openBaseModel,
  openRecordedSession,
  type RecordedSession,
} from '../../src/inference/index.js';
import { ROOT } from '../results.js';
import { Contributor, type Registered } from './contributor.js';
import { measureParts, type Part } from './parts.js';
import { localIntegers, recordCalls, zeroDeltas } from './recorded.js';
import { REMOTE } from './result.js';
import { median, quantile } from './stats.js';
import { openUnsplit } from './unsplit.js';

/** A folder in memory, where flushing costs nothing; Linux. */
const MEMORY_FOLDER = '/dev/shm';

/** Passes that are not counted: the first ones compile code and grow buffers. */
const WARM_UP = 8;

/** Uncut and cut model may differ by this part of the largest logit: the runtime fuses other nodes. */
const TOLERANCE = 1e-5;

/** One way to run a forward pass. */
export interface Variant {
  readonly name: string;
  /** Passes that count. */
  readonly passes: number;
  readonly medianMs: number;
  readonly p90Ms: number;
  /** Of the uncut model's median. */
  readonly ratio: number;
  /** Processor time of a pass, this process with its model thread. */
  readonly userCpuMs: number;
  /** Processor time of a pass at the contributor. */
  readonly contributorCpuMs: number;
}

export interface Overhead {
  readonly model: string;
  readonly tokens: number;
  readonly passes: number;
  readonly modules: number;
  readonly stages: number;
  /** Bytes of activations and of deltas in one call. */
  readonly activationBytes: number;
  readonly deltaBytes: number;
  /** Largest difference of the cut model with deltas of zero from the uncut one, as a part of the largest logit. */
  readonly cutDifference: number;
  readonly variants: readonly Variant[];
  readonly parts: readonly Part[];
}

export interface OverheadOptions {
  readonly registered: Registered;
  readonly folder: string;
  readonly tokens: number;
  readonly passes: number;
  /** Flags of `zklora serve` in all variants, and in one more that has the leakage meter on. */
  readonly serve: readonly string[];
  readonly serveMetered?: readonly string[];
  /** Passes with the meter on; as many as the others by default. */
  readonly meteredPasses?: number;
}

interface Way {
  readonly name: string;
  readonly run: (ids: BigInt64Array) => Promise<Logits>;
  readonly contributor?: Contributor;
  /** At most so many passes, after one that is not counted. */
  readonly limit?: number;
}

/** Runs all ways on the same tokens, one after the other in each round, starting with another one each time. */
export async function measureOverhead(options: OverheadOptions): Promise<Overhead> {
  const { registered, tokens, passes, folder } = options;
  const { commitment, fixture } = registered;
  // as `zklora evaluate` does, whose part this process has
  growHeapFreely();
  const modules = (await readPeftAdapter(fixture.adapter)).modules.map(quantizeModule);
  const unsplit = await openUnsplit(fixture.base);
  const model = await openBaseModel(fixture.base, commitment.modules);
  const remote = new Remote(registered, model);
  try {
    const windows = await tokenWindows(tokens, passes + WARM_UP);
    const ways: Way[] = [
      { name: 'uncut model', run: (ids) => unsplit.forward(ids) },
      {
        name: 'cut, deltas of zero',
        run: (ids) => model.forward(ids, 1, tokens, zeroDeltas(model, modules)),
      },
      {
        name: 'cut, adapter in this process',
        run: (ids) => model.forward(ids, 1, tokens, localIntegers(model, modules)),
      },
      await remote.way(REMOTE, folder, options.serve),
    ];
    const inMemory = join(MEMORY_FOLDER, `zklora-bench-${process.pid}`);
    if (await isFolder(MEMORY_FOLDER)) {
      await mkdir(inMemory);
      remote.temporary = inMemory;
      ways.push(await remote.way('the same, records in memory (nothing to flush)', inMemory, options.serve));
    }
    if (options.serveMetered) {
      const metered = join(folder, 'metered');
      await mkdir(metered);
      const way = await remote.way(
        'the same, records on disk, leakage meter on',
        metered,
        options.serveMetered,
      );
      const { meteredPasses: limit } = options;
      ways.push({ ...way, ...(limit !== undefined && { limit }) });
    }
    const cutDifference = await checkAnswers(ways, windows[0]!);
    const [recorded] = await recordCalls(model, modules, windows.slice(0, 1));
    const { activationBytes, deltaBytes } = callBytes(modules, tokens, model);
    return {
      model: fixture.name,
      tokens,
      passes,
      modules: modules.length,
      stages: model.stages.length,
      activationBytes,
      deltaBytes,
      cutDifference,
      variants: await runWays(ways, windows),
      parts: await measureParts({ model, commitment, modules, call: recorded!, folder }),
    };
  } finally {
    await remote.close();
    await model.close();
    await unsplit.close();
  }
}

/**
 * Compares what the ways answer: cut and uncut agree, the adapter changes something, and every contributor gives the logits
 * of the adapter in this process, bit for bit.
 *
 * @param ways uncut, cut, adapter in this process, contributors
 * @returns difference of the cut model, as a part of the largest logit
 */
async function checkAnswers(ways: readonly Way[], ids: BigInt64Array): Promise<number> {
  const answers: Float32Array[] = [];
  for (const way of ways) answers.push((await way.run(ids.slice())).values);
  const [uncut, cut, local, ...remote] = answers;
  const cutDifference = difference(uncut!, cut!);
  if (!(cutDifference <= TOLERANCE)) throw new Error(`the cut model is off by ${cutDifference}`);
  if (!(difference(uncut!, local!) > TOLERANCE)) throw new Error('the adapter changes no logit');
  for (const values of remote) {
    if (difference(local!, values) !== 0) throw new Error('a contributor gives other logits');
  }
  return cutDifference;
}

/** Largest difference, as a part of the largest value. */
export function difference(expected: Float32Array, values: Float32Array): number {
  if (expected.length !== values.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  let off = 0;
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs(expected[i]!));
    off = Math.max(off, Math.abs(expected[i]! - values[i]!));
  }
  return off / largest;
}

async function runWays(ways: readonly Way[], windows: readonly BigInt64Array[]): Promise<Variant[]> {
  const measured = ways.map((way) => ({ way, ms: [] as number[], user: 0, contributor: 0 }));
  for (const [round, ids] of windows.entries()) {
    for (let i = 0; i < measured.length; i++) {
      const one = measured[(i + round) % measured.length]!;
      const { contributor, limit } = one.way;
      const enough = round < WARM_UP ? round > 0 : one.ms.length >= (limit ?? Infinity);
      if (limit !== undefined && enough) continue;
      const before = contributor && (await contributor.sample());
      const cpu = process.cpuUsage();
      const started = performance.now();
      await one.way.run(ids.slice());
      const ms = performance.now() - started;
      const used = process.cpuUsage(cpu);
      if (round < WARM_UP) continue;
      one.ms.push(ms);
      one.user += (used.user + used.system) / 1e3;
      if (contributor && before) {
        one.contributor += 1e3 * ((await contributor.sample()).cpuSeconds - before.cpuSeconds);
      }
    }
  }
  const unit = median(measured[0]!.ms);
  return measured.map(({ way, ms, user, contributor }) => ({
    name: way.name,
    passes: ms.length,
    medianMs: median(ms),
    p90Ms: quantile(ms, 0.9),
    ratio: median(ms) / unit,
    userCpuMs: user / ms.length,
    contributorCpuMs: contributor / ms.length,
  }));
}

/** Sessions with contributors, to be ended together. */
class Remote {
  temporary: string | undefined;
  readonly #ends: (() => Promise<void>)[] = [];

  constructor(
    private readonly registered: Registered,
    private readonly model: BaseModel,
  ) {}

  async way(name: string, folder: string, serve: readonly string[]): Promise<Way> {
    const { registered, model } = this;
    const contributor = await Contributor.start(registered, join(folder, 'contributor'), serve);
    this.#ends.push(() => contributor.stop());
    const client: ContributorClient = await connectContributor({ address: contributor.address });
    this.#ends.push(async () => client.close());
    const { commitment } = registered;
    const dir = join(folder, 'user');
    const session: RecordedSession = await openRecordedSession({ model, client, commitment, dir });
    this.#ends.push(async () => session.abandon());
    return { name, contributor, run: (ids) => session.forward(ids, 1, ids.length) };
  }

  async close(): Promise<void> {
    for (const end of this.#ends.reverse()) await end();
    if (this.temporary !== undefined) await rm(this.temporary, { recursive: true, force: true });
  }
}

/** Windows of the held-out text, each `tokens` bytes long; the text is used again from its beginning when it ends. */
export async function tokenWindows(tokens: number, count: number): Promise<BigInt64Array[]> {
  const text = new Uint8Array(await readFile(join(ROOT, 'fixtures/gpt2-tiny/text/heldout.txt')));
  const { ids, count: found } = byteWindows(text, tokens);
  return Array.from({ length: count }, (_, i) => ids.slice((i % found) * tokens, ((i % found) + 1) * tokens));
}

function callBytes(
  modules: readonly QuantizedModule[],
  tokens: number,
  { inputs }: BaseModel,
): { activationBytes: number; deltaBytes: number } {
  let activationBytes = 0;
  for (const [first] of inputs) activationBytes += 2 * tokens * (modules[first!]!.inFeatures + 1);
  const outputs = modules.reduce((sum, { outFeatures }) => sum + outFeatures, 0);
  return { activationBytes, deltaBytes: 8 * tokens * outputs };
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

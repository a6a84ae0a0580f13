/** Many sessions at once against one contributor. */
import { randomBytes } from 'node:crypto';
import type { AdapterCommitment } from '../../src/adapter/index.js';
import {
  type ContributorClient,
  connectContributor,
  generateKeyPair,
  type RemoteSession,
} from '../../src/inference/index.js';
import type { Contributor, LoopDelay } from './contributor.js';
import type { RecordedCall } from './recorded.js';
import { type Distribution, distribution } from './stats.js';

/** One row of the load table. */
export interface LoadRow {
  readonly sessions: number;
  /** Whether each session has a model of its own, and records. */
  readonly client: 'recorded activations' | 'whole clients';
  readonly seconds: number;
  readonly calls: number;
  readonly callsPerSecond: number;
  readonly tokensPerSecond: number;
  readonly stageMs: Distribution;
  readonly callMs: Distribution;
  /** Processor time over wall time: 1 is one core. */
  readonly contributorCores: number;
  readonly clientCores: number;
  readonly contributorPeakRssBytes: number;
  readonly contributorLoopDelayMs: LoopDelay;
}

export interface Timings {
  readonly stages: number[];
  readonly calls: number[];
}

/** One session that sends recorded activations. */
export class Caller {
  readonly session: RemoteSession;
  readonly timings: Timings = { stages: [], calls: [] };
  readonly #calls: readonly RecordedCall[];
  #asked = 0;

  constructor(session: RemoteSession, calls: readonly RecordedCall[]) {
    this.session = session;
    this.#calls = calls;
  }

  /** One whole call; the recorded ones in turn. @returns the answers, by module */
  async call(): Promise<{ readonly recorded: RecordedCall; readonly answers: Map<number, BigInt64Array> }> {
    const recorded = this.#calls[this.#asked % this.#calls.length]!;
    const answers = new Map<number, BigInt64Array>();
    const begun = performance.now();
    for (const [stage, inputs] of recorded.stages.entries()) {
      const started = performance.now();
      const deltas = await this.session.apply(this.#asked, stage, recorded.tokens, inputs);
      this.timings.stages.push(performance.now() - started);
      for (const [module, values] of deltas) answers.set(module, values);
    }
    this.timings.calls.push(performance.now() - begun);
    this.#asked += 1;
    return { recorded, answers };
  }
}

export function openCaller(
  client: ContributorClient,
  commitment: AdapterCommitment,
  inputs: readonly (readonly number[])[],
  calls: readonly RecordedCall[],
): Promise<Caller> {
  const request = { commitment, inputs, user: generateKeyPair(), nonce: new Uint8Array(randomBytes(32)) };
  return client.openSession(request).then((session) => new Caller(session, calls));
}

export interface LoadOptions {
  readonly contributor: Contributor;
  readonly commitment: AdapterCommitment;
  readonly inputs: readonly (readonly number[])[];
  readonly calls: readonly RecordedCall[];
  readonly sessions: number;
  readonly seconds: number;
}

/** Keeps the given number of sessions busy, each over a connection of its own. */
export async function measureLoad(options: LoadOptions): Promise<LoadRow> {
  const { contributor, commitment, inputs, calls, sessions } = options;
  const clients: ContributorClient[] = [];
  try {
    const callers: Caller[] = [];
    for (let i = 0; i < sessions; i++) {
      const client = await connectContributor({ address: contributor.address });
      clients.push(client);
      callers.push(await openCaller(client, commitment, inputs, calls));
    }
    // one call each before anything is counted
    await Promise.all(callers.map((caller) => caller.call()));
    for (const { timings } of callers) {
      timings.stages.length = 0;
      timings.calls.length = 0;
    }
    const tokens = calls[0]!.tokens;
    return await underLoad(contributor, options, tokens, 'recorded activations', (until) =>
      Promise.all(
        callers.map(async (caller) => {
          while (performance.now() < until) await caller.call();
          return caller.timings;
        }),
      ),
    );
  } finally {
    for (const client of clients) client.close();
  }
}

/** Measures both sides while `work` goes on until the given time of `performance.now()`. */
export async function underLoad(
  contributor: Contributor,
  { sessions, seconds }: Pick<LoadOptions, 'sessions' | 'seconds'>,
  tokens: number,
  client: LoadRow['client'],
  work: (until: number) => Promise<readonly Timings[]>,
): Promise<LoadRow> {
  const before = await contributor.sample();
  const cpu = process.cpuUsage();
  const started = performance.now();
  const timings = await work(started + 1e3 * seconds);
  const elapsed = (performance.now() - started) / 1e3;
  const used = process.cpuUsage(cpu);
  const after = await contributor.sample();
  const calls = timings.reduce((sum, one) => sum + one.calls.length, 0);
  return {
    sessions,
    client,
    seconds: elapsed,
    calls,
    callsPerSecond: calls / elapsed,
    tokensPerSecond: (calls * tokens) / elapsed,
    stageMs: distribution(timings.flatMap((one) => one.stages)),
    callMs: distribution(timings.flatMap((one) => one.calls)),
    contributorCores: (after.cpuSeconds - before.cpuSeconds) / elapsed,
    clientCores: (used.user + used.system) / 1e6 / elapsed,
    contributorPeakRssBytes: after.peakRssBytes,
    contributorLoopDelayMs: after.loopDelayMs,
  };
}

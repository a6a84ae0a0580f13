/** How late the event loops of both sides are while a session is served, and while a proof is made beside it. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { QuantizedModule } from '../../src/adapter/index.js';
import { type BaseModel, type ContributorClient, connectContributor } from '../../src/inference/index.js';
import type { Contributor, LoopDelay, Registered } from './contributor.js';
import { type Caller, openCaller } from './load.js';
import type { RecordedCall } from './recorded.js';
import { SignedSession } from './signedSession.js';
import { type Distribution, distribution } from './stats.js';

/** One state of the contributor. */
export interface LoopRow {
  readonly state: string;
  readonly seconds: number;
  readonly stageMs: Distribution;
  readonly contributorLoopDelayMs: LoopDelay;
  readonly userLoopDelayMs: LoopDelay;
}

export interface Responsiveness {
  readonly rows: readonly LoopRow[];
  /** Calls of the session that was proven. */
  readonly provenCalls: number;
  readonly proveSeconds: number;
}

export interface ResponsivenessOptions {
  readonly contributor: Contributor;
  readonly registered: Registered;
  readonly model: BaseModel;
  readonly modules: readonly QuantizedModule[];
  readonly calls: readonly RecordedCall[];
  readonly seconds: number;
  readonly provenCalls: number;
}

const RESOLUTION_MS = 1;

export async function measureResponsiveness(options: ResponsivenessOptions): Promise<Responsiveness> {
  const { contributor, registered, model, modules, calls, seconds, provenCalls } = options;
  const { commitment } = registered;
  const clients: ContributorClient[] = [];
  const open = async (): Promise<Caller> => {
    const client = await connectContributor({ address: contributor.address });
    clients.push(client);
    return openCaller(client, commitment, model.inputs, calls);
  };
  try {
    const proven = await open();
    const signed = new SignedSession(proven, modules);
    for (let i = 0; i < provenCalls; i++) await signed.call();
    await signed.close();
    const caller = await open();
    await caller.call();

    const serving = await observe(
      'one session is served',
      contributor,
      caller,
      (elapsed) => elapsed < seconds,
    );
    let proofEnded = false;
    const started = performance.now();
    let proveSeconds = 0;
    const proof = proven.session.prove().finally(() => {
      proveSeconds = (performance.now() - started) / 1e3;
      proofEnded = true;
    });
    const proving = await observe(
      'the same, while another session is proven',
      contributor,
      caller,
      () => !proofEnded,
    );
    await proof;
    return { rows: [serving, proving], provenCalls, proveSeconds };
  } finally {
    for (const client of clients) client.close();
  }
}

async function observe(
  state: string,
  contributor: Contributor,
  caller: Caller,
  goesOn: (elapsedSeconds: number) => boolean,
): Promise<LoopRow> {
  caller.timings.stages.length = 0;
  await contributor.sample();
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  const started = performance.now();
  const elapsed = () => (performance.now() - started) / 1e3;
  while (goesOn(elapsed())) await caller.call();
  const seconds = elapsed();
  delay.disable();
  const ms = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
  return {
    state,
    seconds,
    stageMs: distribution(caller.timings.stages),
    contributorLoopDelayMs: (await contributor.sample()).loopDelayMs,
    userLoopDelayMs: { p50: ms(delay.percentile(50)), p99: ms(delay.percentile(99)), max: ms(delay.max) },
  };
}

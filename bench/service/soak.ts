/** A steady load for minutes: sessions are opened, asked, closed, some proven; what the contributor holds is sampled. */
import type { QuantizedModule } from '../../src/adapter/index.js';
import { type BaseModel, type ContributorClient, connectContributor } from '../../src/inference/index.js';
import type { Contributor, Registered } from './contributor.js';
import { openCaller } from './load.js';
import type { RecordedCall } from './recorded.js';
import { SignedSession } from './signedSession.js';
import { leastSquares } from './stats.js';
import { removeClosed } from './tidy.js';

/** One look at the contributor, garbage collected before. */
export interface SoakSample {
  readonly seconds: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly handles: number;
  readonly files: number | null;
  readonly calls: number;
  readonly sessionsClosed: number;
}

export interface Soak {
  readonly minutes: number;
  readonly sessionsAtATime: number;
  readonly callsPerSession: number;
  readonly calls: number;
  readonly sessionsClosed: number;
  readonly proofs: number;
  /** Over the second half of the samples. */
  readonly rssSlope: { readonly bytesPerMinute: number; readonly standardError: number };
  readonly heapSlope: { readonly bytesPerMinute: number; readonly standardError: number };
  readonly samples: readonly SoakSample[];
}

export interface SoakOptions {
  readonly contributor: Contributor;
  readonly registered: Registered;
  readonly modules: readonly QuantizedModule[];
  readonly inputs: BaseModel['inputs'];
  readonly calls: readonly RecordedCall[];
  readonly minutes: number;
  readonly sessions: number;
  readonly callsPerSession: number;
  /** Calls of one session in a second; slower when the machine is. */
  readonly callsPerSecond: number;
  /** Every so-manieth closed session is proven. */
  readonly proveEvery: number;
  /** The contributor's records; closed ones are removed, so that the disk does not fill up. */
  readonly sessionsDir: string;
  readonly sampleSeconds: number;
  readonly onSample?: (sample: SoakSample) => void;
}

export async function measureSoak(options: SoakOptions): Promise<Soak> {
  const { contributor, minutes, sessions, callsPerSession, callsPerSecond, proveEvery, sampleSeconds } =
    options;
  const started = performance.now();
  const elapsed = () => (performance.now() - started) / 1e3;
  const counts = { calls: 0, sessionsClosed: 0, proofs: 0 };
  const until = 60 * minutes;
  let ended = false;
  /** Sessions that are about to be closed, or proven. */
  let inUse = 0;
  /** Under way when no session is; one that is closed meanwhile would be taken away before it is proven. */
  let removal: Promise<void> | undefined;

  const worker = async (client: ContributorClient): Promise<void> => {
    while (elapsed() < until) {
      const caller = await openCaller(client, options.registered.commitment, options.inputs, options.calls);
      const signed = new SignedSession(caller, options.modules);
      for (let i = 0; i < callsPerSession; i++) {
        const due = performance.now() + 1e3 / callsPerSecond;
        await signed.call();
        counts.calls += 1;
        await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
      }
      while (removal !== undefined) await removal;
      inUse += 1;
      await signed.close();
      counts.sessionsClosed += 1;
      if (counts.sessionsClosed % proveEvery === 0) {
        await caller.session.prove();
        counts.proofs += 1;
      }
      inUse -= 1;
      if (inUse === 0) {
        removal = removeClosed(options.sessionsDir);
        await removal;
        removal = undefined;
      }
    }
  };
  const samples: SoakSample[] = [];
  const look = async (): Promise<void> => {
    const { rssBytes, heapBytes, externalBytes, handles, files } = await contributor.sample(true);
    const { calls, sessionsClosed } = counts;
    const sample = {
      seconds: elapsed(),
      rssBytes,
      heapBytes,
      externalBytes,
      handles,
      files,
      calls,
      sessionsClosed,
    };
    samples.push(sample);
    options.onSample?.(sample);
  };
  const watch = async (): Promise<void> => {
    for (let next = sampleSeconds; !ended; next += sampleSeconds) {
      while (!ended && elapsed() < next) await new Promise((resolve) => setTimeout(resolve, 50));
      if (!ended) await look();
    }
  };

  const clients: ContributorClient[] = [];
  try {
    for (let i = 0; i < sessions; i++) {
      clients.push(await connectContributor({ address: contributor.address }));
    }
    const watching = watch();
    try {
      await Promise.all(clients.map(worker));
    } finally {
      ended = true;
      await watching;
    }
    await look();
  } finally {
    for (const client of clients) client.close();
  }
  return {
    minutes,
    sessionsAtATime: sessions,
    callsPerSession,
    ...counts,
    rssSlope: slope(samples, ({ rssBytes }) => rssBytes),
    heapSlope: slope(samples, ({ heapBytes }) => heapBytes),
    samples,
  };
}

function slope(samples: readonly SoakSample[], value: (sample: SoakSample) => number) {
  const later = samples.slice(Math.floor(samples.length / 2));
  const { perX, error } = leastSquares(later.map((one) => [one.seconds / 60, value(one)] as const));
  return { bytesPerMinute: perX, standardError: error };
}

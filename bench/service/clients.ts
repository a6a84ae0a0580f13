/** Whole clients: each with a base model in its own thread, a session and a record. */
import { join } from 'node:path';
import { connectContributor, openBaseModel, openRecordedSession } from '../../src/inference/index.js';
import type { Contributor, Registered } from './contributor.js';
import { type LoadRow, type Timings, underLoad } from './load.js';

export interface ClientsOptions {
  readonly contributor: Contributor;
  readonly registered: Registered;
  readonly folder: string;
  /** Token ids of one pass each. */
  readonly passes: readonly BigInt64Array[];
  readonly sessions: number;
  readonly seconds: number;
}

/** The load of clients that run the base model and record every call. */
export async function measureClients(options: ClientsOptions): Promise<LoadRow> {
  const { contributor, registered, folder, passes, sessions } = options;
  const { commitment, fixture } = registered;
  const ends: (() => unknown)[] = [];
  try {
    const forwards: ((ids: BigInt64Array) => Promise<unknown>)[] = [];
    for (let i = 0; i < sessions; i++) {
      const model = await openBaseModel(fixture.base, commitment.modules);
      ends.push(() => model.close());
      const client = await connectContributor({ address: contributor.address });
      ends.push(() => client.close());
      const dir = join(folder, `user-${i}`);
      const session = await openRecordedSession({ model, client, commitment, dir });
      ends.push(() => session.abandon());
      forwards.push((ids) => session.forward(ids.slice(), 1, ids.length));
    }
    await Promise.all(forwards.map((forward) => forward(passes[0]!)));
    return await underLoad(contributor, options, passes[0]!.length, 'whole clients', (until) =>
      Promise.all(
        forwards.map(async (forward) => {
          const timings: Timings = { stages: [], calls: [] };
          for (let i = 0; performance.now() < until; i++) {
            const started = performance.now();
            await forward(passes[i % passes.length]!);
            timings.calls.push(performance.now() - started);
          }
          return timings;
        }),
      ),
    );
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

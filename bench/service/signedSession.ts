/** A session that is asked, closed and proven without a model or a record at the user's side. */
import type { QuantizedModule } from '../../src/adapter/index.js';
import { SessionTree } from '../../src/protocol/sessionTree.js';
import type { Caller } from './load.js';

/** Keeps the digest of what a caller exchanged, so that the session can be closed. */
export class SignedSession {
  readonly #caller: Caller;
  readonly #tree: SessionTree;
  #calls = 0;

  constructor(caller: Caller, modules: readonly QuantizedModule[]) {
    this.#caller = caller;
    this.#tree = new SessionTree(caller.session, modules);
  }

  async call(): Promise<void> {
    const { recorded, answers } = await this.#caller.call();
    const rows = recorded.stages.flat();
    this.#tree.add({
      tokens: recorded.tokens,
      inputs: this.#caller.session.header.inputs.map((_, i) => rows.find(({ input }) => input === i)!.rows),
      outputs: [...answers].sort(([a], [b]) => a - b).map(([, values]) => values),
    });
    this.#calls += 1;
  }

  async close(): Promise<void> {
    await this.#caller.session.finish(this.#calls, this.#tree.digest());
  }
}

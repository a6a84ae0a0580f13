import type { CallSource, SessionCall } from './session.js';

/**
 * Bytes of a call up to which the next one is read meanwhile. Beyond, reading ahead would double what a pass holds for
 * what is little beside hashing so much.
 */
const MAX_AHEAD_BYTES = 64 * 2 ** 20;

/** Bytes of a call's arrays. */
export function callBytes({ inputs, outputs }: SessionCall): number {
  const arrays = [...inputs.flatMap(({ x, exponents }) => [x, exponents]), ...outputs];
  return arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** Reads calls one after the other; the next one comes while the last one is worked on. */
export class CallReader {
  readonly #source: CallSource;
  #coming: { readonly index: number; readonly call: Promise<SessionCall> } | undefined;

  constructor(source: CallSource) {
    this.#source = source;
  }

  /** Any call; the one after the last is on its way. */
  async read(index: number): Promise<SessionCall> {
    const coming = this.#coming;
    this.#coming = undefined;
    const call = await (coming?.index === index ? coming.call : this.#source.readCall(index));
    const next = index + 1;
    if (next < this.#source.callCount && callBytes(call) <= MAX_AHEAD_BYTES) {
      const ahead = this.#source.readCall(next);
      // reported to whoever reads it; nobody may, when this call is refused
      ahead.catch(() => undefined);
      this.#coming = { index: next, call: ahead };
    }
    return call;
  }
}

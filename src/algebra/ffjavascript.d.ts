declare module 'ffjavascript' {
  export function buildBn128(singleThread?: boolean, plugins?: (builder: unknown) => void): Promise<unknown>;

  /** ChaCha20 with counter and nonce zero; the seed is the key, eight words. */
  export class ChaCha {
    constructor(seed: readonly number[]);
    nextU32(): number;
  }
}

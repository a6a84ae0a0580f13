declare module 'ffjavascript' {
  /** Buffer in pages, for more than 2 GiB; not indexable. */
  export class BigBuffer {
    constructor(bytes: number);
    set(data: Uint8Array, offset?: number): void;
    readonly byteLength: number;
  }
  export function buildBn128(singleThread?: boolean, plugins?: (builder: unknown) => void): Promise<unknown>;

  /** ChaCha20 with counter and nonce zero; the seed is the key, eight words. */
  export class ChaCha {
    constructor(seed: readonly number[]);
    nextU32(): number;
  }
}

/** The part of circomlibjs 0.1.7 that is used; it has no types of its own. */
declare module 'circomlibjs' {
  /** Element of F in Montgomery form, 32 bytes. */
  type Element = Uint8Array;

  export interface Poseidon {
    /** Hash of 1 to 16 values. */
    (inputs: readonly (bigint | Element)[]): Element;
    readonly F: { toObject(element: Element): bigint };
  }

  export function buildPoseidon(): Promise<Poseidon>;
}

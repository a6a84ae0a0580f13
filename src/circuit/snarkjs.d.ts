/** The part of snarkjs 0.7.6 that zklora uses; snarkjs has no types of its own. */
declare module 'snarkjs' {
  /** A file in memory; snarkjs replaces `data` when it writes. */
  export interface MemoryFile {
    readonly type: 'mem';
    data?: Uint8Array;
    /** Bytes reserved at first; when the file ends up exactly this long, snarkjs makes no copy of it. */
    readonly initialSize?: number;
  }

  /** Bytes, or the path of a file, which is then read in parts. */
  export type InputFile = Uint8Array | string;

  export interface Logger {
    debug(message: string): void;
    info(message: string): void;
    warn(message: string): void;
    error(message: string): void;
  }

  /** Coordinates as decimal strings, projective (third coordinate 1); pairs in G2 are [c0, c1]. */
  export interface ProofObject {
    readonly pi_a: readonly string[];
    readonly pi_b: readonly (readonly string[])[];
    readonly pi_c: readonly string[];
  }

  export const groth16: {
    prove(
      zkey: Uint8Array,
      witness: Uint8Array,
    ): Promise<{ readonly proof: ProofObject; readonly publicSignals: readonly string[] }>;
    verify(verificationKey: object, publicSignals: readonly string[], proof: ProofObject): Promise<boolean>;
  };

  export const wtns: {
    calculate(
      input: Readonly<Record<string, bigint | readonly bigint[]>>,
      wasm: Uint8Array,
      witness: MemoryFile,
      options?: { readonly memorySize?: number },
    ): Promise<void>;
    /** `logger` is required: snarkjs calls it unguarded when a constraint fails. */
    check(r1cs: Uint8Array, witness: Uint8Array, logger: Logger): Promise<boolean>;
  };

  export const zKey: {
    /** Resolves to the circuit hash, or to -1 when powers and circuit do not fit. */
    newZKey(r1cs: Uint8Array, ptau: InputFile, zkey: MemoryFile): Promise<Uint8Array | -1>;
    contribute(before: Uint8Array, after: MemoryFile, name: string, entropy: string): Promise<Uint8Array>;
    /** Resolves to the contribution hash, or to false for parameters out of range. */
    beacon(
      before: Uint8Array,
      after: MemoryFile,
      name: string,
      beaconHex: string,
      iterationsExponent: number,
    ): Promise<Uint8Array | false>;
    verifyFromR1cs(r1cs: Uint8Array, ptau: InputFile, zkey: Uint8Array): Promise<boolean>;
    exportVerificationKey(zkey: Uint8Array): Promise<object>;
  };

  export const powersOfTau: {
    newAccumulator(curve: object, power: number, after: MemoryFile): Promise<Uint8Array>;
    /** Resolves to the response hash. */
    contribute(before: Uint8Array, after: MemoryFile, name: string, entropy: string): Promise<Uint8Array>;
    /** Resolves to the response hash, or to false for parameters out of range. */
    beacon(
      before: Uint8Array,
      after: MemoryFile,
      name: string,
      beaconHex: string,
      iterationsExponent: number,
    ): Promise<Uint8Array | false>;
    preparePhase2(before: Uint8Array, after: MemoryFile): Promise<void>;
    verify(ptau: InputFile): Promise<boolean>;
    /** Writes `template`01.ptau, `template`02.ptau and so on for all smaller powers. */
    truncate(ptau: InputFile, template: string): Promise<true>;
  };

  export const r1cs: {
    exportJson(r1cs: Uint8Array): Promise<{
      readonly nVars: number;
      readonly nOutputs: number;
      readonly nPubInputs: number;
      readonly nPrvInputs: number;
      readonly nConstraints: number;
      /** Per constraint A, B, C of A*B = C: coefficients, decimal, by wire. */
      readonly constraints: readonly (readonly Readonly<Record<string, string>>[])[];
      /** Label of each wire. */
      readonly map: readonly (number | string)[];
    }>;
  };
}

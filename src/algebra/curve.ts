/**
 * The part of ffjavascript's BN254 curve object that zklora uses, typed.
 *
 * Byte buffers are in ffjavascript's own form: field elements as 32 bytes, Montgomery, little-endian; affine
 * G1 points as x | y (64 bytes), Jacobian as x | y | z (96 bytes); G2 twice that.
 */
export interface Curve {
  readonly Fr: {
    readonly n8: number;
    readonly w: readonly Uint8Array[];
    e(value: bigint | number): Uint8Array;
    toObject(element: Uint8Array): bigint;
    inv(element: Uint8Array): Uint8Array;
    mul(a: Uint8Array, b: Uint8Array): Uint8Array;
    fft(values: Uint8Array): Promise<Uint8Array>;
    ifft(values: Uint8Array): Promise<Uint8Array>;
    batchToMontgomery(values: Uint8Array): Promise<Uint8Array>;
    batchFromMontgomery(values: Uint8Array): Promise<Uint8Array>;
    fromRng(stream: RandomStream): Uint8Array;
  };
  readonly G1: Group;
  readonly G2: Group;
  readonly tm: ThreadManager;
  readonly r: bigint;
  readonly q: bigint;
  /** Target group of the pairing, written multiplicatively. */
  readonly Gt: { readonly n8: number; readonly one: Uint8Array };
  /** Bytes of a point of G1 and of G2 prepared for a Miller loop. */
  readonly prePSize: number;
  readonly preQSize: number;
  terminate(): Promise<void>;
}

/** One group of {@link Curve}. */
export interface Group {
  readonly g: Uint8Array;
  readonly gAffine: Uint8Array;
  readonly zero: Uint8Array;
  readonly zeroAffine: Uint8Array;
  add(a: Uint8Array, b: Uint8Array): Uint8Array;
  sub(a: Uint8Array, b: Uint8Array): Uint8Array;
  neg(a: Uint8Array): Uint8Array;
  double(a: Uint8Array): Uint8Array;
  eq(a: Uint8Array, b: Uint8Array): boolean;
  isZero(a: Uint8Array): boolean;
  toAffine(a: Uint8Array): Uint8Array;
  toJacobian(a: Uint8Array): Uint8Array;
  timesFr(a: Uint8Array, scalar: Uint8Array): Uint8Array;
  timesScalar(a: Uint8Array, scalar: bigint | Uint8Array): Uint8Array;
  /** Scalars are integers of any one length, little-endian; further arguments are a logger and its text. */
  multiExpAffine: (bases: Uint8Array, scalars: Uint8Array, ...log: unknown[]) => Promise<Uint8Array>;
  batchToAffine(points: Uint8Array): Promise<Uint8Array>;
  batchApplyKey(
    points: Uint8Array,
    first: Uint8Array,
    inc: Uint8Array,
    inType?: string,
    outType?: string,
  ): Promise<Uint8Array>;
  batchLEMtoU(points: Uint8Array): Promise<Uint8Array>;
  batchUtoLEM(points: Uint8Array): Promise<Uint8Array>;
  toRprUncompressed(out: Uint8Array, offset: number, point: Uint8Array): void;
  fromRprUncompressed(bytes: Uint8Array, offset: number): Uint8Array;
  toObject(point: Uint8Array): unknown;
  fromObject(point: unknown): Uint8Array;
  fromRng(stream: RandomStream): Uint8Array;
}

/** Source of the numbers that `fromRng` turns into field elements and points. */
export interface RandomStream {
  nextU32(): number;
}

/** One step of a task that a worker runs: ffjavascript's thread manager protocol. */
export type TaskStep =
  | { cmd: 'ALLOCSET'; var: number; buff: Uint8Array | SharedArrayBuffer }
  | { cmd: 'ALLOC'; var: number; len: number }
  | { cmd: 'SET'; var: number; buff: Uint8Array }
  | {
      cmd: 'CALL';
      fnName: string;
      params: readonly ({ var: number; offset?: number } | { val: number })[];
    }
  | { cmd: 'GET'; out: number | string; var: number; len: number };

/** The step that calls a function of the WebAssembly module with variables of the task and plain numbers. */
export function callStep(
  fnName: string,
  ...params: readonly ({ var: number; offset?: number } | { val: number })[]
): TaskStep {
  return { cmd: 'CALL', fnName, params };
}

/** ffjavascript's worker pool with its main-thread WebAssembly instance. */
export interface ThreadManager {
  readonly instance: { readonly exports: Record<string, (...args: number[]) => number> };
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  readonly concurrency: number;
  u8: Uint8Array;
  u32: Uint32Array;
  queueAction(task: readonly TaskStep[]): Promise<Uint8Array[]>;
}

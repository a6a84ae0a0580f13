import { buildBn128 } from 'ffjavascript';
import type { Curve } from './curve.js';
import { addFieldKernels } from './kernels.js';
import { bucketSum, MIN_BUCKET_TERMS } from './multiExp.js';
import { POINT_BYTES } from './points.js';
import { guardPool, type WorkerPool } from './poolGuard.js';
import { runningEngine, setRunningEngine } from './running.js';
import { SCALAR_BYTES } from './scalar.js';

/**
 * The one door to ffjavascript: curve, worker pool and kernels.
 *
 * Its workers keep a Node process alive: call {@link Engine.terminate} when done. When one of them fails, everything
 * under way is rejected with `INTERNAL`, the engine is of no use any more, and {@link loadEngine} makes a new one.
 */
export interface Engine {
  readonly curve: Curve;
  /** Number of worker threads. */
  readonly threads: number;
  /**
   * Runs a synchronous computation in the main thread's WebAssembly memory.
   *
   * The callback gets a bump allocator; everything it allocated is released when it returns.
   */
  sync<T>(body: (memory: SyncMemory) => T): T;
  /** Stops the worker threads. The engine is unusable afterwards. */
  terminate(): Promise<void>;
}

/** Scratch space of one {@link Engine.sync} call. */
export interface SyncMemory {
  readonly call: Readonly<Record<string, (...args: number[]) => number>>;
  /** Reserves `bytes` bytes and returns their address. */
  alloc(bytes: number): number;
  /** Copies a buffer into fresh memory and returns its address. */
  put(data: Uint8Array): number;
  /** Copies a buffer to an address inside reserved memory. */
  write(address: number, data: Uint8Array): void;
  /** Zeroes `bytes` bytes of reserved memory. */
  clear(address: number, bytes: number): void;
  /** Copies `bytes` bytes out of memory. */
  get(address: number, bytes: number): Uint8Array;
}

const PAGE_BYTES = 0x10000;

interface CurveGlobal {
  // ffjavascript (and so snarkjs) shares its multi-threaded curve through this global
  curve_bn128?: Curve | null;
}

let loading: Promise<Engine> | undefined;

/**
 * Loads the engine, once per process; later calls return the same one until it is terminated or a thread of it fails.
 *
 * @example
 * const engine = await loadEngine();
 * try { ... } finally { await engine.terminate(); }
 */
export function loadEngine(): Promise<Engine> {
  loading ??= build().catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function build(): Promise<Engine> {
  const shared = globalThis as CurveGlobal;
  // A curve that somebody else built first lacks the kernels; its holder keeps using it undisturbed.
  if (shared.curve_bn128 && !shared.curve_bn128.tm.instance.exports.zk_mul) shared.curve_bn128 = null;
  const curve = (await buildBn128(false, addFieldKernels)) as Curve;
  const { tm } = curve;

  const sync = <T>(body: (memory: SyncMemory) => T): T => {
    const start = tm.u32[0]!;
    const alloc = (bytes: number): number => {
      const address = (tm.u32[0]! + 7) & ~7;
      const end = address + bytes;
      if (end > tm.memory.buffer.byteLength) {
        tm.memory.grow(Math.ceil((end - tm.memory.buffer.byteLength) / PAGE_BYTES));
        tm.u8 = new Uint8Array(tm.memory.buffer);
        tm.u32 = new Uint32Array(tm.memory.buffer);
      }
      tm.u32[0] = end;
      return address;
    };
    try {
      return body({
        call: tm.instance.exports,
        alloc,
        put: (data) => {
          const address = alloc(data.byteLength);
          tm.u8.set(data, address);
          return address;
        },
        write: (address, data) => tm.u8.set(data, address),
        clear: (address, bytes) => tm.u8.fill(0, address, address + bytes),
        get: (address, bytes) => tm.u8.slice(address, address + bytes),
      });
    } finally {
      // scratch may hold secrets: overwrite before releasing
      tm.u8.fill(0, start, tm.u32[0]!);
      tm.u32[0] = start;
    }
  };

  let failed = false;
  const retire = (): void => {
    if (runningEngine() !== engine) return;
    loading = undefined;
    setRunningEngine(undefined);
  };
  const endWatch = guardPool(tm as WorkerPool, () => {
    failed = true;
    retire();
    if (shared.curve_bn128 === curve) shared.curve_bn128 = null;
  });
  const engine: Engine = {
    curve,
    threads: tm.concurrency,
    sync,
    terminate: async () => {
      // the library's own would forget a curve that another engine has put in the place of this one
      if (failed) return;
      endWatch();
      retire();
      await curve.terminate();
    },
  };
  setRunningEngine(engine);
  speedUpLibrary(engine);
  return engine;
}

/**
 * Puts {@link bucketSum} in the place of the library's multi-scalar multiplications, which snarkjs calls on the same
 * curve object. The library's own stays for other scalars, for few points, and where there is no bucket sum.
 *
 * Terms that are the identity are left out first: a third to a half of all terms where a circuit is padded to its
 * size.
 */
function speedUpLibrary(engine: Engine): void {
  for (const name of ['G1', 'G2'] as const) {
    const baseBytes = POINT_BYTES[name];
    const group = engine.curve[name];
    const library = group.multiExpAffine;
    group.multiExpAffine = async (bases, scalars, ...rest) => {
      const count = bases.byteLength / baseBytes;
      // snarkjs also passes ffjavascript's BigBuffer, whose bytes have no indices
      const plain = bases instanceof Uint8Array && scalars instanceof Uint8Array;
      if (plain && count >= MIN_BUCKET_TERMS && areShort(scalars, count)) {
        const terms = effectiveTerms(bases, scalars, baseBytes);
        const left = terms.bases.byteLength / baseBytes;
        if (left === 0) return group.zero;
        if (left < MIN_BUCKET_TERMS) return library(terms.bases, terms.scalars, ...rest);
        const sum = await bucketSum(engine, terms.bases, terms.scalars, name);
        if (sum) return sum;
      }
      return library(bases, scalars, ...rest);
    };
  }
}

/**
 * Whether there is one scalar of 32 bytes for each base, all below 2^254 as the bucket sum needs them. snarkjs also
 * multiplies by random 256-bit numbers, when it verifies powers of tau.
 */
function areShort(scalars: Uint8Array, count: number): boolean {
  if (scalars.byteLength !== count * SCALAR_BYTES) return false;
  for (let i = SCALAR_BYTES - 1; i < scalars.byteLength; i += SCALAR_BYTES) {
    if (scalars[i]! >= 0x40) return false;
  }
  return true;
}

/** The terms whose base is not the identity, all zero bytes, and whose scalar is not zero. */
function effectiveTerms(
  bases: Uint8Array,
  scalars: Uint8Array,
  baseBytes: number,
): { readonly bases: Uint8Array; readonly scalars: Uint8Array } {
  const keep: number[] = [];
  const count = bases.byteLength / baseBytes;
  for (let i = 0; i < count; i++) {
    if (!isZeroAt(bases, i * baseBytes, baseBytes) && !isZeroAt(scalars, i * SCALAR_BYTES, SCALAR_BYTES))
      keep.push(i);
  }
  if (keep.length === count) return { bases, scalars };
  const kept = {
    bases: new Uint8Array(keep.length * baseBytes),
    scalars: new Uint8Array(keep.length * SCALAR_BYTES),
  };
  keep.forEach((i, to) => {
    kept.bases.set(bases.subarray(i * baseBytes, (i + 1) * baseBytes), to * baseBytes);
    kept.scalars.set(scalars.subarray(i * SCALAR_BYTES, (i + 1) * SCALAR_BYTES), to * SCALAR_BYTES);
  });
  return kept;
}

function isZeroAt(bytes: Uint8Array, at: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[at + i] !== 0) return false;
  return true;
}

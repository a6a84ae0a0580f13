import { buildBn128 } from 'ffjavascript';
import type { Curve } from './curve.js';
import { addFieldKernels } from './kernels.js';

/**
 * The one door to ffjavascript: curve, worker pool and kernels.
 *
 * Its workers keep a Node process alive: call {@link Engine.terminate} when done.
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
 * Loads the engine, once per process; later calls return the same one until it is terminated.
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
        get: (address, bytes) => tm.u8.slice(address, address + bytes),
      });
    } finally {
      // scratch may hold secrets: overwrite before releasing
      tm.u8.fill(0, start, tm.u32[0]!);
      tm.u32[0] = start;
    }
  };

  return {
    curve,
    threads: tm.concurrency,
    sync,
    terminate: async () => {
      loading = undefined;
      await curve.terminate();
    },
  };
}

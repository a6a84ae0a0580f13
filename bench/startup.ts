/**
 * What a process pays before its first proof: `node startup.js <parameter folder>`.
 *
 * Prints one line of JSON, see {@link Startup}.
 */
import { buildBn128 } from 'ffjavascript';
import type { Curve } from '../src/algebra/curve.js';

/** Seconds of each step, in the order in which a process takes them. */
export interface Startup {
  /** From the start of the process to the first line of this program: Node, and ffjavascript's module. */
  readonly process: number;
  /** The library's own curve on one thread, for comparison; not part of a start. */
  readonly libraryCurve: number;
  /** Loading zklora's modules. */
  readonly modules: number;
  /** Curve with our kernels generated into its module, worker threads started. */
  readonly engine: number;
  /** params.json, and digests of the circuit builds that it names. */
  readonly openParameters: number;
  /** Points of each domain: read, digest checked, decoded. */
  readonly srs: Readonly<Record<number, number>>;
  /** Proving key and verification key of each circuit size: read, digests and points checked. */
  readonly keys: Readonly<Record<number, number>>;
}

const DOMAINS = [1024, 8192, 32768];
const CIRCUITS = [63, 1023, 4095];

async function main(): Promise<void> {
  const start = process.uptime();
  let since = performance.now();
  const lap = () => {
    const now = performance.now();
    const seconds = (now - since) / 1e3;
    since = now;
    return seconds;
  };
  await ((await buildBn128(true)) as Curve).terminate();
  const libraryCurve = lap();
  const { loadEngine } = await import('../src/algebra/index.js');
  const { openParameters } = await import('../src/circuit/index.js');
  await import('../src/protocol/index.js');
  const modules = lap();
  const engine = await loadEngine();
  const engineSeconds = lap();
  const store = await openParameters(process.argv[2]!);
  const opened = lap();
  const srs: Record<number, number> = {};
  for (const size of DOMAINS) {
    await store.srs(size);
    srs[size] = lap();
  }
  const keys: Record<number, number> = {};
  for (const pairs of CIRCUITS) {
    await store.zkey(pairs);
    await store.vkey(pairs);
    keys[pairs] = lap();
  }
  await engine.terminate();
  const result: Startup = {
    process: start,
    libraryCurve,
    modules,
    engine: engineSeconds,
    openParameters: opened,
    srs,
    keys,
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

await main();

/**
 * One step of one bench row, run in a process of its own: `node work.js <step> <folder> [json]`.
 *
 * Prints one line of JSON with what it measured.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ed25519 } from '@noble/curves/ed25519.js';
import {
  type AdapterCommitment,
  type AdapterSecret,
  adapterId,
  applyExact,
  domainSizeFor,
  registerAdapter,
} from '../src/adapter/index.js';
import {
  type Engine,
  loadEngine,
  warmCircuitProver,
  warmProver,
  warmVerifier,
} from '../src/algebra/index.js';
import { bytesToHex } from '../src/bytes.js';
import { openParameters, type ParameterSet } from '../src/circuit/index.js';
import {
  proveUnchecked,
  type SessionCall,
  type SessionHeader,
  sessionDigest,
  verifyProof,
} from '../src/protocol/index.js';
import { partition } from '../src/protocol/statement.js';
import type { PaperShape } from './paper.js';
import { openSession, readModules, writeModules, writeSession } from './store.js';
import { syntheticActivations, syntheticModule } from './synthetic.js';

/** What a step is told. */
export interface StepOptions {
  readonly parameters: string;
  readonly layers: number;
  readonly perLayer: readonly PaperShape[];
  readonly inputs: readonly number[];
  /** Tokens of each call. */
  readonly calls: readonly number[];
  /** Times that the calls are repeated in the session, with the same rows. */
  readonly repeatCalls: number;
  /** `circuits`: one proof for all modules, its pairs checked by Groth16. */
  readonly mode: 'aggregated' | 'per-module' | 'circuits';
  /** Times the work is done; the first is the cold one. */
  readonly repeat: number;
}

/** What a timed step prints. */
export interface StepResult {
  /** Wall time of the first run in the process. */
  readonly seconds: number;
  /** Shortest wall time of the later runs; null if there is none. */
  readonly warmSeconds: number | null;
  /** Wall time from the start of the process to the end of loading curve, parameters and data. */
  readonly startSeconds: number;
  /** Processor time of the first run, all threads. */
  readonly cpuSeconds: number;
  /** Largest resident set of the process until the end of the first run. */
  readonly peakRssBytes: number;
  /** Resident set when the first run began: curve, parameters, data. */
  readonly startRssBytes: number;
  readonly bytes: number | null;
  /** Start and end of the first run on the system's monotonic clock, microseconds. */
  readonly span: readonly [number, number];
  /** Wall time of each stage of the first run that reports stages. */
  readonly stages?: Readonly<Record<string, number>>;
}

async function main(): Promise<void> {
  const [step, dir, json] = process.argv.slice(2) as [string, string, string];
  const options = JSON.parse(json) as StepOptions;
  const result = await STEPS[step]!(dir, options);
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

const STEPS: Readonly<Record<string, (dir: string, options: StepOptions) => Promise<StepResult | null>>> = {
  weights: async (dir, { layers, perLayer }) => {
    function* modules() {
      for (let i = 0; i < layers * perLayer.length; i++) {
        const layer = String(Math.floor(i / perLayer.length));
        const name = `layers.${layer}.module.${i % perLayer.length}`;
        yield syntheticModule(name, perLayer[i % perLayer.length]!, i + 1);
      }
    }
    await writeModules(dir, modules());
    return null;
  },

  register: async (dir, options) => {
    const inputs = inputsOf(options);
    const parameters = await openParameters(options.parameters);
    const modules = await readModules(dir);
    const engine = await loadEngine();
    const srs = await parameters.srs(domainSizeFor(modules));
    return timed(engine, options, async () => {
      const { commitment, secret } = await registerAdapter({
        engine,
        srs,
        parametersId: parameters.id,
        modules,
        inputs,
        baseDigest: '11'.repeat(32),
      });
      await writeFile(join(dir, 'adapter.json'), JSON.stringify(commitment));
      await writeFile(join(dir, 'secret.json'), JSON.stringify(secret));
      return null;
    });
  },

  session: async (dir, options) => {
    const modules = await readModules(dir);
    const adapter = await readJson<AdapterCommitment>(dir, 'adapter.json');
    const users = inputsOf(options);
    const header: SessionHeader = {
      format: 'zklora/session/v1',
      adapterId: adapterId(adapter),
      contributorKey: adapter.contributorKey,
      userKey: bytesToHex(ed25519.getPublicKey(new Uint8Array(32).fill(9))),
      nonce: '22'.repeat(32),
      inputs: users,
    };
    function* held(): Iterable<SessionCall> {
      for (const [index, tokens] of options.calls.entries()) {
        const rows = users.map((members, input) =>
          syntheticActivations(tokens, modules[members[0]!]!.inFeatures, 1000 + index * 10_007 + input),
        );
        const inputOf = users.flatMap((members, input) => members.map((module) => ({ module, input })));
        inputOf.sort((a, b) => a.module - b.module);
        yield {
          tokens,
          inputs: rows,
          outputs: inputOf.map(({ module, input }) => applyExact(modules[module]!, rows[input]!.x, tokens)),
        };
      }
    }
    await writeSession(dir, header, held());
    // what both sides have signed when a proof is made
    await writeFile(join(dir, 'digest'), await sessionDigest(await openSession(dir, 1), adapter.modules));
    return null;
  },

  prove: async (dir, options) => {
    const parameters = await openParameters(options.parameters);
    const adapter = await readJson<AdapterCommitment>(dir, 'adapter.json');
    const secret = await readJson<AdapterSecret>(dir, 'secret.json');
    const engine = await loadEngine();
    // as `zklora prove` does, not waited for
    void (options.mode === 'circuits' ? warmCircuitProver : warmProver)(engine);
    const modules = await readModules(dir);
    const session = await openSession(dir, options.repeatCalls);
    await parameters.srs(adapter.domainSize);
    for (const pairs of circuitsOf(adapter, options, parameters.set)) {
      await parameters.zkey(pairs);
      await parameters.vkey(pairs);
    }
    const { mode } = options;
    const stated =
      options.repeatCalls === 1
        ? new Uint8Array(await readFile(join(dir, 'digest')))
        : await sessionDigest(session, adapter.modules);
    const stages: Record<string, number> = {};
    let first = true;
    const result = await timed(engine, options, async () => {
      let stage = '';
      let since = performance.now();
      const enter = (next: string) => {
        const now = performance.now();
        if (first && stage !== '') stages[stage] = (stages[stage] ?? 0) + (now - since) / 1e3;
        stage = next;
        since = now;
      };
      const onProgress = (event: { stage: string }) => enter(event.stage);
      const proof = await proveUnchecked({
        engine,
        parameters,
        adapter,
        modules,
        secret,
        session,
        sessionDigest: stated,
        mode: mode === 'per-module' ? mode : 'aggregated',
        rankCheck: mode === 'circuits' ? 'groth16' : 'kzg',
        onProgress,
      });
      enter('');
      first = false;
      await writeFile(join(dir, `${mode}.zkl`), proof);
      return proof.length;
    });
    return { ...result, stages };
  },

  verify: async (dir, options) => {
    const parameters = await openParameters(options.parameters);
    const adapter = await readJson<AdapterCommitment>(dir, 'adapter.json');
    const proof = new Uint8Array(await readFile(join(dir, `${options.mode}.zkl`)));
    const engine = await loadEngine();
    // as `zklora verify` does, not waited for
    void warmVerifier(engine);
    const session = await openSession(dir, options.repeatCalls);
    for (const pairs of circuitsOf(adapter, options, parameters.set)) await parameters.vkey(pairs);
    return timed(engine, options, async () => {
      const verdict = await verifyProof({
        engine,
        parameters: parameters.set,
        verificationKeys: parameters.vkey,
        adapter,
        session,
        proof,
        allowDevelopmentParameters: true,
      });
      if (!verdict.valid) throw new Error(verdict.message);
      return proof.length;
    });
  },
};

/** Circuit sizes of the proof: their keys are loaded before the clock starts. */
function circuitsOf(adapter: AdapterCommitment, { mode }: StepOptions, set: ParameterSet): Set<number> {
  if (mode !== 'circuits') return new Set();
  const sizes = set.circuits.map(({ pairs }) => pairs);
  const groups = partition(
    adapter.modules.map(({ rank }) => rank),
    sizes,
  );
  return new Set(groups.map(({ circuit }) => circuit));
}

/** Module indices by input. */
function inputsOf({ layers, perLayer, inputs }: StepOptions): number[][] {
  const inputsPerLayer = Math.max(...inputs) + 1;
  return Array.from({ length: layers * inputsPerLayer }, (_, input) =>
    inputs.flatMap((own, i) =>
      own === input % inputsPerLayer ? [Math.floor(input / inputsPerLayer) * perLayer.length + i] : [],
    ),
  );
}

async function timed(
  engine: Engine,
  { repeat }: StepOptions,
  work: () => Promise<number | null>,
): Promise<StepResult> {
  const startSeconds = process.uptime();
  const startRssBytes = process.memoryUsage.rss();
  const cpu = process.cpuUsage();
  const start = process.hrtime.bigint();
  const bytes = await work();
  const end = process.hrtime.bigint();
  const seconds = Number(end - start) / 1e9;
  const { user, system } = process.cpuUsage(cpu);
  const peakRssBytes = process.resourceUsage().maxRSS * 1024;
  let warmSeconds: number | null = null;
  for (let i = 1; i < repeat; i++) {
    const again = performance.now();
    await work();
    warmSeconds = Math.min(warmSeconds ?? Number.POSITIVE_INFINITY, (performance.now() - again) / 1e3);
  }
  await engine.terminate();
  return {
    seconds,
    warmSeconds,
    startSeconds,
    cpuSeconds: (user + system) / 1e6,
    peakRssBytes,
    startRssBytes,
    bytes,
    span: [Number(start / 1000n), Number(end / 1000n)],
  };
}

async function readJson<T>(dir: string, name: string): Promise<T> {
  return JSON.parse(await readFile(join(dir, name), 'utf8')) as T;
}

await main();

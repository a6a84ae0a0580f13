/**
 * One step of the direct circuit with plain snarkjs, in a process of its own: `node peer.js <step> <folder> <json>`.
 *
 * Prints one line of JSON with what it measured. The steps prove and verify run on the library's own curve: our kernels
 * are not loaded.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildBn128 } from 'ffjavascript';
import { groth16, type MemoryFile, type ProofObject, wtns, zKey } from 'snarkjs';
import { applyExact } from '../src/adapter/index.js';
import type { Curve } from '../src/algebra/curve.js';
import { loadEngine, randomScalar } from '../src/algebra/index.js';
import { ptauFromSecrets } from '../src/circuit/ptau.js';
import {
  buildDirect,
  type DirectBuild,
  type DirectShape,
  directFile,
  directInputs,
} from './directCircuit.js';
import { syntheticActivations, syntheticModule } from './synthetic.js';

/** What the step `setup` prints. */
export interface PeerSetup extends DirectBuild {
  /** log2 of Groth16's domain. */
  readonly power: number;
  readonly compileSeconds: number;
  /** Powers of tau from a secret drawn here, and phase 2 with one contribution. */
  readonly setupSeconds: number;
  readonly keyBytes: number;
  readonly peakRssBytes: number;
}

/** What the steps `prove` and `verify` print. */
export interface PeerStep {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakRssBytes: number;
}

const STEPS: Readonly<Record<string, (dir: string, shape: DirectShape) => Promise<object>>> = {
  setup: async (dir, shape) => {
    const start = performance.now();
    const build = await buildDirect(shape, dir);
    const compiled = performance.now();
    // a row for each constraint, each public signal and the constant
    const power = Math.ceil(Math.log2(build.constraints + build.publicSignals + 1));
    const engine = await loadEngine();
    const secrets = { tau: randomScalar(), alpha: randomScalar(), beta: randomScalar() };
    const ptau = await ptauFromSecrets(engine, secrets, power);
    const bare: MemoryFile = { type: 'mem' };
    const after: MemoryFile = { type: 'mem' };
    await zKey.newZKey(await directFile(dir, 'r1cs'), ptau, bare);
    await zKey.contribute(bare.data!, after, 'bench', String(randomScalar()));
    const setupSeconds = (performance.now() - compiled) / 1e3;
    await writeFile(join(dir, 'key.zkey'), after.data!);
    await writeFile(join(dir, 'key.json'), JSON.stringify(await zKey.exportVerificationKey(after.data!)));
    await writeFile(join(dir, 'inputs.json'), JSON.stringify(await inputsOf(shape), decimal));
    await engine.terminate();
    const result: PeerSetup = {
      ...build,
      power,
      compileSeconds: (compiled - start) / 1e3,
      setupSeconds,
      keyBytes: after.data!.length,
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
    };
    return result;
  },

  prove: async (dir) => {
    const wasm = await directFile(dir, 'wasm');
    const zkey = new Uint8Array(await readFile(join(dir, 'key.zkey')));
    const inputs = JSON.parse(await readFile(join(dir, 'inputs.json'), 'utf8'));
    return timed(async () => {
      const witness: MemoryFile = { type: 'mem' };
      await wtns.calculate(inputs, wasm, witness);
      await writeFile(join(dir, 'proof.json'), JSON.stringify(await groth16.prove(zkey, witness.data!)));
    });
  },

  verify: async (dir) => {
    const key = JSON.parse(await readFile(join(dir, 'key.json'), 'utf8')) as object;
    const { proof, publicSignals } = JSON.parse(await readFile(join(dir, 'proof.json'), 'utf8')) as {
      proof: ProofObject;
      publicSignals: string[];
    };
    return timed(async () => {
      if (!(await groth16.verify(key, publicSignals, proof))) throw new Error('the proof does not verify');
    });
  },
};

async function inputsOf(shape: DirectShape): Promise<object> {
  const module = syntheticModule('module', shape, 1);
  const { x } = syntheticActivations(1, shape[0], 2);
  return directInputs(module, x, applyExact(module, x, 1), randomScalar());
}

function decimal(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

/** Times work with the curve loaded. */
async function timed(work: () => Promise<void>): Promise<PeerStep> {
  const curve = (await buildBn128()) as Curve;
  const cpu = process.cpuUsage();
  const start = performance.now();
  await work();
  const seconds = (performance.now() - start) / 1e3;
  const { user, system } = process.cpuUsage(cpu);
  await curve.terminate();
  return {
    seconds,
    cpuSeconds: (user + system) / 1e6,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  };
}

const [step, dir, json] = process.argv.slice(2) as [string, string, string];
process.stdout.write(`${JSON.stringify(await STEPS[step]!(dir, JSON.parse(json) as DirectShape))}\n`);

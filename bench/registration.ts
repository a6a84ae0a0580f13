/**
 * Cost of registration proofs: `node dist/bench/registration.js <parameter folder> [adapter name]`.
 *
 * Prints JSON, one entry for each adapter; each is measured in a process of its own. The bundled adapter is
 * measured too. The parameter set needs domains up to 8192:
 * `zklora params make-development --out <folder> --max-domain 8192 --pairs 15`.
 */
import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  domainSizeFor,
  type QuantizedModule,
  quantizeModule,
  readPeftAdapter,
  registerAdapter,
} from '../src/adapter/index.js';
import { loadEngine } from '../src/algebra/index.js';
import { bytesToHex } from '../src/bytes.js';
import { openParameters } from '../src/circuit/index.js';
import { proveRegistration, verifyRegistration } from '../src/protocol/index.js';
import { paperAdapters } from './paper.js';
import { syntheticModule } from './synthetic.js';

const FIXTURE = 'gpt2-tiny fixture';

/** What is measured by default: small, the paper's first and its largest. */
const DEFAULT = [FIXTURE, 'distilgpt2', 'Llama-3.3-70B-Instruct'];

async function adapterModules(name: string): Promise<QuantizedModule[]> {
  if (name === FIXTURE) {
    const dir = fileURLToPath(new URL('../../fixtures/gpt2-tiny/adapter', import.meta.url));
    return (await readPeftAdapter(dir)).modules.map(quantizeModule);
  }
  const adapter = (await paperAdapters()).find((candidate) => candidate.name === name);
  if (!adapter) throw new Error(`no adapter is called ${name}`);
  return Array.from({ length: adapter.layers }, (_, layer) =>
    adapter.perLayer.map((shape, i) => syntheticModule(`h.${layer}.${i}`, shape, 100 * layer + i)),
  ).flat();
}

async function measure(parametersDir: string, name: string): Promise<object> {
  const parameters = await openParameters(parametersDir);
  const modules = await adapterModules(name);
  const engine = await loadEngine();
  try {
    const srs = await parameters.srs(domainSizeFor(modules));
    const baseDigest = '00'.repeat(32);
    const [registered, registerSeconds] = await timed(() =>
      registerAdapter({ engine, srs, parametersId: parameters.id, modules, baseDigest }),
    );
    const { commitment, secret } = registered;
    const [proof, proveSeconds] = await timed(() =>
      proveRegistration({ engine, srs, adapter: commitment, modules, secret }),
    );
    const provePeakRssBytes = process.resourceUsage().maxRSS * 1024;
    const adapter = { ...commitment, registrationProof: bytesToHex(proof) };
    const [verdict, verifySeconds] = await timed(() =>
      verifyRegistration({ engine, parameters: parameters.set, adapter, allowDevelopmentParameters: true }),
    );
    if (!verdict.valid) throw new Error(verdict.message);
    return {
      adapter: name,
      modules: modules.length,
      weights: modules.reduce((sum, { a, bT }) => sum + a.length + bT.length, 0),
      rows: modules.reduce((sum, { rank }) => sum + 2 * rank, 0),
      domain: commitment.domainSize,
      registerSeconds,
      proveSeconds,
      verifySeconds,
      proofBytes: proof.length,
      provePeakRssBytes,
      processors: availableParallelism(),
    };
  } finally {
    await engine.terminate();
  }
}

async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
  const started = performance.now();
  const result = await work();
  return [result, Math.round(performance.now() - started) / 1000];
}

const [parametersDir, only] = process.argv.slice(2);
if (parametersDir === undefined) {
  process.stderr.write('usage: node dist/bench/registration.js <parameter folder> [adapter name]\n');
  process.exitCode = 2;
} else if (only !== undefined) {
  process.stdout.write(`${JSON.stringify(await measure(parametersDir, only))}\n`);
} else {
  const results: unknown[] = [];
  for (const name of DEFAULT) {
    const child = [fileURLToPath(import.meta.url), parametersDir, name];
    const { stdout } = await promisify(execFile)(process.execPath, child);
    results.push(JSON.parse(stdout));
  }
  process.stdout.write(`${JSON.stringify(results, null, 2)}\n`);
}

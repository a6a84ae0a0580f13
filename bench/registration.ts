/**
 * Cost of registration proofs: `npm run bench:registration [-- --only NAME]`.
 *
 * Writes bench/results/registration.json (`npm run bench:tables` puts it into docs/performance.md): the bundled adapter,
 * the paper's first and its largest, each measured in a process of its own; with --only one adapter, printed and not
 * written. Makes the bench's parameters if they are missing (about 80 s).
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
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
import { runChild } from './child.js';
import { paperAdapters } from './paper.js';
import { benchParameters } from './parameters.js';
import { type RegistrationFile, type RegistrationRow, registrationMarkdown } from './registrationTable.js';
import { machine } from './report.js';
import { writeResult } from './results.js';
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

async function measure(parametersDir: string, name: string): Promise<RegistrationRow> {
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

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { only: { type: 'string' } } });
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const parameters = await benchParameters(join(root, 'bench/.cache/params'));
  const rows: RegistrationRow[] = [];
  for (const name of values.only === undefined ? DEFAULT : [values.only]) {
    rows.push(await runChild<RegistrationRow>('registration.js', [CHILD, parameters, name]));
    process.stderr.write(`${JSON.stringify(rows.at(-1))}\n`);
  }
  const result: RegistrationFile = {
    date: new Date().toISOString().slice(0, 10),
    machine: machine(),
    rows,
  };
  process.stdout.write(`${registrationMarkdown(result)}\n`);
  if (values.only === undefined) await writeResult('registration', result);
}

const CHILD = 'child';
const [first, parametersDir, name] = process.argv.slice(2);
if (first === CHILD) {
  process.stdout.write(`${JSON.stringify(await measure(parametersDir!, name!))}\n`);
} else await main();

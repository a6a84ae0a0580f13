/**
 * Measures deliver and open of one adapter, each in fresh processes; writes bench/results/settlement.json.
 *
 *     npm run bench:settlement -- --parameters <dir> [--adapter Llama-3.3-70B-Instruct] [--layers n] [--processes 3]
 *
 * The parameter set is made if it is missing. --layers takes the first n layers only: for a trial of the script.
 */
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { privateKeyToAccount } from 'viem/accounts';
import {
  domainSizeFor,
  parseAdapterCommitment,
  parseAdapterSecret,
  type QuantizedModule,
  registerAdapter,
  serializeAdapterCommitment,
  writePeftAdapter,
} from '../src/adapter/index.js';
import { loadEngine } from '../src/algebra/index.js';
import { hexToBytes } from '../src/bytes.js';
import { openParameters } from '../src/circuit/index.js';
import { writeFileAtomic } from '../src/files.js';
import {
  Delivery,
  DeliveryFile,
  deliveryPublicKey,
  describeDelivery,
  NATIVE_TOKEN,
  openDelivery,
  parseSignedOffer,
  serializeSignedOffer,
  signOffer,
} from '../src/settlement/index.js';
import { median, runChild } from './child.js';
import { paperAdapters } from './paper.js';
import { benchParameters } from './parameters.js';
import { syntheticModule } from './synthetic.js';

/** Keys of no worth: what is measured does not depend on them. */
const ACCOUNT = privateKeyToAccount(`0x${'11'.repeat(32)}`);
const MASTER_KEY = new Uint8Array(32).fill(0xa7);
const DELIVERY_KEY = new Uint8Array(32).fill(0x5b);

type Step = 'register' | 'deliver' | 'open';

interface StepResult {
  readonly seconds: number;
  readonly peakRssBytes: number;
}

/** Seeded weights of the first layers of an adapter. */
async function modulesOf(name: string, layers: number): Promise<QuantizedModule[]> {
  const adapter = (await paperAdapters()).find((each) => each.name === name);
  if (!adapter) throw new Error(`no adapter ${name} in paper-adapters.json`);
  const { perLayer } = adapter;
  return Array.from({ length: Math.min(layers, adapter.layers) * perLayer.length }, (_, i) =>
    syntheticModule(`layer.${i}`, perLayer[i % perLayer.length]!, i),
  );
}

/** Works in a process of its own; the clock starts when weights, points and engine are loaded. */
async function work(step: Step, parametersDir: string, dir: string, name: string, layers: number) {
  const parameters = await openParameters(parametersDir);
  const at = (file: string) => join(dir, file);
  const modules = step === 'open' ? [] : await modulesOf(name, layers);
  const engine = await loadEngine();
  try {
    if (step === 'register') {
      const started = performance.now();
      const { commitment, secret } = await registerAdapter({
        engine,
        srs: await parameters.srs(domainSizeFor(modules)),
        parametersId: parameters.id,
        modules,
        baseDigest: '00'.repeat(32),
      });
      await writeFile(at('adapter.zkl.json'), serializeAdapterCommitment(commitment));
      await writeFile(at('adapter.secret'), JSON.stringify(secret));
      return (performance.now() - started) / 1000;
    }
    const commitment = parseAdapterCommitment(await readFile(at('adapter.zkl.json'), 'utf8'));
    const srs = await parameters.srs(commitment.domainSize);
    if (step === 'deliver') {
      const secret = parseAdapterSecret(await readFile(at('adapter.secret'), 'utf8'));
      const started = performance.now();
      const buyerKey = hexToBytes(deliveryPublicKey(DELIVERY_KEY));
      const masterKey = MASTER_KEY;
      const delivery = new Delivery({ engine, srs, commitment, secret, modules, buyerKey, masterKey });
      await writeFileAtomic(at('adapter.delivery'), delivery.bytes(), { overwrite: true });
      const description = describeDelivery(delivery.digests(), commitment, parameters.set);
      const terms = { price: 1n, stake: 1n, fundBy: 1n, revealWindow: 86_400, disputeWindow: 86_400 };
      const parties = { buyer: ACCOUNT.address, token: NATIVE_TOKEN };
      const escrow = { chainId: 1, contract: ACCOUNT.address };
      const offer = await signOffer(ACCOUNT, escrow, description, { ...terms, ...parties });
      await writeFile(at('offer.json'), serializeSignedOffer(offer));
      return (performance.now() - started) / 1000;
    }
    const offer = await parseSignedOffer(await readFile(at('offer.json'), 'utf8'));
    const out = at('opened');
    await rm(out, { recursive: true, force: true });
    const started = performance.now();
    const delivery = await DeliveryFile.open(at('adapter.delivery'), DELIVERY_KEY, commitment);
    const shared = { engine, srs, parameters: parameters.set, commitment, offer, delivery };
    const opened = await openDelivery({ ...shared, masterKey: MASTER_KEY });
    await delivery.close();
    if (!opened.valid) throw new Error('the honest delivery was refused');
    await writePeftAdapter(out, opened.modules, null);
    return (performance.now() - started) / 1000;
  } finally {
    await engine.terminate();
  }
}

async function measure(): Promise<void> {
  const { values } = parseArgs({
    options: {
      parameters: { type: 'string' },
      adapter: { type: 'string', default: 'Llama-3.3-70B-Instruct' },
      layers: { type: 'string', default: '1000' },
      processes: { type: 'string', default: '3' },
      out: { type: 'string', default: 'bench/results/settlement.json' },
    },
  });
  if (values.parameters === undefined) throw new Error('--parameters names the folder of the parameter set');
  const parameters = await benchParameters(values.parameters);
  const dir = join(tmpdir(), `zklora-bench-settlement-${process.pid}`);
  await mkdir(dir, { recursive: true });
  const run = async (step: Step, processes: number): Promise<StepResult> => {
    const results: StepResult[] = [];
    for (let i = 0; i < processes; i++) {
      process.stderr.write(`${step} ${i + 1}/${processes}\n`);
      const args = ['--work', step, parameters, dir, values.adapter, values.layers];
      results.push(await runChild<StepResult>(fileURLToPath(import.meta.url), args));
    }
    const seconds = median(results, (each) => each.seconds).seconds;
    return { seconds, peakRssBytes: Math.max(...results.map((each) => each.peakRssBytes)) };
  };
  try {
    const modules = await modulesOf(values.adapter, Number(values.layers));
    const register = await run('register', 1);
    const processes = Number(values.processes);
    const deliver = await run('deliver', processes);
    const open = await run('open', processes);
    const result = {
      adapter: values.adapter,
      modules: modules.length,
      weights: modules.reduce((sum, { a, bT }) => sum + a.length + bT.length, 0),
      rows: modules.reduce((sum, { rank }) => sum + 2 * rank, 0),
      deliveryBytes: (await stat(join(dir, 'adapter.delivery'))).size,
      processes,
      node: process.version,
      cpu: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`,
      register,
      deliver,
      open,
    };
    await mkdir(join(values.out, '..'), { recursive: true });
    await writeFile(values.out, `${JSON.stringify(result, null, 2)}\n`);
    process.stdout.write(`${JSON.stringify(result)}\n`);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const [flag, step, parametersDir, dir, name, layers] = process.argv.slice(2);
if (flag === '--work') {
  const seconds = await work(step as Step, parametersDir!, dir!, name!, Number(layers));
  const peakRssBytes = process.resourceUsage().maxRSS * 1024;
  process.stdout.write(`${JSON.stringify({ seconds, peakRssBytes } satisfies StepResult)}\n`);
} else {
  await measure();
}

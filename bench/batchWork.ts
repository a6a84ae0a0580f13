/** One row of the batch table: `node batchWork.js <json>`; prints one line of JSON. */
import { ed25519 } from '@noble/curves/ed25519.js';
import {
  type AdapterCommitment,
  adapterId,
  applyExact,
  domainSizeFor,
  type QuantizedModule,
  registerAdapter,
} from '../src/adapter/index.js';
import { loadEngine } from '../src/algebra/index.js';
import { bytesToHex } from '../src/bytes.js';
import { openParameters } from '../src/circuit/index.js';
import {
  type BatchItem,
  proveUnchecked,
  type Session,
  type SessionCall,
  verifyBatch,
  verifyProof,
} from '../src/protocol/index.js';
import type { BatchRow } from './batch.js';
import { paperAdapters } from './paper.js';
import { syntheticActivations, syntheticModule } from './synthetic.js';

interface Request {
  readonly parameters: string;
  readonly proofs: number;
  readonly adapters: number;
  readonly tokens: number;
}

const ADAPTER = 'distilgpt2';

function holdSession(
  adapter: AdapterCommitment,
  modules: readonly QuantizedModule[],
  tokens: number,
  seed: number,
): Session {
  const inputs = modules.map(({ inFeatures }, i) =>
    syntheticActivations(tokens, inFeatures, 1000 * seed + i),
  );
  const call: SessionCall = {
    tokens,
    inputs,
    outputs: modules.map((module, i) => applyExact(module, inputs[i]!.x, tokens)),
  };
  return {
    header: {
      format: 'zklora/session/v1',
      adapterId: adapterId(adapter),
      contributorKey: adapter.contributorKey,
      userKey: bytesToHex(ed25519.getPublicKey(new Uint8Array(32).fill(9))),
      nonce: seed.toString(16).padStart(64, '0'),
      inputs: modules.map((_, i) => [i]),
    },
    seed: new Uint8Array(32).fill(seed),
    callCount: 1,
    readCall: async () => call,
  };
}

async function main(): Promise<void> {
  const { parameters: folder, proofs, adapters, tokens } = JSON.parse(process.argv[2]!) as Request;
  const parameters = await openParameters(folder);
  const { layers, perLayer } = (await paperAdapters()).find(({ name }) => name === ADAPTER)!;
  const modules = Array.from({ length: layers * perLayer.length }, (_, i) =>
    syntheticModule(`module.${i}`, perLayer[i % perLayer.length]!, i + 1),
  );
  const engine = await loadEngine();
  const srs = await parameters.srs(domainSizeFor(modules));
  // the same weights under fresh blinders are another adapter: other points, another id
  const registered = [];
  for (let i = 0; i < adapters; i++) {
    const baseDigest = '11'.repeat(32);
    registered.push(await registerAdapter({ engine, srs, parametersId: parameters.id, modules, baseDigest }));
  }
  const items: BatchItem[] = [];
  for (let i = 0; i < proofs; i++) {
    const { commitment: adapter, secret } = registered[i % adapters]!;
    const session = holdSession(adapter, modules, tokens, i + 1);
    const proof = await proveUnchecked({ engine, parameters, adapter, modules, secret, session });
    items.push({ adapter, session, proof });
  }
  const own = {
    engine,
    parameters: parameters.set,
    verificationKeys: parameters.vkey,
    allowDevelopmentParameters: true,
  };
  const timed = async (work: () => Promise<void>): Promise<number> => {
    await work();
    const start = performance.now();
    await work();
    return (performance.now() - start) / 1e3;
  };
  const singleSeconds = await timed(async () => {
    for (const item of items) {
      const verdict = await verifyProof({ ...own, ...item });
      if (!verdict.valid) throw new Error(verdict.message);
    }
  });
  const batchSeconds = await timed(async () => {
    if (!(await verifyBatch({ ...own, items })).valid) throw new Error('the batch does not hold');
  });
  await engine.terminate();
  const row: BatchRow = { proofs, adapters, singleSeconds, batchSeconds };
  process.stdout.write(`${JSON.stringify(row)}\n`);
}

await main();

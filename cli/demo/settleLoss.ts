import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { domainSizeFor, registerAdapter } from '../../src/adapter/index.js';
import { loadEngine } from '../../src/algebra/index.js';
import { hexToBytes } from '../../src/bytes.js';
import { openParameters } from '../../src/circuit/index.js';
import { ZkLoraError } from '../../src/errors.js';
import {
  byteWindows,
  connectContributor,
  evaluateAdapter,
  openBaseModel,
  parseAddress,
  serveContributor,
} from '../../src/inference/index.js';
import { loadQuantizedAdapter } from '../inputs.js';

/** As `zklora evaluate` has them. */
const SEQUENCE = 96;
const BATCH = 4;

/**
 * Loss of a text with an opened PEFT adapter, computed as the evaluation did: the buyer serves it to itself. The same
 * integers give the same loss to the last bit.
 */
export async function evaluateOpened(options: {
  adapter: string;
  base: string;
  text: string;
  parameters: string;
  out: string;
  sequences: number;
}): Promise<number> {
  const modules = await loadQuantizedAdapter(options.adapter);
  const parameters = await openParameters(options.parameters);
  const engine = await loadEngine();
  const model = await openBaseModel(options.base, modules);
  try {
    const { commitment, secret } = await registerAdapter({
      engine,
      srs: await parameters.srs(domainSizeFor(modules)),
      parametersId: parameters.id,
      modules,
      baseDigest: model.digest,
    });
    const server = await serveContributor({
      address: parseAddress('127.0.0.1:0'),
      commitment,
      modules,
      secretKey: hexToBytes(secret.contributorSecretKey),
      sessionsDir: join(options.out, 'served'),
      prove: () => Promise.reject(new ZkLoraError('USAGE', 'nobody asks oneself for a proof')),
    });
    const client = await connectContributor({ address: server.address });
    try {
      const text = new Uint8Array(await readFile(options.text));
      const windows = byteWindows(text, SEQUENCE, options.sequences);
      const dir = join(options.out, 'session');
      return (await evaluateAdapter({ model, client, commitment, dir, windows, batch: BATCH })).adapterLoss;
    } finally {
      client.close();
      await server.close();
    }
  } finally {
    await model.close();
    await engine.terminate();
  }
}

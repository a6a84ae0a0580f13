// A contributor in a process of its own, for tests that kill it. Arguments: adapter folder, base digest, folder
// for sessions. Prints its port.
import { readPeftAdapter } from '../../dist/src/adapter/peft.js';
import { quantizeModule } from '../../dist/src/adapter/quantize.js';
import { bytesToHex } from '../../dist/src/bytes.js';
import { serveContributor } from '../../dist/src/inference/service.js';
import { keyPairFromSeed } from '../../dist/src/inference/signatures.js';

const [adapterDir, baseDigest, sessionsDir] = process.argv.slice(2);
const pair = keyPairFromSeed(new Uint8Array(32).fill(1));
const modules = (await readPeftAdapter(adapterDir)).modules.map(quantizeModule);
const commitment = {
  format: 'zklora/adapter/v1',
  parametersId: '11'.repeat(32),
  contributorKey: bytesToHex(pair.publicKey),
  baseDigest,
  lineageDigest: '00'.repeat(32),
  salt: '22'.repeat(32),
  domainSize: 512,
  modules: modules.map(({ a, bT, ...shape }) => ({
    ...shape,
    columnOffset: 0,
    aRows: Array.from({ length: shape.rank }, () => '01'.repeat(64)),
    bColumns: Array.from({ length: shape.rank }, () => '02'.repeat(64)),
  })),
  registrationProof: null,
};
const { address } = await serveContributor({
  commitment,
  modules,
  secretKey: pair.secretKey,
  sessionsDir,
  prove: async () => new Uint8Array(),
  address: { host: '127.0.0.1', port: 0 },
});
process.stdout.write(`${address.port}\n`);

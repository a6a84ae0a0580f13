// A contributor in a process of its own, for tests that kill it. Arguments: adapter folder, base digest, folder
// for sessions, then optionally a port and where to kill itself: `before:N` or `after:N`, N the number of a flush to
// disk, counted from the first request on. Prints its port.
import { readPeftAdapter } from '../../dist/src/adapter/peft.js';
import { quantizeModule } from '../../dist/src/adapter/quantize.js';
import { bytesToHex } from '../../dist/src/bytes.js';
import { serveContributor } from '../../dist/src/inference/service.js';
import { keyPairFromSeed } from '../../dist/src/inference/signatures.js';
import { killAtFlush } from './killAtFlush.mjs';

const [adapterDir, baseDigest, sessionsDir, port = '0', killAt] = process.argv.slice(2);
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
  // As long as the rows that it proves.
  prove: async (session) => new Uint8Array(session.callCount),
  address: { host: '127.0.0.1', port: Number(port) },
});
if (killAt !== undefined) await killAtFlush(killAt);
process.stdout.write(`${address.port}\n`);

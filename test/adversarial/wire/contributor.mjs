// A contributor in a process of its own, for attacks on the wire: what it holds comes over the channel to its parent,
// which learns its port, and its memory whenever it asks.
import { serveContributor } from '../../../dist/src/inference/service.js';

process.once('message', async ({ modules, commitment, secretKey, sessionsDir }) => {
  const server = await serveContributor({
    commitment,
    modules,
    secretKey,
    sessionsDir,
    prove: async () => Uint8Array.of(1, 2, 3),
    address: { host: '127.0.0.1', port: 0 },
  });
  process.on('message', async (question) => {
    if (question === 'end') {
      await server.shutdown();
      process.disconnect();
      return;
    }
    globalThis.gc();
    process.send({ rss: process.memoryUsage().rss, peak: process.resourceUsage().maxRSS * 1024 });
  });
  process.send({ port: server.address.port });
});

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getAddress, parseEther } from 'viem';
import { DevChain } from './devChain.js';
import { DevRpc, type RpcError } from './rpc.js';

/** Largest request: a dispute's transaction of 128 KiB in hex, with room. */
const MAX_REQUEST_BYTES = 2 ** 20;

/** Ether of each account named on the command line. */
const BALANCE = parseEther('100');

/**
 * Entry point of the demo's chain: `node node.js CHAIN_ID TIMESTAMP ACCOUNT...` serves JSON-RPC over HTTP on a free port
 * of the loopback interface and prints `{"url"}` when it is ready. Ends with SIGTERM.
 */
async function main([chainId, timestamp, ...accounts]: readonly string[]): Promise<void> {
  const balances = Object.fromEntries(accounts.map((account) => [getAddress(account), BALANCE]));
  const rpc = new DevRpc(
    await DevChain.create({ chainId: Number(chainId), timestamp: Number(timestamp), balances }),
  );
  const server = createServer((request, response) => {
    answer(rpc, request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as AddressInfo;
    process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${port}` })}\n`);
  });
  process.once('SIGTERM', () => {
    server.close();
    server.closeAllConnections();
  });
}

async function answer(rpc: DevRpc, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_REQUEST_BYTES) {
      response.writeHead(413).end();
      return;
    }
    chunks.push(chunk);
  }
  let body: unknown;
  try {
    body = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    response.writeHead(400).end();
    return;
  }
  const replies = Array.isArray(body)
    ? await Promise.all(body.map((one) => reply(rpc, one)))
    : await reply(rpc, body);
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(replies));
}

async function reply(rpc: DevRpc, body: unknown): Promise<unknown> {
  const { id, method, params } = (body ?? {}) as { id?: unknown; method?: unknown; params?: unknown };
  try {
    const result = await rpc.request({ method: String(method), params });
    return { jsonrpc: '2.0', id: id ?? null, result: result ?? null };
  } catch (error) {
    const { code, message, data } = error as RpcError;
    return {
      jsonrpc: '2.0',
      id: id ?? null,
      error: { code, message, ...(data === undefined ? {} : { data }) },
    };
  }
}

await main(process.argv.slice(2));

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import {
  createPublicClient,
  createTestClient,
  createWalletClient,
  defineChain,
  http,
  parseEther,
} from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const payer = privateKeyToAccount(generatePrivateKey());
const payee = privateKeyToAccount(generatePrivateKey());
const GENESIS = 1_800_000_000;

describe("the demo's chain node, as a process", () => {
  const node = spawn(
    process.execPath,
    ['dist/cli/demo/chain/node.js', '31337', String(GENESIS), payer.address],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let url: string;
  beforeAll(async () => {
    const [line] = (await once(createInterface({ input: node.stdout }), 'line')) as [string];
    ({ url } = JSON.parse(line) as { url: string });
  });
  afterAll(async () => {
    const ended = once(node, 'close');
    node.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });

  const clients = () => {
    const chain = defineChain({
      id: 31337,
      name: 'demo',
      nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
      rpcUrls: { default: { http: [url] } },
    });
    const settings = { chain, transport: http(url, { retryCount: 0 }) };
    return {
      reader: createPublicClient(settings),
      wallet: createWalletClient({ ...settings, account: payer }),
      test: createTestClient({ ...settings, mode: 'anvil' }),
    };
  };

  it('pays, counts gas, keeps time', async () => {
    const { reader, wallet, test } = clients();
    expect(await reader.getChainId()).toBe(31337);
    const hash = await wallet.sendTransaction({ to: payee.address, value: parseEther('1') });
    const receipt = await reader.waitForTransactionReceipt({ hash });
    expect(receipt).toMatchObject({ status: 'success', gasUsed: 21_000n, blockNumber: 1n });
    expect(await reader.getBalance({ address: payee.address })).toBe(parseEther('1'));
    const spent = parseEther('100') - (await reader.getBalance({ address: payer.address }));
    expect(spent).toBe(parseEther('1') + receipt.gasUsed * receipt.effectiveGasPrice);
    await test.increaseTime({ seconds: 3600 });
    await wallet.sendTransaction({ to: payee.address, value: 1n });
    const block = await reader.getBlock();
    expect(block.timestamp).toBe(BigInt(GENESIS + 12 + 12 + 3600));
  });

  it('refuses what is no transaction, no method, no JSON', async () => {
    const { reader, wallet } = clients();
    const again = await wallet.signTransaction({
      ...(await wallet.prepareTransactionRequest({ to: payee.address, value: 1n })),
      nonce: 0,
    });
    await expect(reader.sendRawTransaction({ serializedTransaction: again })).rejects.toThrow(/nonce/);
    const post = async (body: string) =>
      (await fetch(url, { method: 'POST', body })).json() as Promise<object>;
    expect(await post('{"id":1,"method":"__proto__"}')).toMatchObject({ error: { code: -32601 } });
    expect((await fetch(url, { method: 'POST', body: '{' })).status).toBe(400);
    expect((await fetch(url, { method: 'POST', body: 'x'.repeat(2 ** 20 + 1) })).status).toBe(413);
  });
});

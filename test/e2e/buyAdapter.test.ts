import { execFile, spawn } from 'node:child_process';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createWalletClient, defineChain, getContractAddress, http } from 'viem';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadQuantizedAdapter } from '../../cli/inputs.js';
import { readPeftAdapter } from '../../src/adapter/index.js';
import {
  adapterEscrowAbi,
  adapterEscrowBytecode,
  EscrowChain,
  makeDeliveryKey,
  parseSignedOffer,
  readMasterKey,
} from '../../src/settlement/index.js';
import { BUYER_KEY, CONTRIBUTOR_KEY } from '../settlement/bargain.js';
import { buyer, CHAIN_ID, contributor } from '../settlement/chainWorld.js';
import {
  filesBelow,
  GPT2_ADAPTER,
  GPT2_BASE,
  GPT2_TEXT,
  lastObject,
  PARAMETERS,
  type Ran,
  serving,
  temporaryFolder,
  zkloraJson,
} from './cli.js';

let root: string;
const cleanUp: (() => Promise<unknown> | unknown)[] = [];
beforeAll(async () => {
  const { dir, remove } = await temporaryFolder();
  root = dir;
  cleanUp.push(remove);
});
afterAll(async () => {
  for (const each of cleanUp.reverse()) await each();
});

/** Runs a program with variables in its environment. */
function run(program: string, args: readonly string[], env: Record<string, string>): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(program, args, { env: { ...process.env, ...env } }, (error, stdout, stderr) =>
      resolve({ code: error ? ((error.code as unknown as number) ?? -1) : 0, stdout, stderr }),
    );
  });
}

/** The demo's chain as a process, with the contract on it. */
async function startChain(): Promise<{ url: string; contract: `0x${string}` }> {
  const now = String(Math.floor(Date.now() / 1000));
  const node = spawn(process.execPath, [
    'dist/cli/demo/chain/node.js',
    ...[String(CHAIN_ID), now, contributor.address, buyer.address],
  ]);
  cleanUp.push(() => node.kill('SIGTERM'));
  for await (const line of createInterface({ input: node.stdout })) {
    const { url } = JSON.parse(line) as { url: string };
    const chain = defineChain({
      id: CHAIN_ID,
      name: 'test',
      nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
      rpcUrls: { default: { http: [url] } },
    });
    const wallet = createWalletClient({ chain, transport: http(url), account: contributor });
    await wallet.deployContract({ abi: adapterEscrowAbi, bytecode: adapterEscrowBytecode });
    return { url, contract: getContractAddress({ from: contributor.address, nonce: 0n }) };
  }
  throw new Error('the chain did not start');
}

describe('examples/ci/buy-adapter.sh', () => {
  it('evaluates, pays, waits without failing, and buys the adapter in a later run', async () => {
    const registered = join(root, 'registered');
    await zkloraJson(
      'register',
      ...['--adapter', GPT2_ADAPTER, '--base', GPT2_BASE, '--parameters', PARAMETERS, '--out', registered],
    );
    const files = [
      ...['--adapter', GPT2_ADAPTER, '--commitment', join(registered, 'adapter.zkl.json')],
      ...['--secret', join(registered, 'adapter.secret'), '--parameters', PARAMETERS],
    ];
    const service = await serving([...files, '--sessions', join(root, 'served')]);
    cleanUp.push(async () => {
      service.process.kill('SIGTERM');
      await service.ended;
    });
    const { url, contract } = await startChain();
    const deliveryKey = join(root, 'buyer.key');
    const deal = join(root, 'deal');
    const delivered = await run(
      process.execPath,
      [
        ...['dist/cli/main.js', 'deliver', ...files, '--buyer-key', await makeDeliveryKey(deliveryKey)],
        ...['--out', deal, '--escrow', contract, '--chain-id', String(CHAIN_ID), '--buyer', buyer.address],
        ...['--price', '1.5', '--stake', '0.5', '--allow-development-params', '--json'],
      ],
      { ZKLORA_CHAIN_KEY: CONTRIBUTOR_KEY },
    );
    expect(delivered.code, delivered.stderr).toBe(0);
    await copyFile(join(registered, 'adapter.zkl.json'), join(deal, 'adapter.zkl.json'));
    const { offer, escrow } = await parseSignedOffer(await readFile(join(deal, 'offer.json'), 'utf8'));
    const seller = await EscrowChain.connect({ node: url, escrow, account: contributor, confirmations: 1 });
    await seller.deposit(offer.token, offer.stake);

    const shipped = JSON.parse(await readFile('examples/ci/policy.json', 'utf8')) as object;
    expect(shipped).toMatchObject({ allowDevelopmentParameters: false });
    const policy = join(root, 'policy.json');
    await writeFile(policy, JSON.stringify({ ...shipped, allowDevelopmentParameters: true }));
    const state = join(root, 'state');
    await mkdir(state);
    const output = join(root, 'output');
    await writeFile(output, '');
    const job = () =>
      run('bash', ['examples/ci/buy-adapter.sh'], {
        ...{ ZKLORA_CHAIN_KEY: BUYER_KEY, ZKLORA_RPC_URL: url, DEAL: deal, STATE: state },
        ...{ POLICY: policy, PARAMETERS, DELIVERY_KEY: deliveryKey, BASE: GPT2_BASE },
        ...{ TEXT: GPT2_TEXT, CONTRIBUTOR: service.address, SEQUENCES: '1', CONFIRMATIONS: '1' },
        GITHUB_OUTPUT: output,
      });
    const first = await job();
    expect(first.code, first.stderr).toBe(0);
    expect(lastObject(first)).toMatchObject({ status: 'waiting' });
    expect(await readFile(output, 'utf8')).toBe('');

    const masterKey = (await readMasterKey(join(deal, 'master.key'))).secret;
    await seller.reveal(offer, masterKey);
    const second = await job();
    expect(lastObject(second), second.stderr).toMatchObject({ status: 'done' });
    expect(await readFile(output, 'utf8')).toBe('bought=true\n');
    expect(await loadQuantizedAdapter(join(state, 'adapter'))).toEqual(
      await loadQuantizedAdapter(GPT2_ADAPTER),
    );

    // what is secret of either side stays in its own file
    const secrets = [Buffer.from(BUYER_KEY.slice(2)), Buffer.from(CONTRIBUTOR_KEY.slice(2))];
    const key = Buffer.from(masterKey);
    const weights = (await readPeftAdapter(GPT2_ADAPTER)).modules[0]!.a;
    secrets.push(key, Buffer.from(key.toString('hex')), Buffer.from(weights.slice(0, 4).buffer));
    const outputs = [delivered, first, second].map(({ stdout, stderr }) => Buffer.from(stdout + stderr));
    const written = (await filesBelow(deal)).filter((path) => !path.endsWith('master.key'));
    const journal = (await filesBelow(state)).filter((path) => !path.includes('/adapter/'));
    for (const path of [...written, ...journal]) outputs.push(await readFile(path));
    for (const bytes of outputs) {
      expect(secrets.some((secret) => bytes.includes(secret))).toBe(false);
    }
  }, 300_000);
});

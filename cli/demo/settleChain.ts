import { fileURLToPath } from 'node:url';
import {
  type Address,
  createPublicClient,
  createWalletClient,
  defineChain,
  formatEther,
  type Hex,
  http,
} from 'viem';
import { generatePrivateKey, privateKeyToAccount, privateKeyToAddress } from 'viem/accounts';
import { ZkLoraError } from '../../src/errors.js';
import { EscrowChain } from '../../src/settlement/chain.js';
import {
  adapterEscrowAbi,
  adapterEscrowBytecode,
  type EscrowAddress,
  NATIVE_TOKEN,
} from '../../src/settlement/index.js';
import { ZkloraProcess } from '../childProcess.js';

const CHAIN_ID = 31_337;

/** A party's account on the demo's chain. */
export interface Party {
  readonly address: Address;
  /** What its commands get in their environment: the key of a fresh account that exists on this chain only. */
  readonly environment: Readonly<Record<string, string>>;
}

/** Money of both parties, wei: their accounts and what the contract owes them. */
export interface Balances {
  readonly contributor: bigint;
  readonly buyer: bigint;
}

/** The demo's chain as a process of its own, with the escrow contract on it. */
export class DemoChain {
  readonly url: string;
  readonly escrow: EscrowAddress;
  readonly deployGas: number;
  readonly contributor: Party;
  readonly buyer: Party;
  readonly #node: ZkloraProcess;
  readonly #reader: EscrowChain;

  private constructor(
    node: ZkloraProcess,
    url: string,
    reader: EscrowChain,
    deployGas: number,
    parties: readonly [Party, Party],
  ) {
    this.#node = node;
    this.#reader = reader;
    this.url = url;
    this.escrow = reader.escrow;
    this.deployGas = deployGas;
    [this.contributor, this.buyer] = parties;
  }

  static async start(): Promise<DemoChain> {
    const keys = [generatePrivateKey(), generatePrivateKey(), generatePrivateKey()] as const;
    const now = Math.floor(Date.now() / 1000);
    const node = new ZkloraProcess(
      [String(CHAIN_ID), String(now), ...keys.map(privateKeyToAddress)],
      {},
      { path: fileURLToPath(new URL('./chain/node.js', import.meta.url)) },
    );
    try {
      const url = (await node.next()).url as string;
      const { contract, gas } = await deploy(url, keys[2]);
      const escrow = { chainId: CHAIN_ID, contract };
      const reader = await EscrowChain.connect({ node: url, escrow, confirmations: 1 });
      const party = (key: Hex): Party => ({
        address: privateKeyToAddress(key),
        environment: { ZKLORA_CHAIN_KEY: key, ZKLORA_RPC_URL: url },
      });
      return new DemoChain(node, url, reader, gas, [party(keys[0]), party(keys[1])]);
    } catch (error) {
      node.stop();
      throw error;
    }
  }

  async balances(): Promise<Balances> {
    const total = async ({ address }: Party) =>
      (await this.#reader.funds(address, NATIVE_TOKEN)) + (await this.#reader.balance(address, NATIVE_TOKEN));
    return { contributor: await total(this.contributor), buyer: await total(this.buyer) };
  }

  /** Lets time pass on the chain. */
  async wait(seconds: number): Promise<void> {
    const client = createPublicClient({ transport: http(this.url, { retryCount: 0 }) });
    const request = client.request as (call: { method: string; params: unknown[] }) => Promise<unknown>;
    await request({ method: 'evm_increaseTime', params: [seconds] });
    await request({ method: 'evm_mine', params: [] });
  }

  async stop(): Promise<void> {
    this.#node.stop();
    await this.#node.exitCode();
  }
}

async function deploy(url: string, key: Hex): Promise<{ contract: Address; gas: number }> {
  const chain = defineChain({
    id: CHAIN_ID,
    name: 'demo',
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [url] } },
  });
  const transport = http(url, { retryCount: 0 });
  const wallet = createWalletClient({ chain, transport, account: privateKeyToAccount(key) });
  const hash = await wallet.deployContract({ abi: adapterEscrowAbi, bytecode: adapterEscrowBytecode });
  const { contractAddress, gasUsed } = await createPublicClient({
    chain,
    transport,
    pollingInterval: 50,
  }).waitForTransactionReceipt({ hash });
  if (!contractAddress) throw new ZkLoraError('INTERNAL', 'the escrow contract was not deployed');
  return { contract: contractAddress, gas: Number(gasUsed) };
}

/** Wei as ether with six decimals, signed. */
export function formatGain(wei: bigint): string {
  const text = Number(formatEther(wei)).toFixed(6);
  return wei > 0n ? `+${text}` : text;
}

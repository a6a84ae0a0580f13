/** A chain in this process with the escrow contract on it, and both parties connected. */
import {
  createWalletClient,
  custom,
  defineChain,
  getContractAddress,
  type LocalAccount,
  parseEther,
} from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { DevChain } from '../../cli/demo/chain/devChain.js';
import { DevRpc } from '../../cli/demo/chain/rpc.js';
import { EscrowChain } from '../../src/settlement/chain.js';
import { adapterEscrowAbi, adapterEscrowBytecode, type EscrowAddress } from '../../src/settlement/index.js';
import { BUYER_KEY, CONTRIBUTOR_KEY } from './bargain.js';

export const CHAIN_ID = 31_337;
/** Timestamp of block 0, seconds. */
export const GENESIS = 1_800_000_000;
export const contributor = privateKeyToAccount(CONTRIBUTOR_KEY);
export const buyer = privateKeyToAccount(BUYER_KEY);

export interface ChainWorld {
  readonly dev: DevChain;
  readonly rpc: DevRpc;
  readonly escrow: EscrowAddress;
  /** The contract as an account sees it; a hook may look at each request before the node does. */
  connect(account: LocalAccount, hook?: (method: string, params: unknown) => void): Promise<EscrowChain>;
}

export async function makeChainWorld(): Promise<ChainWorld> {
  const dev = await DevChain.create({
    chainId: CHAIN_ID,
    timestamp: GENESIS,
    balances: { [contributor.address]: parseEther('100'), [buyer.address]: parseEther('100') },
  });
  const rpc = new DevRpc(dev);
  const chain = defineChain({
    id: CHAIN_ID,
    name: 'test',
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [] } },
  });
  const wallet = createWalletClient({
    chain,
    transport: custom(rpc, { retryCount: 0 }),
    account: contributor,
  });
  await wallet.deployContract({ abi: adapterEscrowAbi, bytecode: adapterEscrowBytecode });
  const escrow = {
    chainId: CHAIN_ID,
    contract: getContractAddress({ from: contributor.address, nonce: 0n }),
  };
  return {
    dev,
    rpc,
    escrow,
    connect: (account, hook) =>
      EscrowChain.connect({
        node: custom(
          {
            request: async (request: { method: string; params?: unknown }) => {
              hook?.(request.method, request.params);
              return rpc.request(request);
            },
          },
          { retryCount: 0 },
        ),
        escrow,
        account,
        confirmations: 1,
        pollingInterval: 1,
        clock: () => 0,
      }),
  };
}

import {
  type Abi,
  type Address,
  createWalletClient,
  custom,
  decodeFunctionData,
  defineChain,
  erc20Abi,
  getContractAddress,
  type Hex,
} from 'viem';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keyHashOf, type SignedOffer } from '../../src/settlement/index.js';
import { refusalOf } from '../adapter/refusal.js';
import { silentTokenAbi, silentTokenBytecode, tokenAbi, tokenBytecode } from '../contracts/gen/contracts.js';
import { type Bargain, makeBargain, signedOffer } from './bargain.js';
import { buyer, CHAIN_ID, type ChainWorld, contributor, GENESIS, makeChainWorld } from './chainWorld.js';

let bargain: Bargain;
let world: ChainWorld;
beforeAll(async () => {
  bargain = await makeBargain();
});
beforeEach(async () => {
  world = await makeChainWorld();
});
afterAll(() => bargain.close());

const NOTHING = new Uint8Array(32);

/** An offer whose key is the bargain's; what it is about does not matter here. */
async function fundedOffer(): Promise<SignedOffer> {
  const digests = { rowsRoot: NOTHING, cipherRoot: NOTHING, keyHash: keyHashOf(bargain.masterKey) };
  const fundBy = BigInt(GENESIS + 100_000);
  const offer = await signedOffer(bargain, digests, { ...world.escrow, fundBy, stake: 0n });
  await (await world.connect(buyer)).fund(offer);
  return offer;
}

describe('the revealed key', () => {
  it('is looked for in the blocks of the reveal alone', async () => {
    const { offer } = await fundedOffer();
    world.dev.mine(40);
    const seller = await world.connect(contributor);
    await seller.reveal(offer, bargain.masterKey);
    const revealed = world.dev.blockNumber;
    // two blocks of one timestamp, and later ones
    world.dev.setNextTimestamp(Number(world.dev.head.header.timestamp));
    world.dev.mine(1);
    world.dev.mine(20);
    const ranges: unknown[] = [];
    const reader = await world.connect(buyer, (method, params) => {
      if (method === 'eth_getLogs') ranges.push((params as [object])[0]);
    });
    expect(await reader.revealedKey(offer)).toEqual(bargain.masterKey);
    const hex = (block: number) => `0x${block.toString(16)}`;
    expect(ranges).toMatchObject([{ fromBlock: hex(revealed), toBlock: hex(revealed + 1) }]);
    // still there when the contributor was paid
    world.dev.increaseTime(offer.disputeWindow + 1);
    await seller.withdraw(offer, contributor.address);
    expect(await reader.revealedKey(offer)).toEqual(bargain.masterKey);
  });

  it('is not there before the reveal', async () => {
    const { offer } = await fundedOffer();
    const reader = await world.connect(buyer);
    expect((await refusalOf(reader.revealedKey(offer))).code).toBe('CHAIN_MISMATCH');
  });
});

describe('a deadline', () => {
  it('is given while something is due', async () => {
    const { offer } = await fundedOffer();
    const chain = await world.connect(buyer);
    const { deadline, now } = await chain.status(offer);
    expect(deadline).toBe(now + BigInt(offer.revealWindow));
    world.dev.increaseTime(offer.revealWindow + 1);
    await chain.refund(offer);
    expect(await chain.status(offer)).toMatchObject({ state: 'refunded', deadline: 0n });
  });
});

describe('tokens', () => {
  const wallet = () =>
    createWalletClient({
      chain: defineChain({
        id: CHAIN_ID,
        name: 'test',
        nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
        rpcUrls: { default: { http: [] } },
      }),
      transport: custom(world.rpc, { retryCount: 0 }),
      account: contributor,
    });

  async function deploy(abi: Abi, bytecode: Hex): Promise<Address> {
    await wallet().deployContract({ abi, bytecode, args: [[contributor.address]] });
    return getContractAddress({ from: contributor.address, nonce: 1n });
  }

  /** Amounts that the token was asked to approve. */
  const approvals = (token: Address) =>
    world.dev
      .transactions(0, world.dev.blockNumber)
      .filter(({ tx }) => tx.to?.toString() === token.toLowerCase())
      .map(({ tx }) =>
        decodeFunctionData({ abi: erc20Abi, data: `0x${Buffer.from(tx.data).toString('hex')}` }),
      )
      .map(({ args }) => args?.[1]);

  it.each([
    ['answer', tokenAbi, tokenBytecode],
    ['do not answer, and change an allowance only from or to zero', silentTokenAbi, silentTokenBytecode],
  ] as const)('that %s are deposited', async (_, abi, bytecode) => {
    const token = await deploy(abi, bytecode);
    const chain = await world.connect(contributor);
    await chain.deposit(token, 100n);
    await wallet().writeContract({
      ...{ address: token, abi: erc20Abi, functionName: 'approve', args: [world.escrow.contract, 30n] },
      gas: 100_000n,
    });
    await chain.deposit(token, 70n);
    expect(await chain.balance(contributor.address, token)).toBe(170n);
    expect(approvals(token)).toEqual([100n, 30n, 0n, 70n]);
  });
});

import { type Abi, type Address, encodeFunctionData, type Hex, toFunctionSelector } from 'viem';
import { beforeEach, describe, expect, it } from 'vitest';
import { adapterEscrowAbi, NATIVE_TOKEN, type Offer, offerId } from '../../src/settlement/index.js';
import * as sol from './gen/contracts.js';
import { expectRevert } from './revert.js';
import { buyer, contributor, masterKey, sampleOffer, stranger, World } from './world.js';

/** What the escrow answers to a call from inside another one. */
const REENTERED = toFunctionSelector('Reentered()');

let world: World;
beforeEach(async () => {
  world = await World.create();
});

const holders = [contributor.address, buyer.address];

async function deployToken(abi: Abi, bytecode: Hex): Promise<Address> {
  const token = await world.deploy(abi, bytecode, [holders]);
  for (const holder of [contributor, buyer]) {
    await world.sendTo(token, abi, holder, 'approve', [world.escrow.contract, 2n ** 200n]);
  }
  return token;
}

const balance = (token: Address, account: Address) =>
  world.reader.readContract({
    address: token,
    abi: sol.tokenAbi,
    functionName: 'balanceOf',
    args: [account],
  });

async function makeOffer(token: Address, changes: Partial<Offer> = {}) {
  const offer = sampleOffer({ token, ...changes });
  return { offer, id: offerId(world.escrow, offer), signature: await world.sign(offer) };
}

describe('ERC-20', () => {
  it.each([
    ['returns true', sol.tokenAbi, sol.tokenBytecode],
    ['returns nothing', sol.silentTokenAbi, sol.silentTokenBytecode],
  ] as const)('pays with a token that %s, under 250,000 gas', async (_, abi, bytecode) => {
    const token = await deployToken(abi, bytecode);
    const { offer, signature } = await makeOffer(token);
    await world.send(contributor, 'deposit', [token, offer.stake]);
    await expectRevert(world.send(buyer, 'fund', [offer, signature], 1n), 'ValueInvalid');
    let gas = await world.send(buyer, 'fund', [offer, signature]);
    gas += await world.send(contributor, 'reveal', [offer, masterKey]);
    world.chain.increaseTime(offer.disputeWindow + 1);
    gas += await world.send(contributor, 'withdraw', [offer, contributor.address]);
    expect(gas).toBeLessThan(250_000n);
    expect(await balance(token, contributor.address)).toBe(10n ** 24n + offer.price);
    expect(await balance(token, buyer.address)).toBe(10n ** 24n - offer.price);
    expect(await balance(token, world.escrow.contract)).toBe(0n);
  });

  it('refuses a token that keeps a part of each transfer', async () => {
    const token = await deployToken(sol.feeTokenAbi, sol.feeTokenBytecode);
    await expectRevert(world.send(contributor, 'deposit', [token, 100n]), 'AmountReceivedInvalid');
    const { offer, signature } = await makeOffer(token, { stake: 0n });
    await expectRevert(world.send(buyer, 'fund', [offer, signature]), 'AmountReceivedInvalid');
    expect(await world.balanceOf(contributor, token)).toBe(0n);
  });

  it('believes a token that says false', async () => {
    const token = await deployToken(sol.falseTokenAbi, sol.falseTokenBytecode);
    await expectRevert(world.send(contributor, 'deposit', [token, 100n]), 'TokenFailed');
    await world.sendTo(token, sol.falseTokenAbi, stranger, 'set', [false, true]);
    await world.send(contributor, 'deposit', [token, 100n]);
    const out = () => world.send(contributor, 'collect', [token, 100n, contributor.address]);
    await expectRevert(out(), 'TokenFailed');
    expect(await world.balanceOf(contributor, token)).toBe(100n);
    await world.sendTo(token, sol.falseTokenAbi, stranger, 'set', [false, false]);
    await out();
  });

  it('refuses an address without a contract', async () => {
    await expectRevert(world.send(contributor, 'deposit', [stranger.address, 100n]), 'TokenFailed');
  });

  it('refuses a transfer that the holder did not allow or cannot pay', async () => {
    const token = await world.deploy(sol.tokenAbi, sol.tokenBytecode, [holders]);
    await expectRevert(world.send(contributor, 'deposit', [token, 100n]), 'TokenFailed');
  });

  it('keeps the money of each token apart', async () => {
    const token = await deployToken(sol.tokenAbi, sol.tokenBytecode);
    await world.send(contributor, 'deposit', [token, 100n]);
    await world.send(contributor, 'deposit', [NATIVE_TOKEN, 7n], 7n);
    await expectRevert(
      world.send(contributor, 'collect', [NATIVE_TOKEN, 8n, stranger.address]),
      'BalanceTooSmall',
    );
    const { offer, signature } = await makeOffer(NATIVE_TOKEN, { stake: 100n });
    await expectRevert(world.send(buyer, 'fund', [offer, signature], offer.price), 'BalanceTooSmall');
  });
});

describe('re-entrancy', () => {
  /** Calls the escrow as a party that is a contract. */
  const passThrough =
    (receiver: Address) =>
    (functionName: string, args: readonly unknown[], value = 0n) => {
      const data = encodeFunctionData({ abi: adapterEscrowAbi, functionName, args } as never);
      const abi = [...sol.callbackReceiverAbi, ...adapterEscrowAbi];
      return world.sendTo(receiver, abi, stranger, 'pass', [world.escrow.contract, data], value);
    };

  /** Every call that moves money, as a message to the escrow. */
  function messages(offer: Offer, signature: Hex): readonly Hex[] {
    const data = (functionName: string, args: readonly unknown[]) =>
      encodeFunctionData({ abi: adapterEscrowAbi, functionName, args } as never);
    return [
      data('deposit', [offer.token, 1n]),
      data('collect', [offer.token, 1n, stranger.address]),
      data('fund', [offer, signature]),
      data('withdraw', [offer, stranger.address]),
    ];
  }

  it('through a token finds the door shut, at every transfer', async () => {
    const token = await deployToken(sol.callbackTokenAbi, sol.callbackTokenBytecode);
    const { offer, signature } = await makeOffer(token);
    const answer = () =>
      world.reader.readContract({ address: token, abi: sol.callbackTokenAbi, functionName: 'answer' });
    const arm = (message: Hex) =>
      world.sendTo(token, sol.callbackTokenAbi, stranger, 'arm', [world.escrow.contract, message]);
    await world.send(contributor, 'deposit', [token, 10n * offer.stake]);
    for (const message of messages(offer, signature)) {
      await arm(message);
      await world.send(contributor, 'deposit', [token, 1n]);
      expect(await answer()).toBe(REENTERED);
      await arm(message);
      await world.send(contributor, 'collect', [token, 1n, contributor.address]);
      expect(await answer()).toBe(REENTERED);
    }
    const rearm = () => arm(messages(offer, signature)[1]!);
    await rearm();
    await world.send(buyer, 'fund', [offer, signature]);
    expect(await answer()).toBe(REENTERED);
    await world.send(contributor, 'reveal', [offer, masterKey]);
    await rearm();
    world.chain.increaseTime(offer.disputeWindow + 1);
    await world.send(contributor, 'withdraw', [offer, contributor.address]);
    expect(await answer()).toBe(REENTERED);
  });

  it('through a receiver takes nothing twice', async () => {
    const receiver = await world.deploy(sol.callbackReceiverAbi, sol.callbackReceiverBytecode);
    const pass = passThrough(receiver);
    // somebody else's money is there to take
    await world.send(contributor, 'deposit', [NATIVE_TOKEN, 100n], 100n);
    await pass('deposit', [NATIVE_TOKEN, 10n], 10n);
    const again = encodeFunctionData({
      abi: adapterEscrowAbi,
      functionName: 'collect',
      args: [NATIVE_TOKEN, 5n, receiver],
    });
    await world.sendTo(receiver, sol.callbackReceiverAbi, stranger, 'arm', [again, false]);
    await pass('collect', [NATIVE_TOKEN, 5n, receiver]);
    const answer = await world.reader.readContract({
      address: receiver,
      abi: sol.callbackReceiverAbi,
      functionName: 'answer',
    });
    expect(answer).toBe(REENTERED);
    expect(await world.chain.balance(receiver)).toBe(5n);
    expect(await world.balanceOf(receiver)).toBe(5n);
    expect(await world.chain.balance(world.escrow.contract)).toBe(105n);
  });

  it('a receiver that refuses money holds up nobody else, and its own stays', async () => {
    const receiver = await world.deploy(sol.callbackReceiverAbi, sol.callbackReceiverBytecode);
    await world.sendTo(receiver, sol.callbackReceiverAbi, stranger, 'arm', ['0x', true]);
    const { offer, id, signature } = await makeOffer(NATIVE_TOKEN, { buyer: receiver });
    await world.send(contributor, 'deposit', [NATIVE_TOKEN, offer.stake], offer.stake);
    const pass = passThrough(receiver);
    await pass('fund', [offer, signature], offer.price);
    world.chain.increaseTime(offer.revealWindow + 1);
    await world.send(contributor, 'refund', [offer]);
    expect(await world.stateOf(id)).toBe('Refunded');
    await world.send(contributor, 'collect', [NATIVE_TOKEN, offer.stake, contributor.address]);
    await expectRevert(pass('collect', [NATIVE_TOKEN, offer.price, receiver]), 'PaymentRefused');
    expect(await world.balanceOf(receiver)).toBe(offer.price);
    await pass('collect', [NATIVE_TOKEN, offer.price, stranger.address]);
  });
});

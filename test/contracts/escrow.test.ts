import { encodeFunctionData, type Hex, keccak256, parseEther, toHex } from 'viem';
import { beforeEach, describe, expect, it } from 'vitest';
import { adapterEscrowAbi, adapterEscrowBytecode, type Offer, offerId } from '../../src/settlement/index.js';
import { expectRevert } from './revert.js';
import { buyer, contributor, HOUR, masterKey, sampleOffer, stranger, World } from './world.js';

let world: World;
beforeEach(async () => {
  world = await World.create();
});

/** An offer whose stake is deposited. */
async function staked(changes: Partial<Offer> = {}): Promise<{ offer: Offer; id: Hex; signature: Hex }> {
  const offer = sampleOffer(changes);
  await world.send(contributor, 'deposit', [offer.token, offer.stake], offer.stake);
  return { offer, id: offerId(world.escrow, offer), signature: await world.sign(offer) };
}

async function funded(changes: Partial<Offer> = {}) {
  const made = await staked(changes);
  await world.send(buyer, 'fund', [made.offer, made.signature], made.offer.price);
  return { ...made, fundedAt: world.now };
}

describe('offer id', () => {
  it('is the EIP-712 digest that viem computes', async () => {
    const offer = sampleOffer();
    expect(await world.read('offerId', [offer])).toBe(offerId(world.escrow, offer));
  });

  it('refuses members wider than their type', async () => {
    const offer = sampleOffer();
    const data = encodeFunctionData({ abi: adapterEscrowAbi, functionName: 'offerId', args: [offer] });
    // member 5, rowCount, of 32 bits: set a bit above
    const at = 2 + 8 + 5 * 64;
    const dirty = `${data.slice(0, at)}1${data.slice(at + 1)}` as Hex;
    const call = (input: Hex) => world.chain.call({ to: world.escrow.contract, data: input });
    expect((await call(data)).reverted).toBe(false);
    expect((await call(dirty)).reverted).toBe(true);
  });
});

describe('a sale', () => {
  it('moves price and stake once, and its gas stays under 250,000', async () => {
    const { offer, id, signature } = await staked();
    const before = await world.chain.balance(stranger.address);
    let gas = await world.send(buyer, 'fund', [offer, signature], offer.price);
    expect(await world.balanceOf(contributor)).toBe(0n);
    gas += await world.send(contributor, 'reveal', [offer, masterKey]);
    world.chain.increaseTime(offer.disputeWindow + 1);
    const payee = `0x${'77'.repeat(20)}` as const;
    gas += await world.send(contributor, 'withdraw', [offer, payee]);
    expect(gas).toBeLessThan(250_000n);
    expect(await world.stateOf(id)).toBe('Withdrawn');
    expect(await world.chain.balance(payee)).toBe(offer.price + offer.stake);
    expect(await world.chain.balance(world.escrow.contract)).toBe(0n);
    expect(await world.chain.balance(stranger.address)).toBe(before);
  });

  it('announces every step in an event', async () => {
    const { offer, id } = await funded();
    await world.send(contributor, 'reveal', [offer, masterKey]);
    const logs = await world.reader.getContractEvents({
      address: world.escrow.contract,
      abi: adapterEscrowAbi,
      fromBlock: 0n,
    });
    expect(logs.map(({ eventName }) => eventName)).toEqual(['Deposited', 'Funded', 'KeyRevealed']);
    expect(logs[2]!.args).toEqual({
      offerId: id,
      masterKey,
      disputeBy: BigInt(world.now + offer.disputeWindow),
    });
  });
});

describe('fund', () => {
  it('is for the buyer alone', async () => {
    const { offer, signature } = await staked();
    await expectRevert(world.send(stranger, 'fund', [offer, signature], offer.price), 'NotBuyer');
  });

  it('takes an offer once: not while funded, nor after the refund', async () => {
    const { offer, signature } = await funded();
    await world.send(contributor, 'deposit', [offer.token, offer.stake], offer.stake);
    const again = () => world.send(buyer, 'fund', [offer, signature], offer.price);
    expect(await expectRevert(again(), 'WrongState')).toEqual([2]);
    world.chain.increaseTime(offer.revealWindow + 1);
    await world.send(stranger, 'refund', [offer]);
    expect(await expectRevert(again(), 'WrongState')).toEqual([5]);
  });

  it('takes no cancelled offer', async () => {
    const { offer, signature } = await staked();
    await expectRevert(world.send(buyer, 'cancel', [offer]), 'NotContributor');
    await world.send(contributor, 'cancel', [offer]);
    await expectRevert(world.send(buyer, 'fund', [offer, signature], offer.price), 'WrongState');
    await expectRevert(world.send(contributor, 'cancel', [offer]), 'WrongState');
  });

  it('takes exactly the price', async () => {
    const { offer, signature } = await staked();
    for (const value of [0n, offer.price - 1n, offer.price + 1n]) {
      await expectRevert(world.send(buyer, 'fund', [offer, signature], value), 'ValueInvalid');
    }
  });

  it('needs the whole stake, which its owner may take back before', async () => {
    const { offer, signature } = await staked();
    await world.send(contributor, 'collect', [offer.token, 1n, contributor.address]);
    const [balance] = await expectRevert(
      world.send(buyer, 'fund', [offer, signature], offer.price),
      'BalanceTooSmall',
    );
    expect(balance).toBe(offer.stake - 1n);
  });

  it('counts the last second, and not the one after', async () => {
    const { offer, signature } = await staked();
    const at = (timestamp: bigint) =>
      world.sendAt(Number(timestamp), buyer, 'fund', [offer, signature], offer.price);
    const before = await world.chain.snapshot();
    await expectRevert(at(offer.fundBy + 1n), 'TooLate');
    await world.chain.revert(before);
    await at(offer.fundBy);
  });

  it.each([
    ['revealWindow', 30 * 60 - 1],
    ['revealWindow', 90 * 24 * HOUR + 1],
    ['disputeWindow', 0],
    ['disputeWindow', 90 * 24 * HOUR + 1],
  ] as const)('refuses a %s of %i seconds', async (member, seconds) => {
    const { offer, signature } = await staked({ [member]: seconds });
    await expectRevert(world.send(buyer, 'fund', [offer, signature], offer.price), 'WindowInvalid');
  });

  it('takes the shortest and the longest window', async () => {
    await funded({ revealWindow: 30 * 60, disputeWindow: 90 * 24 * HOUR });
  });
});

describe('signature', () => {
  const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

  it('counts on one chain only', async () => {
    const { offer } = await staked();
    const elsewhere = await world.sign(offer, { ...world.escrow, chainId: 1 });
    await expectRevert(world.send(buyer, 'fund', [offer, elsewhere], offer.price), 'SignatureInvalid');
  });

  it('counts for one contract only, and so does the id', async () => {
    const { offer, signature } = await staked();
    const second = await world.deploy(adapterEscrowAbi, adapterEscrowBytecode);
    const send = (from: typeof buyer, name: string, args: readonly unknown[], value: bigint) =>
      world.sendTo(second, adapterEscrowAbi, from, name, args, value);
    await send(contributor, 'deposit', [offer.token, offer.stake], offer.stake);
    await expectRevert(send(buyer, 'fund', [offer, signature], offer.price), 'SignatureInvalid');
    await send(
      buyer,
      'fund',
      [offer, await world.sign(offer, { ...world.escrow, contract: second })],
      offer.price,
    );
    expect(await world.stateOf(offerId(world.escrow, offer))).toBe('None');
  });

  it('has one form: low s, v 27 or 28, 65 bytes', async () => {
    const { offer, signature } = await staked();
    const s = ORDER - BigInt(`0x${signature.slice(66, 130)}`);
    const v = signature.endsWith('1b') ? '1c' : '1b';
    const forms: Hex[] = [
      `${signature.slice(0, 66)}${toHex(s, { size: 32 }).slice(2)}${v}` as Hex,
      `${signature.slice(0, 130)}${v === '1c' ? '00' : '01'}` as Hex,
      `${signature.slice(0, 130)}${v}` as Hex,
      signature.slice(0, 130) as Hex,
      `${signature}00`,
      `0x${'00'.repeat(65)}`,
      '0x',
    ];
    for (const form of forms) {
      await expectRevert(world.send(buyer, 'fund', [offer, form], offer.price), 'SignatureInvalid', form);
    }
    await world.send(buyer, 'fund', [offer, signature], offer.price);
  });

  it('covers every member', async () => {
    const { offer, signature } = await staked();
    await world.send(contributor, 'deposit', [offer.token, offer.stake], offer.stake);
    for (const member of Object.keys(offer) as (keyof Offer)[]) {
      // another buyer or contributor or token is refused for more than the signature
      if (member === 'buyer' || member === 'contributor' || member === 'token') continue;
      const value = offer[member];
      const changed = typeof value === 'string' ? keccak256(value) : BigInt(value) + 1n;
      const other = { ...offer, [member]: typeof value === 'number' ? Number(changed) : changed } as Offer;
      const call = world.send(buyer, 'fund', [other, signature], other.price);
      await expectRevert(call, 'SignatureInvalid', member);
    }
    const theirs = { ...offer, contributor: stranger.address };
    await expectRevert(world.send(buyer, 'fund', [theirs, signature], offer.price), 'SignatureInvalid');
    const mine = { ...offer, buyer: stranger.address };
    await expectRevert(world.send(stranger, 'fund', [mine, signature], offer.price), 'SignatureInvalid');
  });

  it('of nobody is of no offer by address zero', async () => {
    const { offer } = await staked({ contributor: `0x${'00'.repeat(20)}`, stake: 0n });
    await expectRevert(
      world.send(buyer, 'fund', [offer, `0x${'00'.repeat(64)}1b`], offer.price),
      'SignatureInvalid',
    );
  });
});

describe('reveal', () => {
  it('counts whoever makes it: who runs in front does what the contributor wanted', async () => {
    const { offer, id } = await funded();
    await world.send(stranger, 'reveal', [offer, masterKey]);
    expect(await world.stateOf(id)).toBe('Revealed');
    await expectRevert(world.send(contributor, 'reveal', [offer, masterKey]), 'WrongState');
    world.chain.increaseTime(offer.disputeWindow + 1);
    await expectRevert(world.send(stranger, 'withdraw', [offer, stranger.address]), 'NotContributor');
    await world.send(contributor, 'withdraw', [offer, contributor.address]);
  });

  it('takes the one key', async () => {
    const { offer } = await funded();
    await expectRevert(world.send(contributor, 'reveal', [offer, keccak256(masterKey)]), 'KeyInvalid');
  });

  it('counts the last second; the refund begins the second after', async () => {
    const { offer, fundedAt } = await funded();
    const deadline = fundedAt + offer.revealWindow;
    const reveal = (timestamp: number) => world.sendAt(timestamp, contributor, 'reveal', [offer, masterKey]);
    const refund = (timestamp: number) => world.sendAt(timestamp, buyer, 'refund', [offer]);
    const before = await world.chain.snapshot();
    expect(await expectRevert(refund(deadline), 'TooEarly')).toEqual([BigInt(deadline)]);
    await world.chain.revert(before);
    await reveal(deadline);
    await world.chain.revert(before);
    expect(await expectRevert(reveal(deadline + 1), 'TooLate')).toEqual([BigInt(deadline)]);
    await world.chain.revert(before);
    await refund(deadline + 1);
    expect(await world.balanceOf(buyer)).toBe(offer.price);
    expect(await world.balanceOf(contributor)).toBe(offer.stake);
  });
});

describe('withdraw', () => {
  it('begins the second after the dispute window', async () => {
    const { offer } = await funded();
    await world.send(contributor, 'reveal', [offer, masterKey]);
    const deadline = world.now + offer.disputeWindow;
    const withdraw = (timestamp: number) =>
      world.sendAt(timestamp, contributor, 'withdraw', [offer, contributor.address]);
    const before = await world.chain.snapshot();
    expect(await expectRevert(withdraw(deadline), 'TooEarly')).toEqual([BigInt(deadline)]);
    await world.chain.revert(before);
    await withdraw(deadline + 1);
    await expectRevert(withdraw(deadline + 1), 'WrongState');
  });
});

describe('balances', () => {
  it('belong to who deposited', async () => {
    await world.send(contributor, 'deposit', [sampleOffer().token, 5n], 5n);
    const { token } = sampleOffer();
    await expectRevert(world.send(stranger, 'collect', [token, 1n, stranger.address]), 'BalanceTooSmall');
    await expectRevert(world.send(contributor, 'collect', [token, 6n, stranger.address]), 'BalanceTooSmall');
    await expectRevert(world.send(contributor, 'deposit', [token, 5n], 4n), 'ValueInvalid');
    await world.send(contributor, 'collect', [token, 5n, `0x${'99'.repeat(20)}`]);
    expect(await world.chain.balance(`0x${'99'.repeat(20)}`)).toBe(5n);
  });

  it('refuses coins that nobody asked for', async () => {
    const sent = await world.chain.call({
      from: buyer.address,
      to: world.escrow.contract,
      value: parseEther('1'),
    });
    expect(sent.reverted).toBe(true);
  });
});

import fc from 'fast-check';
import { type Account, type Address, type Hex, keccak256, parseEther, toHex } from 'viem';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DevSnapshot } from '../../cli/demo/chain/devChain.js';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import { type FraudProof, NATIVE_TOKEN, type Offer, offerId } from '../../src/settlement/index.js';
import { Delivery, makeSrs, sampleRow } from './delivery.js';
import { silentTokenAbi, silentTokenBytecode } from './gen/contracts.js';
import {
  apply,
  CALLS,
  type Call,
  canAttempt,
  initialState,
  type ModelState,
  PARTIES,
  type Party,
  type Terms,
} from './model.js';
import { expectRevert } from './revert.js';
import { buyer, contributor, HOUR, masterKey, sampleOffer, stranger, World } from './world.js';

/** One unit of the model's money, and one of its ticks: the shortest window the contract takes is half an hour. */
const UNIT = parseEther('1');
const TICK = 2 * HOUR;

const ACCOUNTS: Readonly<Record<Party, Account>> = { contributor, buyer, stranger };
/** More than any run spends. */
const WALLET = { contributor: 500, buyer: 500, stranger: 500 };

const RUNS = 20;
const STEPS = 18;

interface Setting {
  readonly world: World;
  readonly offer: Offer;
  readonly id: Hex;
  readonly terms: Terms;
  /** Of the one wrong row, or of the first row of a good delivery with the point of another one. */
  readonly proof: FraudProof;
  readonly signature: Hex;
  readonly forged: Hex;
  readonly start: DevSnapshot;
  /** Timestamp of tick 0. */
  readonly origin: number;
}

let engine: Engine;
beforeAll(async () => {
  engine = await loadEngine();
});
afterAll(() => engine.terminate());

async function makeSetting(goodDelivery: boolean, native: boolean): Promise<Setting> {
  const world = await World.create();
  const token = native ? NATIVE_TOKEN : await deployToken(world);
  const srs = await makeSrs(engine, 512);
  const row = sampleRow(1, 48);
  const wrong = { ...row, values: row.values.map((value, i) => (i === 3 ? value ^ 1 : value)) };
  const delivery = await Delivery.make(engine, srs, [row], goodDelivery ? {} : { 0: wrong });
  const origin = world.now + TICK;
  const terms: Terms = { price: 3, stake: 1, fundBy: 2, revealWindow: 1, disputeWindow: 2, goodDelivery };
  const offer = sampleOffer({
    ...delivery.terms,
    token,
    price: BigInt(terms.price) * UNIT,
    stake: BigInt(terms.stake) * UNIT,
    fundBy: BigInt(origin + terms.fundBy * TICK),
    revealWindow: terms.revealWindow * TICK,
    disputeWindow: terms.disputeWindow * TICK,
  });
  const id = offerId(world.escrow, offer);
  return {
    world,
    offer,
    id,
    terms,
    proof: (await delivery.proof(id, 0)) ?? (await proofOfNothing(delivery, id)),
    signature: await world.sign(offer),
    forged: await world.sign(offer, world.escrow, stranger),
    start: await world.chain.snapshot(),
    origin,
  };
}

/** A token of which every party may spend. */
async function deployToken(world: World): Promise<Address> {
  const holders = [contributor, buyer, stranger];
  const addresses = holders.map(({ address }) => address);
  const token = await world.deploy(silentTokenAbi, silentTokenBytecode, [addresses]);
  for (const holder of holders) {
    await world.sendTo(token, silentTokenAbi, holder, 'approve', [world.escrow.contract, 2n ** 200n]);
  }
  return token;
}

/** A fraud proof of a good row, as far as one can be made: F is C, opened correctly. */
async function proofOfNothing(delivery: Delivery, id: Hex): Promise<FraudProof> {
  const wrong = await Delivery.make(engine, delivery.srs, [sampleRow(1, 48)], { 0: sampleRow(2, 48) });
  const proof = (await wrong.proof(id, 0))!;
  return { ...proof, ciphertext: toHex(delivery.ciphertexts[0]!), delivered: proof.registered };
}

function request({ offer, signature, forged, proof }: Setting, state: ModelState, by: Party, call: Call) {
  const native = offer.token === NATIVE_TOKEN;
  const paid = (amount: bigint) => (native ? amount : 0n);
  const credit = BigInt(state.credit[by]) * UNIT;
  const { address } = ACCOUNTS[by];
  const table: Record<Call, readonly [string, readonly unknown[], bigint?]> = {
    deposit: ['deposit', [offer.token, offer.stake], paid(offer.stake)],
    collect: ['collect', [offer.token, credit, address]],
    collectTooMuch: ['collect', [offer.token, credit + 1n, address]],
    cancel: ['cancel', [offer]],
    fund: ['fund', [offer, signature], paid(offer.price)],
    fundForged: ['fund', [offer, forged], paid(offer.price)],
    reveal: ['reveal', [offer, masterKey]],
    revealWrong: ['reveal', [offer, keccak256(masterKey)]],
    withdraw: ['withdraw', [offer, address]],
    refund: ['refund', [offer]],
    dispute: ['dispute', [offer, masterKey, proof]],
  };
  return table[call];
}

/** Money of an account in the offer's token; for the chain's coin without what it spent on gas. */
async function fundsOf({ world, offer }: Setting, party: Party, spent: bigint): Promise<bigint> {
  const { address } = ACCOUNTS[party];
  if (offer.token === NATIVE_TOKEN) return (await world.chain.balance(address)) + spent;
  return tokenBalance(world, offer.token, address);
}

function tokenBalance(world: World, token: Address, account: Address): Promise<bigint> {
  return world.reader.readContract({
    address: token,
    abi: silentTokenAbi,
    functionName: 'balanceOf',
    args: [account],
  });
}

const step = fc.record({
  by: fc.constantFrom(...PARTIES),
  call: fc.constantFrom(...CALLS),
  /** Ticks that pass before the call. */
  wait: fc.constantFrom(0, 0, 0, 1, 2),
});

/** Begins like a sale, so that the later states are met often, and goes on with anything. */
const opening = fc.constantFrom<readonly (readonly [Party, Call])[]>(
  [],
  [['contributor', 'deposit']],
  [
    ['contributor', 'deposit'],
    ['buyer', 'fund'],
  ],
  [
    ['contributor', 'deposit'],
    ['buyer', 'fund'],
    ['contributor', 'reveal'],
  ],
);

describe.each([
  { goodDelivery: false, native: true },
  { goodDelivery: true, native: false },
])('the contract does what the model does (good delivery $goodDelivery, native $native)', (kind) => {
  let setting: Setting;
  beforeAll(async () => {
    setting = await makeSetting(kind.goodDelivery, kind.native);
  });

  it('in random sequences of calls', async () => {
    const { world, terms, offer, id, origin } = setting;
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(opening, fc.array(step, { maxLength: STEPS }), async (first, rest) => {
        await world.chain.revert(setting.start);
        const before = await Promise.all(PARTIES.map((party) => fundsOf(setting, party, 0n)));
        const spent: Record<Party, bigint> = { contributor: 0n, buyer: 0n, stranger: 0n };
        let state = initialState(WALLET);
        const steps = [...first.map(([by, call]) => ({ by, call, wait: 0 })), ...rest];
        for (const { by, call, wait } of steps) {
          state = { ...state, now: state.now + wait };
          if (!canAttempt(terms, state, by, call)) continue;
          const outcome = apply(terms, state, by, call);
          const [name, args, value = 0n] = request(setting, state, by, call);
          const send = () => world.sendAt(origin + state.now * TICK, ACCOUNTS[by], name, args, value);
          if ('error' in outcome) {
            await expectRevert(send(), outcome.error, `${by} ${call}`);
            seen.add(outcome.error);
          } else {
            spent[by] += await send();
            state = outcome.state;
          }
          seen.add(state.phase);
        }
        const [, deadline] = (await world.read('escrowOf', [id])) as [number, bigint];
        expect(await world.stateOf(id)).toBe(state.phase);
        if (state.phase === 'Funded' || state.phase === 'Revealed') {
          expect(Number(deadline)).toBe(origin + state.deadline * TICK);
        }
        for (const [i, party] of PARTIES.entries()) {
          const gained = BigInt(state.wallet[party] - WALLET[party]) * UNIT;
          expect(await fundsOf(setting, party, spent[party]), party).toBe(before[i]! + gained);
          const credit = await world.balanceOf(ACCOUNTS[party], offer.token);
          expect(credit, party).toBe(BigInt(state.credit[party]) * UNIT);
        }
        const { contract } = world.escrow;
        const held = kind.native
          ? await world.chain.balance(contract)
          : await tokenBalance(world, offer.token, contract);
        const credits = PARTIES.reduce((sum, party) => sum + state.credit[party], state.locked);
        expect(held).toBe(BigInt(credits) * UNIT);
      }),
      { numRuns: RUNS },
    );
    // the runs are the same every time, so what they met is too
    const met = [
      'Funded',
      'Revealed',
      'Refunded',
      'Cancelled',
      'TooLate',
      'TooEarly',
      'WrongState',
      'KeyInvalid',
    ];
    expect([...seen]).toEqual(expect.arrayContaining(met));
    expect(seen.has(kind.goodDelivery ? 'RowIsRegistered' : 'Convicted')).toBe(true);
  });
});

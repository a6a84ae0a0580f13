import { type Command, InvalidArgumentError } from 'commander';
import { type Address, formatUnits, getAddress, parseUnits } from 'viem';
import { ZkLoraError } from '../src/errors.js';
import type { OfferTerms } from '../src/settlement/deliveryDescription.js';
import {
  type EscrowAddress,
  MAX_WINDOW_SECONDS,
  MIN_WINDOW_SECONDS,
  NATIVE_TOKEN,
  type Offer,
  type SignedOffer,
} from '../src/settlement/index.js';
import { positiveInteger } from './command.js';

/** The terms of an offer as options. */
export interface TermOptions {
  escrow: Address;
  chainId: number;
  buyer: Address;
  token?: Address;
  decimals?: number;
  price: string;
  stake: string;
  fundWithin: number;
  revealWindow: number;
  disputeWindow: number;
}

const DAY = 24 * 60 * 60;
/** Decimals of the chain's own coin. */
const NATIVE_DECIMALS = 18;
const MAX_DECIMALS = 36;
const MAX_AMOUNT = 2n ** 128n;

/** Adds the options that make an offer. */
export function withTerms(command: Command): Command {
  return command
    .requiredOption('--escrow <address>', 'AdapterEscrow contract', addressOption)
    .requiredOption('--chain-id <n>', 'chain of the contract', positiveInteger(Number.MAX_SAFE_INTEGER))
    .requiredOption('--buyer <address>', 'the account that may fund the offer', addressOption)
    .requiredOption('--price <amount>', 'price, e.g. 1250.50')
    .requiredOption('--stake <amount>', 'what you lose on top when a delivered row is wrong')
    .option('--token <address>', "ERC-20 to be paid in; without it the chain's own coin", addressOption)
    .option('--decimals <n>', 'decimals of the token', positiveInteger(MAX_DECIMALS))
    .option(
      '--fund-within <seconds>',
      'how long the offer holds',
      positiveInteger(MAX_WINDOW_SECONDS),
      7 * DAY,
    )
    .option('--reveal-window <seconds>', 'time to reveal the key after funding', windowOption, DAY)
    .option('--dispute-window <seconds>', 'time for a fraud proof after the reveal', windowOption, 2 * DAY);
}

/** The most that a buyer pays, as options. */
export interface PriceOptions {
  maxPrice: string;
  token?: Address;
  decimals?: number;
}

/** Adds the options that limit what is paid. */
export function withMaxPrice(command: Command): Command {
  return command
    .requiredOption('--max-price <amount>', 'refuse an offer that asks for more, e.g. 1250.50')
    .option('--token <address>', "the ERC-20 you pay in; without it the chain's own coin", addressOption)
    .option('--decimals <n>', 'decimals of the token', positiveInteger(MAX_DECIMALS));
}

/**
 * Refuses an offer in another token, or for more.
 *
 * @throws ZkLoraError `OFFER_REFUSED`, `USAGE`
 */
export function requireAffordable({ token, price }: Offer, options: PriceOptions): void {
  const most = amount('--max-price', options.maxPrice, unitOf(options));
  if (token !== (options.token ?? NATIVE_TOKEN)) {
    throw new ZkLoraError(
      'OFFER_REFUSED',
      `the offer wants ${token === NATIVE_TOKEN ? "the chain's own coin" : `the token ${token}`}; name with --token what you mean to pay in`,
      { details: { member: 'token' } },
    );
  }
  if (price > most) {
    throw new ZkLoraError('OFFER_REFUSED', `the price is ${price} units, your --max-price ${most} units`, {
      details: { member: 'price' },
    });
  }
}

/** An offer's terms in lines for people, before money moves. */
export function describeTerms({ offer }: SignedOffer, options: PriceOptions): string {
  const { token, price, stake, contributor, revealWindow, disputeWindow } = offer;
  const unit = unitOf(options);
  return [
    `contributor     ${contributor}`,
    `price           ${formatUnits(price, unit)} of ${token === NATIVE_TOKEN ? "the chain's own coin" : token}`,
    `stake           ${formatUnits(stake, unit)}`,
    `reveal window   ${revealWindow} s: your money is locked so long if no key comes`,
    `dispute window  ${disputeWindow} s: open the delivery within it`,
  ].join('\n');
}

/** Decimals that amounts are written with. @throws ZkLoraError `USAGE` for a token without them, or them without a token */
function unitOf({ token = NATIVE_TOKEN, decimals }: Pick<TermOptions, 'token' | 'decimals'>): number {
  if ((token === NATIVE_TOKEN) !== (decimals === undefined)) {
    throw new ZkLoraError(
      'USAGE',
      `--token needs --decimals: a price of 1 is 1000000 units of many stablecoins; the chain's own coin has ${NATIVE_DECIMALS}`,
    );
  }
  return decimals ?? NATIVE_DECIMALS;
}

/** Reads the options; `now` in seconds. @throws ZkLoraError `USAGE` */
export function termsOf(options: TermOptions, now: number): { escrow: EscrowAddress; terms: OfferTerms } {
  const { token } = options;
  const unit = unitOf(options);
  return {
    escrow: { chainId: options.chainId, contract: options.escrow },
    terms: {
      buyer: options.buyer,
      token: token ?? NATIVE_TOKEN,
      price: amount('--price', options.price, unit),
      stake: amount('--stake', options.stake, unit),
      fundBy: BigInt(now + options.fundWithin),
      revealWindow: options.revealWindow,
      disputeWindow: options.disputeWindow,
    },
  };
}

/** Option parser for an address; a checksum that is wrong is refused, a missing one is computed. */
export function addressOption(text: string): Address {
  try {
    if (/^0x[0-9a-f]{40}$/.test(text)) return getAddress(text);
    if (getAddress(text) === text) return text;
  } catch {
    // refused below
  }
  throw new InvalidArgumentError('expected an address: 0x and 40 hex digits, its checksum (EIP-55) intact');
}

function windowOption(text: string): number {
  const value = positiveInteger(MAX_WINDOW_SECONDS)(text);
  if (value < MIN_WINDOW_SECONDS) {
    throw new InvalidArgumentError(`expected at least ${MIN_WINDOW_SECONDS} seconds`);
  }
  return value;
}

/** Exact: more digits behind the point than the token has are refused, not rounded. */
function amount(option: string, text: string, decimals: number): bigint {
  const [, fraction = ''] = /^\d{1,39}(?:\.(\d+))?$/.exec(text) ?? [null, 'x'];
  if (!/^\d*$/.test(fraction) || fraction.length > decimals) {
    throw new ZkLoraError('USAGE', `${option} is no amount with at most ${decimals} decimals`);
  }
  const value = parseUnits(text, decimals);
  if (value >= MAX_AMOUNT) throw new ZkLoraError('USAGE', `${option} is 2^128 units or more`);
  return value;
}

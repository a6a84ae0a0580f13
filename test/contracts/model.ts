/**
 * The escrow as an explicit state machine, written from docs/settlement.md and not from the contract: one offer, its two
 * parties, a stranger, and time in ticks.
 */
import type { State } from './world.js';

export type Party = 'contributor' | 'buyer' | 'stranger';
export const PARTIES: readonly Party[] = ['contributor', 'buyer', 'stranger'];

/** What the offer says, and whether what was delivered under it is what was registered. */
export interface Terms {
  readonly price: number;
  readonly stake: number;
  /** Last tick for funding. */
  readonly fundBy: number;
  readonly revealWindow: number;
  readonly disputeWindow: number;
  readonly goodDelivery: boolean;
}

export interface ModelState {
  readonly phase: State;
  readonly now: number;
  /** Last tick for reveal or dispute; 0 elsewhere. */
  readonly deadline: number;
  readonly wallet: Readonly<Record<Party, number>>;
  /** Balances inside the contract. */
  readonly credit: Readonly<Record<Party, number>>;
  /** Price and stake of the funded offer. */
  readonly locked: number;
  /** The buyer can decrypt. */
  readonly keyPublic: boolean;
}

export type Call =
  | 'deposit'
  | 'collect'
  | 'collectTooMuch'
  | 'cancel'
  | 'fund'
  | 'fundForged'
  | 'reveal'
  | 'revealWrong'
  | 'withdraw'
  | 'refund'
  | 'dispute';
export const CALLS: readonly Call[] = [
  'deposit',
  'collect',
  'collectTooMuch',
  'cancel',
  'fund',
  'fundForged',
  'reveal',
  'revealWrong',
  'withdraw',
  'refund',
  'dispute',
];

/** State afterwards, or the name of the contract's error. */
export type Outcome = { readonly state: ModelState } | { readonly error: string };

export function initialState(wallet: Readonly<Record<Party, number>>): ModelState {
  return {
    phase: 'None',
    now: 0,
    deadline: 0,
    wallet,
    credit: { contributor: 0, buyer: 0, stranger: 0 },
    locked: 0,
    keyPublic: false,
  };
}

/** Whether somebody can make this call at all: has the money that goes with it, or the key. */
export function canAttempt(terms: Terms, state: ModelState, by: Party, call: Call): boolean {
  if (call === 'deposit') return state.wallet[by] >= terms.stake;
  if (call === 'fund' || call === 'fundForged') return state.wallet[by] >= terms.price;
  if (call === 'reveal' || call === 'dispute') return by === 'contributor' || state.keyPublic;
  return true;
}

/** One call at the current tick. */
export function apply(terms: Terms, state: ModelState, by: Party, call: Call): Outcome {
  const { phase, now, deadline } = state;
  const error = (name: string): Outcome => ({ error: name });
  const move = (changes: Partial<ModelState>): Outcome => ({ state: { ...state, ...changes } });
  const add = (amounts: Readonly<Record<Party, number>>, party: Party, amount: number) => ({
    ...amounts,
    [party]: amounts[party] + amount,
  });
  const both = terms.price + terms.stake;

  switch (call) {
    case 'deposit':
      return move({
        wallet: add(state.wallet, by, -terms.stake),
        credit: add(state.credit, by, terms.stake),
      });
    case 'collect':
      return move({
        wallet: add(state.wallet, by, state.credit[by]),
        credit: add(state.credit, by, -state.credit[by]),
      });
    case 'collectTooMuch':
      return error('BalanceTooSmall');
    case 'cancel':
      if (by !== 'contributor') return error('NotContributor');
      if (phase !== 'None') return error('WrongState');
      return move({ phase: 'Cancelled' });
    case 'fund':
    case 'fundForged':
      if (phase !== 'None') return error('WrongState');
      if (by !== 'buyer') return error('NotBuyer');
      if (now > terms.fundBy) return error('TooLate');
      if (call === 'fundForged') return error('SignatureInvalid');
      if (state.credit.contributor < terms.stake) return error('BalanceTooSmall');
      return move({
        phase: 'Funded',
        deadline: now + terms.revealWindow,
        wallet: add(state.wallet, 'buyer', -terms.price),
        credit: add(state.credit, 'contributor', -terms.stake),
        locked: both,
      });
    case 'reveal':
    case 'revealWrong':
      if (phase !== 'Funded') return error('WrongState');
      if (now > deadline) return error('TooLate');
      if (call === 'revealWrong') return error('KeyInvalid');
      return move({ phase: 'Revealed', deadline: now + terms.disputeWindow, keyPublic: true });
    case 'withdraw':
      if (by !== 'contributor') return error('NotContributor');
      if (phase !== 'Revealed') return error('WrongState');
      if (now <= deadline) return error('TooEarly');
      return move({ phase: 'Withdrawn', wallet: add(state.wallet, 'contributor', both), locked: 0 });
    case 'refund':
      if (phase !== 'Funded') return error('WrongState');
      if (now <= deadline) return error('TooEarly');
      return move({
        phase: 'Refunded',
        credit: add(add(state.credit, 'buyer', terms.price), 'contributor', terms.stake),
        locked: 0,
      });
    case 'dispute':
      if (phase !== 'Revealed') return error('WrongState');
      if (now > deadline) return error('TooLate');
      if (terms.goodDelivery) return error('RowIsRegistered');
      return move({ phase: 'Convicted', credit: add(state.credit, 'buyer', both), locked: 0 });
  }
}

/** Everything there is: conserved by every step. */
export function totalOf({ wallet, credit, locked }: ModelState): number {
  return PARTIES.reduce((sum, party) => sum + wallet[party] + credit[party], locked);
}

import { describe, expect, it } from 'vitest';
import { DELAY, explore, honestBuyer, honestContributor, type Position, type Strategy } from './game.js';
import { initialState, type ModelState, type Party, type Terms, totalOf } from './model.js';

const PRICE = 5;
const STAKE = 3;
/** What everybody starts with: enough for one deposit, one funding. */
const WALLET = { contributor: STAKE, buyer: PRICE, stranger: 0 };
const START = initialState(WALLET);

/** Every shape of the windows: as short as a transaction takes, and longer. */
const TERMS: readonly Terms[] = [true, false].flatMap((goodDelivery) =>
  [DELAY, DELAY + 2].flatMap((revealWindow) =>
    [DELAY, DELAY + 2].map((disputeWindow) => ({
      price: PRICE,
      stake: STAKE,
      fundBy: 2,
      revealWindow,
      disputeWindow,
      goodDelivery,
    })),
  ),
);

/** Last tick: every deadline is over, and there is time to take one's money. */
const horizonOf = (terms: Terms) => terms.fundBy + terms.revealWindow + terms.disputeWindow + 3 * (DELAY + 1);

function all(terms: Terms, strategies: Readonly<Partial<Record<Party, Strategy>>>) {
  const horizon = horizonOf(terms);
  const graph = explore(terms, strategies, horizon, START);
  const positions = [...graph.values()].map(({ position }) => position);
  /** Nothing is left to do for those who follow the protocol. */
  const ends = positions.filter(
    ({ state, pending }: Position) =>
      state.now === horizon &&
      Object.keys(pending).length === 0 &&
      Object.values(strategies).every((strategy) => strategy(terms, state) === undefined),
  );
  return { graph, positions, ends };
}

/** The buyer holds the registered weights. */
const hasWeights = (terms: Terms, { keyPublic }: ModelState) => keyPublic && terms.goodDelivery;

describe.each(TERMS)(
  'escrow, reveal $revealWindow, dispute $disputeWindow, good delivery: $goodDelivery',
  (terms) => {
    it('neither makes nor loses money, whatever anybody does', () => {
      const { positions } = all(terms, {});
      expect(positions.length).toBeGreaterThan(100);
      for (const { state } of positions) {
        expect(totalOf(state)).toBe(totalOf(START));
        const { wallet, credit, locked, phase } = state;
        expect(Math.min(...Object.values(wallet), ...Object.values(credit), locked)).toBeGreaterThanOrEqual(
          0,
        );
        expect(locked).toBe(phase === 'Funded' || phase === 'Revealed' ? PRICE + STAKE : 0);
      }
    });

    it('can be emptied from every state', () => {
      const { graph } = all(terms, {});
      const before = new Map<string, string[]>();
      for (const [key, { next }] of graph) {
        for (const reached of next) before.set(reached, [...(before.get(reached) ?? []), key]);
      }
      const empty = ({ state: { locked, credit } }: Position) =>
        locked + credit.buyer + credit.contributor + credit.stranger === 0;
      const queue = [...graph].filter(([, { position }]) => empty(position)).map(([key]) => key);
      const emptied = new Set(queue);
      for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
        for (const one of before.get(key) ?? []) {
          if (emptied.has(one)) continue;
          emptied.add(one);
          queue.push(one);
        }
      }
      expect(emptied.size).toBe(graph.size);
    });

    it('costs a buyer who follows the protocol nothing, or the price for the registered weights', () => {
      const { ends } = all(terms, { buyer: honestBuyer });
      expect(ends.length).toBeGreaterThan(0);
      for (const { state } of ends) {
        const { phase, wallet } = state;
        if (phase === 'Withdrawn' || phase === 'Revealed') {
          expect(hasWeights(terms, state)).toBe(true);
          expect(wallet.buyer).toBe(WALLET.buyer - PRICE);
        } else {
          expect(wallet.buyer).toBe(WALLET.buyer + (phase === 'Convicted' ? STAKE : 0));
        }
      }
      const phases = new Set(ends.map(({ state }) => state.phase));
      expect(phases.has('Convicted')).toBe(!terms.goodDelivery);
      expect(phases.has('Withdrawn')).toBe(terms.goodDelivery);
      expect(phases.has('Refunded')).toBe(true);
    });
  },
);

describe.each(TERMS.filter(({ goodDelivery }) => goodDelivery))(
  'escrow of a good delivery, reveal $revealWindow, dispute $disputeWindow',
  (terms) => {
    it('pays a contributor who follows the protocol for the key, or no key is out', () => {
      const { ends } = all(terms, { contributor: honestContributor });
      expect(ends.length).toBeGreaterThan(0);
      for (const { state } of ends) {
        expect(state.wallet.contributor).toBe(WALLET.contributor + (state.keyPublic ? PRICE : 0));
      }
      const phases = new Set(ends.map(({ state }) => state.phase));
      expect(phases).toEqual(new Set(['None', 'Withdrawn']));
    });

    it('trades weights for the price when both follow the protocol', () => {
      const { ends } = all(terms, { contributor: honestContributor, buyer: honestBuyer });
      expect(ends.length).toBeGreaterThan(0);
      for (const { state } of ends) {
        expect(state).toMatchObject({
          phase: 'Withdrawn',
          keyPublic: true,
          wallet: { contributor: STAKE + PRICE, buyer: 0, stranger: 0 },
        });
      }
    });
  },
);

describe('the exploration finds what is wrong with a party that does not follow the protocol', () => {
  const terms = TERMS.find(({ goodDelivery }) => goodDelivery)!;

  it('a contributor who reveals in the last moment can lose key and price', () => {
    const late: Strategy = (rules, state) =>
      state.phase === 'Funded' && state.now < state.deadline ? undefined : honestLate(rules, state);
    const honestLate: Strategy = (rules, state) =>
      state.phase === 'Funded' && state.now === state.deadline ? 'reveal' : honestContributor(rules, state);
    const { ends } = all(terms, { contributor: late });
    const robbed = ends.filter(({ state }) => state.keyPublic && state.wallet.contributor === STAKE);
    expect(robbed.length).toBeGreaterThan(0);
  });

  it('a buyer who does not look at the delivery pays for wrong weights', () => {
    const bad = { ...terms, goodDelivery: false };
    const blind: Strategy = (rules, state) => {
      const call = honestBuyer(rules, state);
      return call === 'dispute' ? undefined : call;
    };
    const { ends } = all(bad, { buyer: blind });
    expect(ends.some(({ state }) => state.phase === 'Withdrawn' && state.wallet.buyer === 0)).toBe(true);
  });
});

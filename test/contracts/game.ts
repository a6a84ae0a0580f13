/** The escrow as a game: parties that follow the protocol against every behaviour of the others. */
import {
  apply,
  CALLS,
  type Call,
  canAttempt,
  type ModelState,
  PARTIES,
  type Party,
  type Terms,
} from './model.js';

/** What a party that follows the protocol does next; undefined when it has nothing to do. */
export type Strategy = (terms: Terms, state: ModelState) => Call | undefined;

/**
 * Ticks that a transaction may take from when it is sent (and can be read by everybody) to when it is executed: the
 * parties send nothing that this could make too late.
 */
export const DELAY = 1;

/** Delivers what was registered, stakes, reveals while there is time for it, and takes what is its own. */
export const honestContributor: Strategy = (terms, { phase, now, deadline, wallet, credit }) => {
  if (phase === 'None' && now <= terms.fundBy) {
    return credit.contributor < terms.stake && wallet.contributor >= terms.stake ? 'deposit' : undefined;
  }
  if (phase === 'Funded' && now + DELAY <= deadline) return 'reveal';
  if (phase === 'Funded' && now > deadline) return 'refund';
  if (phase === 'Revealed' && now > deadline) return 'withdraw';
  const over = phase !== 'Funded' && phase !== 'Revealed';
  return over && credit.contributor > 0 ? 'collect' : undefined;
};

/** Funds an offer that it has checked, disputes a wrong row while there is time, and takes what is its own. */
export const honestBuyer: Strategy = (terms, { phase, now, deadline, wallet, credit }) => {
  if (phase === 'None' && now + DELAY <= terms.fundBy && credit.contributor >= terms.stake) {
    return wallet.buyer >= terms.price ? 'fund' : undefined;
  }
  if (phase === 'Funded' && now > deadline) return 'refund';
  if (phase === 'Revealed' && !terms.goodDelivery && now + DELAY <= deadline) return 'dispute';
  return credit.buyer > 0 ? 'collect' : undefined;
};

/** A position: the escrow, and what the parties that follow the protocol have on its way. */
export interface Position {
  readonly state: ModelState;
  /** Transaction that was sent and is not yet executed, and the tick of sending. */
  readonly pending: Readonly<Partial<Record<Party, { readonly call: Call; readonly sent: number }>>>;
}

const keyOf = (position: Position): string => JSON.stringify(position);

/** Positions after any one move. Parties without a strategy may call anything at any time, and choose the order. */
export function moves(
  terms: Terms,
  strategies: Readonly<Partial<Record<Party, Strategy>>>,
  horizon: number,
  { state, pending }: Position,
): Position[] {
  const next: Position[] = [];
  for (const by of PARTIES) {
    const strategy = strategies[by];
    if (!strategy) {
      for (const call of CALLS) {
        if (!canAttempt(terms, state, by, call)) continue;
        const outcome = apply(terms, state, by, call);
        if ('state' in outcome) next.push({ state: outcome.state, pending });
        // a reveal that fails has shown the key all the same
        else if (call === 'reveal') next.push({ state: { ...state, keyPublic: true }, pending });
      }
      continue;
    }
    const waiting = pending[by];
    if (waiting) {
      const { [by]: _, ...others } = pending;
      const possible = canAttempt(terms, state, by, waiting.call);
      const outcome = possible ? apply(terms, state, by, waiting.call) : undefined;
      next.push({ state: outcome && 'state' in outcome ? outcome.state : state, pending: others });
    } else {
      const call = strategy(terms, state);
      if (call === undefined) continue;
      const seen = call === 'reveal' ? { ...state, keyPublic: true } : state;
      next.push({ state: seen, pending: { ...pending, [by]: { call, sent: state.now } } });
    }
  }
  if (state.now < horizon && mayTick(terms, strategies, { state, pending })) {
    next.push({ state: { ...state, now: state.now + 1 }, pending });
  }
  return next;
}

/** Time passes only when everybody who follows the protocol has sent what there is to send, and nothing is overdue. */
function mayTick(
  terms: Terms,
  strategies: Readonly<Partial<Record<Party, Strategy>>>,
  { state, pending }: Position,
): boolean {
  return PARTIES.every((by) => {
    const waiting = pending[by];
    if (waiting) return state.now < waiting.sent + DELAY;
    return strategies[by]?.(terms, state) === undefined;
  });
}

/** All positions that can be reached, with the positions each can go to. */
export function explore(
  terms: Terms,
  strategies: Readonly<Partial<Record<Party, Strategy>>>,
  horizon: number,
  start: ModelState,
): Map<string, { readonly position: Position; readonly next: readonly string[] }> {
  const first: Position = { state: start, pending: {} };
  const graph = new Map<string, { position: Position; next: string[] }>();
  const queue = [first];
  graph.set(keyOf(first), { position: first, next: [] });
  for (let position = queue.pop(); position; position = queue.pop()) {
    const node = graph.get(keyOf(position))!;
    for (const reached of moves(terms, strategies, horizon, position)) {
      const key = keyOf(reached);
      node.next.push(key);
      if (graph.has(key)) continue;
      graph.set(key, { position: reached, next: [] });
      queue.push(reached);
    }
  }
  return graph;
}

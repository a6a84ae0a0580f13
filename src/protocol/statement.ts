import type { AdapterCommitment } from '../adapter/types.js';
import { concatBytes, hexToBytes, u32 } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import type { SessionHeader } from './session.js';
import { Transcript } from './transcript.js';

/**
 * How a proof shows that the pairs' products sum to the claim: `kzg`, inside the sum argument, or `groth16`, by the
 * circuit RankCheck. docs/protocol.md, section 6.
 */
export type RankCheck = (typeof RANK_CHECKS)[number];

export const RANK_CHECKS = ['kzg', 'groth16'] as const;

/** First label of the transcript. */
const PROTOCOLS: Record<RankCheck, string> = { groth16: 'zklora/proof/v1', kzg: 'zklora/proof/v2' };

/** Token rows of one session: the soundness error grows with this over R; 2^31 keeps counts in 32 bits. */
export const MAX_TOKENS = 2 ** 31;

/** One module of a statement. */
export interface StatementModule {
  /** Index in the adapter. */
  readonly index: number;
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly columnOffset: number;
  /** Index of its input in the session header. */
  readonly input: number;
}

/** Modules whose pairs are numbered together: those that share one circuit, or all where there is none. */
export interface StatementGroup {
  /** Pairs K that the circuit holds; 0 without a circuit. */
  readonly circuit: number;
  /** Pairs P of the group: the sum of its modules' ranks. */
  readonly pairs: number;
  /** Positions in {@link Statement.modules}, contiguous and ascending. */
  readonly members: readonly number[];
}

/** Public data of one proof apart from the activations and deltas themselves. */
export interface Statement {
  readonly rankCheck: RankCheck;
  readonly parametersId: Uint8Array;
  readonly adapterId: Uint8Array;
  readonly sessionDigest: Uint8Array;
  readonly domainSize: number;
  /** Token rows of the session. */
  readonly tokens: number;
  readonly modules: readonly StatementModule[];
  /** One without circuits. */
  readonly groups: readonly StatementGroup[];
}

/** What a statement is made from. */
export interface StatementSource {
  readonly rankCheck: RankCheck;
  readonly parametersId: string;
  /** Circuit sizes of the parameter set, ascending; without a meaning for `kzg`. */
  readonly circuits: readonly number[];
  readonly adapterId: string;
  readonly adapter: AdapterCommitment;
  readonly header: SessionHeader;
  readonly sessionDigest: Uint8Array;
  readonly tokens: number;
  /** Adapter indices of the modules to prove, ascending. */
  readonly moduleIndices: readonly number[];
}

/**
 * Makes the statement that prover and verifier agree on; both derive it from what they hold themselves.
 *
 * @throws ZkLoraError `STATEMENT_INVALID` for no module, no token, or a module that no circuit can hold.
 */
export function buildStatement(source: StatementSource): Statement {
  const { adapter, header, moduleIndices, tokens } = source;
  if (moduleIndices.length === 0)
    throw new ZkLoraError('STATEMENT_INVALID', 'a proof needs at least one module');
  if (tokens < 1 || tokens > MAX_TOKENS) {
    throw new ZkLoraError('STATEMENT_INVALID', 'a proof needs at least one token row: run evaluate first');
  }
  const inputOf = new Map(header.inputs.flatMap((users, input) => users.map((module) => [module, input])));
  const modules = moduleIndices.map((index, position): StatementModule => {
    const module = adapter.modules[index];
    const input = inputOf.get(index);
    if (!module || input === undefined || (position > 0 && index <= moduleIndices[position - 1]!)) {
      throw new ZkLoraError('STATEMENT_INVALID', `module ${index} is not one of the session's`);
    }
    const { rank, inFeatures, outFeatures, columnOffset } = module;
    return { index, rank, inFeatures, outFeatures, columnOffset, input };
  });
  const ranks = modules.map(({ rank }) => rank);
  return {
    rankCheck: source.rankCheck,
    parametersId: hexToBytes(source.parametersId),
    adapterId: hexToBytes(source.adapterId),
    sessionDigest: source.sessionDigest,
    domainSize: adapter.domainSize,
    tokens,
    modules,
    groups: source.rankCheck === 'kzg' ? [wholeGroup(ranks)] : partition(ranks, source.circuits),
  };
}

function wholeGroup(ranks: readonly number[]): StatementGroup {
  const pairs = ranks.reduce((sum, rank) => sum + rank, 0);
  return { circuit: 0, pairs, members: ranks.map((_, position) => position) };
}

/**
 * Splits modules into groups: in order, a new group where the ranks would exceed the largest circuit; each group
 * takes the smallest circuit that holds it. A fixed rule: the prover has no choice.
 *
 * @throws ZkLoraError `STATEMENT_INVALID` when one module alone exceeds the largest circuit.
 */
export function partition(ranks: readonly number[], circuits: readonly number[]): StatementGroup[] {
  const largest = circuits.at(-1) ?? 0;
  const groups: { pairs: number; members: number[] }[] = [];
  ranks.forEach((rank, position) => {
    if (rank > largest) {
      throw new ZkLoraError(
        'STATEMENT_INVALID',
        `a module of rank ${rank} exceeds the parameter set's largest circuit (${largest} pairs): use a larger set`,
      );
    }
    const group = groups.at(-1);
    if (group && group.pairs + rank <= largest) {
      group.pairs += rank;
      group.members.push(position);
    } else {
      groups.push({ pairs: rank, members: [position] });
    }
  });
  return groups.map(({ pairs, members }) => ({
    circuit: circuits.find((size) => size >= pairs)!,
    pairs,
    members,
  }));
}

/** Pairs of a group, in order: position of the module, row of its A and column of its B. */
export function groupPairs(statement: Statement, group: StatementGroup): { position: number; row: number }[] {
  return group.members.flatMap((position) =>
    Array.from({ length: statement.modules[position]!.rank }, (_, row) => ({ position, row })),
  );
}

/** Transcript that has absorbed the whole statement. docs/protocol.md, "Transcript", step 1. */
export function openTranscript(statement: Statement): Transcript {
  const transcript = new Transcript(PROTOCOLS[statement.rankCheck]);
  transcript.absorb('parameters', statement.parametersId);
  transcript.absorb('adapter', statement.adapterId);
  transcript.absorb('session', statement.sessionDigest);
  transcript.absorb('sizes', concatBytes(u32(statement.domainSize), u32(statement.tokens)));
  transcript.absorb(
    'modules',
    concatBytes(
      ...statement.modules.flatMap(({ index, input, rank, inFeatures, outFeatures, columnOffset }) =>
        [index, input, rank, inFeatures, outFeatures, columnOffset].map(u32),
      ),
    ),
  );
  const { groups } = statement;
  if (statement.rankCheck === 'kzg') transcript.absorb('pairs', u32(groups[0]!.pairs));
  else {
    const sizes = groups.flatMap(({ circuit, members }) => [circuit, members.length]);
    transcript.absorb('groups', concatBytes(...sizes.map(u32)));
  }
  return transcript;
}

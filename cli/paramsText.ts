import type { CeremonyState, Check } from '../src/ceremony/index.js';
import { type Contribution, type ParameterSet, parameterSetId } from '../src/circuit/parameters.js';
import { formatTable } from './terminal.js';

/** A parameter set for people. */
export function describeParameters(set: ParameterSet): string {
  const development = set.kind === 'development';
  const phaseOne = set.contributions.filter(({ phase }) => phase === 'powers-of-tau');
  return rows([
    ['id', parameterSetId(set)],
    [
      'kind',
      development ? 'development: made from a known secret, proofs under it prove nothing' : 'ceremony',
    ],
    ['source', set.source],
    ['domains', set.domains.map(({ size }) => size).join(', ')],
    ['circuits', set.circuits.map(({ pairs }) => `${pairs} pairs`).join(', ')],
    ...contributionRows('phase 1', phaseOne),
    ...set.circuits.flatMap(({ pairs }) =>
      contributionRows(
        `phase 2, ${pairs}`,
        set.contributions.filter((contribution) => contribution.pairs === pairs),
      ),
    ),
    ...(development ? [] : TRUST),
  ]);
}

/** What a reader has to believe, and what not. */
const TRUST: readonly (readonly [string, string])[] = [
  [
    'trust',
    'phase 1: as long as one participant forgot the secret, nobody can open commitments to other weights',
  ],
  ['', 'phase 2: and one for each circuit, nobody can forge its proofs; both phases are needed'],
  ['', 'names are what participants called themselves: compare the hashes with what they have published'],
  ['', 'that the files are what this list says is checked by `zklora params verify`, not by this command'],
];

/** An unfinished ceremony for people. */
export function describeCeremony(state: CeremonyState): string {
  const { circuits } = state;
  return rows([
    ['kind', 'unfinished ceremony: no proof can be made or verified under it yet'],
    ['source', state.source],
    ['powers', String(state.powers.count)],
    ['domains', state.domains.map(({ size }) => size).join(', ')],
    [
      'circuits',
      circuits.length === 0 ? 'none yet' : circuits.map(({ pairs }) => `${pairs} pairs`).join(', '),
    ],
    [
      'next',
      circuits.length === 0
        ? 'zklora params phase2 start'
        : 'zklora params phase2 contribute, beacon, verify, finish',
    ],
  ]);
}

/** Contributions with the hashes that their contributors publish. */
export function describeHashes(contributions: readonly Contribution[]): string {
  return contributions
    .map(({ pairs, kind, name, hash }) => `${String(pairs).padStart(5)} pairs  ${kind}  ${name}\n  ${hash}`)
    .join('\n');
}

/** Checks and their verdict. */
export function describeChecks(checks: readonly Check[], verdict: string): string {
  return [...checks.map(describeCheck), verdict].join('\n');
}

const OUTCOMES: Readonly<Record<Check['outcome'], string>> = {
  ok: 'ok',
  failed: 'FAILED',
  'not checked': 'not checked',
};

function describeCheck({ name, outcome, detail, code }: Check): string {
  return `${OUTCOMES[outcome].padEnd(12)} ${name}: ${detail}${code === undefined ? '' : ` [${code}]`}`;
}

function contributionRows(label: string, contributions: readonly Contribution[]): [string, string][] {
  return contributions.map(({ kind, name, hash }, i) => [
    i === 0 ? label : '',
    `${kind.padEnd(11)} ${hash.slice(0, 16)}..  ${name}`,
  ]);
}

function rows(entries: readonly (readonly [string, string])[]): string {
  return formatTable(entries.map(([name, value]) => [`${name.padEnd(14)}${value}`]));
}

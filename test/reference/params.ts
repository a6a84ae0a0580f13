import { ascii, bytesToHex, fromHex, labelled, sameBytes, sha256 } from './bytes.js';
import { canonicalJson } from './canonicalJson.js';
import { integerIn, listOf, membersOf, textLike } from './members.js';
import { type G2Point, g2FromBytes } from './points.js';
import { demand } from './refusal.js';
import { strictJson } from './strictJson.js';

/** Circuit sizes that exist. */
const CIRCUIT_SIZES = [15, 31, 63, 127, 255, 511, 1023, 2047, 4095];
const HEX_32 = /^[0-9a-f]{64}$/;

/** What a verifier needs of params.json. */
export interface ReferenceParameters {
  readonly id: Uint8Array;
  readonly development: boolean;
  readonly tauG2: G2Point;
  /** SHA-256 (hex) of each verification key, by pairs; the circuit sizes are its keys. */
  readonly vkeyDigests: ReadonlyMap<number, string>;
}

/** Reads params.json (docs/formats.md, "Parameter set"). */
export function parseParameters(text: string): ReferenceParameters {
  demand(text.length <= 2 ** 20, 'params.json is too long');
  const json = strictJson(text);
  const all = membersOf(
    json,
    ['format', 'kind', 'curve', 'tauG2', 'powers', 'domains', 'circuits', 'source', 'contributions'],
    'params.json',
    ['transcript'],
  );
  if (all.transcript !== undefined) {
    textLike(membersOf(all.transcript, ['sha256'], 'transcript').sha256, HEX_32, 'digest of the transcript');
  }
  demand(all.format === 'zklora/params/v1' && all.curve === 'bn254', 'params.json is of another format');
  demand(all.kind === 'development' || all.kind === 'ceremony', 'params.json: kind');
  const tauG2 = g2FromBytes(fromHex(all.tauG2, 128, 'tauG2'), 'tauG2');
  checkDomains(all.domains, all.powers);
  const vkeyDigests = circuitDigests(all.circuits);
  textLike(all.source, /^[\x20-\x7e]{0,1024}$/, 'source');
  checkContributions(all.contributions, [...vkeyDigests.keys()]);
  if (all.kind === 'ceremony') checkCeremony(all, [...vkeyDigests.keys()]);
  return {
    id: labelled('zklora/params/v1', new TextEncoder().encode(canonicalJson(json))),
    development: all.kind === 'development',
    tauG2,
    vkeyDigests,
  };
}

function checkDomains(domains: unknown, powers: unknown): void {
  let largest = 256;
  for (const item of listOf(domains, 1, 20, 'domains')) {
    const { size, sha256: digest } = membersOf(item, ['size', 'sha256'], 'a domain');
    textLike(digest, HEX_32, 'digest of a domain');
    const value = integerIn(size, 512, 2 ** 20, 'size of a domain');
    demand(Number.isInteger(Math.log2(value)) && value > largest, 'domains are not ascending powers of two');
    largest = value;
  }
  const { count, sha256: digest } = membersOf(powers, ['count', 'sha256'], 'powers');
  textLike(digest, HEX_32, 'digest of the powers');
  integerIn(count, largest + 3, 2 ** 20 + 3, 'number of powers');
}

function circuitDigests(circuits: unknown): Map<number, string> {
  const digests = new Map<number, string>();
  let largest = 0;
  for (const item of listOf(circuits, 1, 9, 'circuits')) {
    const names = ['pairs', 'constraints', 'r1csSha256', 'wasmSha256', 'zkeySha256', 'vkeySha256'] as const;
    const circuit = membersOf(item, names, 'a circuit');
    const pairs = integerIn(circuit.pairs, largest + 1, 4095, 'pairs of a circuit');
    demand(
      CIRCUIT_SIZES.includes(pairs) && circuit.constraints === pairs + 2,
      'a circuit of an unknown size',
    );
    for (const name of names.slice(2)) textLike(circuit[name], HEX_32, name);
    digests.set(pairs, String(circuit.vkeySha256));
    largest = pairs;
  }
  return digests;
}

function checkContributions(contributions: unknown, sizes: readonly number[]): void {
  const contributed = new Set<unknown>();
  for (const item of listOf(contributions, 0, 1024, 'contributions')) {
    const { phase, pairs, kind, name, hash } = membersOf(
      item,
      ['phase', 'pairs', 'kind', 'name', 'hash'],
      'a contribution',
    );
    demand(phase === 'phase2' ? sizes.includes(Number(pairs)) : pairs === null, 'contribution: pairs');
    demand(phase === 'phase2' || phase === 'powers-of-tau', 'contribution: phase');
    demand(kind === 'participant' || kind === 'beacon', 'contribution: kind');
    textLike(name, /^[\x20-\x7e]{0,128}$/, 'name of a contribution');
    textLike(hash, /^[0-9a-f]{128}$/, 'hash of a contribution');
    contributed.add(pairs);
  }
  demand(
    sizes.every((size) => contributed.has(size)),
    'a circuit has no phase-2 contribution',
  );
}

/** tauG2 for tau = 1, tau = -1 and the committed development set (formats.md, "Parameter set"). */
const KNOWN_TAU_G2: readonly unknown[] = [
  '198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c21800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa',
  '198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c21800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed275dc4a288d1afb3cbb1ac09187524c7db36395df7be3b99e673b13a075a65ec1d9befcd05a5323e6da4d435f3b617cdb3af83285c2df711ef39c01571827f9d',
  '12ce6b313ea12e13df744ed56084600918198cb95514c5004908509f1be7ee590060e8337b28de4603b2297e975e71ced79dea1e2ff9dc3ebbd2c495575451051efa59eefab537f5768b5dbe566357b69d8c948bfdd70caa42b7ccf43b28d7f911676db593d291fdfceb6d096b973036c8251639b016c26df476f6ccb96aa462',
];

function checkCeremony(all: Record<string, unknown>, sizes: readonly number[]): void {
  demand(all.transcript !== undefined, 'a ceremony without transcript');
  demand(!KNOWN_TAU_G2.includes(all.tauG2), 'a ceremony whose secret is known');
  const list = all.contributions as readonly { kind: unknown; pairs: unknown }[];
  const participated = new Set(list.filter(({ kind }) => kind === 'participant').map(({ pairs }) => pairs));
  demand(participated.has(null), 'nobody took part in phase 1');
  demand(
    sizes.every((size) => participated.has(size)),
    'nobody took part in phase 2 of a circuit',
  );
}

/** Refuses a file whose SHA-256 is not the one in params.json. */
export function checkDigest(file: Uint8Array, expected: string, what: string): void {
  demand(
    sameBytes(ascii(bytesToHex(sha256(file))), ascii(expected)),
    `${what} is not the one of params.json`,
  );
}

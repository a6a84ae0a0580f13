import { fromHex, labelled } from './bytes.js';
import { canonicalJson } from './canonicalJson.js';
import { integerIn, listOf, membersOf, textLike } from './members.js';
import { type G1Point, g1FromBytes } from './points.js';
import { demand } from './refusal.js';
import { strictJson } from './strictJson.js';

/** One module of a commitment. */
export interface ReferenceModule {
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly columnOffset: number;
  /** Commitments to the rows of A and the columns of B. */
  readonly aRows: readonly G1Point[];
  readonly bColumns: readonly G1Point[];
}

/** What a verifier needs of adapter.zkl.json. */
export interface ReferenceCommitment {
  readonly id: Uint8Array;
  readonly parametersId: string;
  readonly contributorKey: string;
  readonly domainSize: number;
  readonly modules: readonly ReferenceModule[];
}

const MODULE_NAME = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;

/** Reads adapter.zkl.json (docs/formats.md, "Adapter commitment"). */
export function parseCommitment(text: string): ReferenceCommitment {
  const json = strictJson(text);
  const all = membersOf(
    json,
    [
      'format',
      'parametersId',
      'contributorKey',
      'baseDigest',
      'lineageDigest',
      'salt',
      'domainSize',
      'modules',
      'registrationProof',
    ],
    'the commitment',
  );
  demand(all.format === 'zklora/adapter/v1', 'the commitment is of another format');
  for (const name of ['parametersId', 'contributorKey', 'baseDigest', 'lineageDigest', 'salt'] as const) {
    fromHex(all[name], 32, name);
  }
  demand(
    all.registrationProof === null ||
      (typeof all.registrationProof === 'string' && /^([0-9a-f]{2}){1,20000}$/.test(all.registrationProof)),
    'registrationProof is malformed',
  );
  const domainSize = integerIn(all.domainSize, 512, 2 ** 20, 'domainSize');
  demand(Number.isInteger(Math.log2(domainSize)), 'domainSize is no power of two');
  const names = new Set<string>();
  const modules = listOf(all.modules, 1, 4096, 'modules').map((item) => parseModule(item, domainSize, names));
  demand(modules.reduce((sum, { rank }) => sum + rank, 0) <= 65_536, 'the ranks are too large together');
  const { registrationProof: _, ...identified } = all;
  return {
    id: labelled('zklora/adapter/v1', new TextEncoder().encode(canonicalJson(identified))),
    parametersId: String(all.parametersId),
    contributorKey: String(all.contributorKey),
    domainSize,
    modules,
  };
}

function parseModule(item: unknown, domainSize: number, names: Set<string>): ReferenceModule {
  const all = membersOf(
    item,
    [
      'name',
      'rank',
      'inFeatures',
      'outFeatures',
      'aExponent',
      'bExponent',
      'scaling',
      'columnOffset',
      'aRows',
      'bColumns',
    ],
    'a module',
  );
  const name = textLike(all.name, MODULE_NAME, 'name of a module');
  demand(name.length <= 256 && !names.has(name), 'a module name is too long or doubled');
  names.add(name);
  const rank = integerIn(all.rank, 1, 4095, 'rank');
  integerIn(all.aExponent, -163, 117, 'aExponent');
  integerIn(all.bExponent, -163, 117, 'bExponent');
  const scaling = typeof all.scaling === 'number' ? Math.abs(all.scaling) : 0;
  demand(scaling >= 2 ** -64 && scaling <= 2 ** 64, 'scaling is out of range');
  const points = (value: unknown, what: string) =>
    listOf(value, rank, rank, what).map((hex) => g1FromBytes(fromHex(hex, 64, what), what));
  const inFeatures = integerIn(all.inFeatures, 1, domainSize, 'inFeatures');
  return {
    rank,
    inFeatures,
    outFeatures: integerIn(all.outFeatures, 1, domainSize, 'outFeatures'),
    columnOffset: integerIn(all.columnOffset, 0, domainSize - inFeatures, 'columnOffset'),
    aRows: points(all.aRows, 'aRows'),
    bColumns: points(all.bColumns, 'bColumns'),
  };
}

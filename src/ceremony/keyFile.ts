import { type Engine, G1_BYTES, type G1Point, G2_BYTES, type G2Point } from '../algebra/index.js';
import { ByteReader } from '../byteReader.js';
import { concatBytes } from '../bytes.js';
import { parseBinFile } from '../circuit/binfile.js';
import { POINTS_OFFSET, readProvingKey, ZKEY_SECTION } from '../circuit/zkey.js';
import { ZkLoraError } from '../errors.js';
import { type ContributionNote, MAX_CONTRIBUTIONS, readContributionNote } from './contributionNote.js';
import { requirePoints } from './pointChecks.js';

/** One contribution to a key's delta. */
export interface DeltaContribution extends ContributionNote {
  /** delta G after it. */
  readonly after: G1Point;
  /** The contributor's factor x: s, x s in G1, x s' in G2. */
  readonly s: G1Point;
  readonly sx: G1Point;
  readonly spx: G2Point;
  /** Digest of all that came before and of s, x s; s' follows from it. 64 bytes. */
  readonly transcript: Uint8Array;
}

/** A Groth16 proving key of RankCheck(K), all points checked to be on curve and in the subgroup. */
export interface KeyFile {
  /** K. */
  readonly pairs: number;
  readonly alphaG1: G1Point;
  readonly betaG1: G1Point;
  readonly betaG2: G2Point;
  readonly gammaG2: G2Point;
  readonly deltaG1: G1Point;
  readonly deltaG2: G2Point;
  /** Points affine in ffjavascript's form; identities are allowed in a, b1 and b2. */
  readonly ic: Uint8Array;
  readonly a: Uint8Array;
  readonly b1: Uint8Array;
  readonly b2: Uint8Array;
  readonly c: Uint8Array;
  readonly h: Uint8Array;
  /** u32 count, then u32 matrix | u32 row | u32 wire | value. */
  readonly coefficients: Uint8Array;
  /** snarkjs's digest of the key before the first contribution, 64 bytes. */
  readonly circuitHash: Uint8Array;
  readonly contributions: readonly DeltaContribution[];
}

const HASH_BYTES = 64;

/**
 * Reads a .zkey file.
 *
 * @throws ZkLoraError `PARAMETERS_MALFORMED`.
 */
export async function parseKeyFile(engine: Engine, zkey: Uint8Array, pairs: number): Promise<KeyFile> {
  // counts and lengths of all sections
  readProvingKey(zkey, pairs);
  const refuse = (reason: string) =>
    new ZkLoraError(
      'PARAMETERS_MALFORMED',
      `proving key for ${pairs} pairs refused: ${reason}; use the key that the contributor before sent`,
    );
  const sections = parseBinFile(zkey, 'zkey', 1, 'PARAMETERS_MALFORMED');
  const section = (name: keyof typeof ZKEY_SECTION) => sections.get(ZKEY_SECTION[name])!;
  const header = new ByteReader(section('header').subarray(POINTS_OFFSET), refuse);
  const g1 = () => header.take(G1_BYTES) as G1Point;
  const g2 = () => header.take(G2_BYTES) as G2Point;
  const points = {
    alphaG1: g1(),
    betaG1: g1(),
    betaG2: g2(),
    gammaG2: g2(),
    deltaG1: g1(),
    deltaG2: g2(),
  };
  const history = readHistory(section('contributions'), refuse);
  const key: KeyFile = {
    pairs,
    ...points,
    ic: section('ic'),
    a: section('a'),
    b1: section('b1'),
    b2: section('b2'),
    c: section('c'),
    h: section('h'),
    coefficients: section('coefficients'),
    ...history,
  };
  const { contributions } = key;
  const singleG1 = concatBytes(
    key.alphaG1,
    key.betaG1,
    key.deltaG1,
    ...contributions.flatMap(({ after, s, sx }) => [after, s, sx]),
  );
  const singleG2 = concatBytes(key.betaG2, key.gammaG2, key.deltaG2, ...contributions.map(({ spx }) => spx));
  const all = [
    ['header and contributions', 'G1', singleG1, 'refused'],
    ['header and contributions', 'G2', singleG2, 'refused'],
    ['IC', 'G1', key.ic, 'refused'],
    ['A', 'G1', key.a, 'allowed'],
    ['B1', 'G1', key.b1, 'allowed'],
    ['B2', 'G2', key.b2, 'allowed'],
    ['C', 'G1', key.c, 'refused'],
    ['H', 'G1', key.h, 'refused'],
  ] as const;
  for (const [name, group, list, identity] of all) {
    await requirePoints(engine, group, list, identity, (reason) => refuse(`${name}: ${reason}`));
  }
  return key;
}

/** Section 10: circuit hash | u32 count | contributions. */
function readHistory(
  section: Uint8Array,
  refuse: (reason: string) => ZkLoraError,
): Pick<KeyFile, 'circuitHash' | 'contributions'> {
  const reader = new ByteReader(section, refuse);
  const circuitHash = reader.take(HASH_BYTES);
  const count = reader.u32();
  if (count > MAX_CONTRIBUTIONS) throw refuse(`it declares ${count} contributions`);
  const contributions = Array.from({ length: count }, () => ({
    after: reader.take(G1_BYTES) as G1Point,
    s: reader.take(G1_BYTES) as G1Point,
    sx: reader.take(G1_BYTES) as G1Point,
    spx: reader.take(G2_BYTES) as G2Point,
    transcript: reader.take(HASH_BYTES),
    ...readContributionNote(reader, refuse),
  }));
  reader.expectEnd();
  return { circuitHash, contributions };
}

import {
  type Engine,
  encodeG1,
  encodeG2,
  encodeScalar,
  G1_BYTES,
  type G1Point,
  G2_BYTES,
  type G2Point,
  Q,
} from '../algebra/index.js';
import { ByteReader } from '../byteReader.js';
import { concatBytes, equalBytes } from '../bytes.js';
import { parseBinFile, serializeBinFile } from '../circuit/binfile.js';
import { PTAU_SECTION } from '../circuit/ptau.js';
import { ZkLoraError } from '../errors.js';
import { type ContributionNote, MAX_CONTRIBUTIONS, readContributionNote } from './contributionNote.js';
import { requirePoints } from './pointChecks.js';
import { HASH_STATE_BYTES, isHashState, resumeHash } from './resumedHash.js';

/** What a phase-1 contributor publishes about a factor x of one secret: s, x s in G1 and x s' in G2. */
export interface PowersKey {
  readonly s: G1Point;
  readonly sx: G1Point;
  readonly spx: G2Point;
}

/** The secrets' images after a contribution; they determine everything else in a powers-of-tau file. */
export interface Accumulator {
  readonly tauG1: G1Point;
  readonly tauG2: G2Point;
  readonly alphaG1: G1Point;
  readonly betaG1: G1Point;
  readonly betaG2: G2Point;
}

/** One contribution to the powers of tau. */
export interface PowersContribution extends ContributionNote {
  readonly after: Accumulator;
  readonly keys: { readonly tau: PowersKey; readonly alpha: PowersKey; readonly beta: PowersKey };
  /** Digest of the accumulator with its history, 64 bytes; the next contribution builds on it. */
  readonly nextChallenge: Uint8Array;
  /** BLAKE2b-512 of the contributor's response file: what contributors publish in their attestations. */
  readonly responseHash: Uint8Array;
}

/** History of a powers-of-tau ceremony. */
export interface PowersTranscript {
  /** The file that it comes from holds powers up to 2^(power + 1) - 2. */
  readonly power: number;
  /** The same for the ceremony, of whose file that one may be a part. */
  readonly ceremonyPower: number;
  readonly contributions: readonly PowersContribution[];
}

/** The order of F has 28 factors of two: no larger domain exists. */
export const MAX_POWER = 28;

const HEADER_BYTES = 4 + 32 + 4 + 4;

/** Contributions of about 1.6 kB. */
export const MAX_TRANSCRIPT_BYTES = 4 * 2 ** 20;

const HASH_BYTES = 64;

/** Reads the header of a .ptau file: u32 32 | Q, little-endian | u32 power | u32 power of the ceremony. */
export function parsePtauHeader(bytes: Uint8Array): { power: number; ceremonyPower: number } {
  if (bytes.length !== HEADER_BYTES) throw refuse(`its header has ${bytes.length} bytes`);
  const reader = new ByteReader(bytes, refuse);
  const fieldBytes = reader.u32();
  const prime = reader.take(32).reverse();
  if (fieldBytes !== 32 || !equalBytes(prime, encodeScalar(Q))) throw refuse('it is for another curve');
  const power = reader.u32();
  const ceremonyPower = reader.u32();
  if (power < 1 || ceremonyPower < power || ceremonyPower > MAX_POWER) {
    throw refuse(`it declares power ${power} of ${ceremonyPower}`);
  }
  return { power, ceremonyPower };
}

/**
 * Reads header (section 1) and contributions (section 7) of a .ptau file; every point is checked.
 *
 * Whether the contributions follow from one another is checked by `requirePowersChain`.
 *
 * @throws ZkLoraError `PARAMETERS_MALFORMED`.
 */
export async function parseTranscript(
  engine: Engine,
  header: Uint8Array,
  section: Uint8Array,
): Promise<PowersTranscript> {
  const reader = new ByteReader(section, refuse);
  const count = reader.u32();
  if (count > MAX_CONTRIBUTIONS) throw refuse(`it declares ${count} contributions`);
  const g1: Uint8Array[] = [];
  const g2: Uint8Array[] = [];
  const nextG1 = () => {
    g1.push(reader.take(G1_BYTES));
    return g1.at(-1) as G1Point;
  };
  const nextG2 = () => {
    g2.push(reader.take(G2_BYTES));
    return g2.at(-1) as G2Point;
  };
  const contributions = Array.from({ length: count }, () => readContribution(reader, nextG1, nextG2));
  reader.expectEnd();
  const badPoint = (reason: string) => refuse(`contributions: ${reason}`);
  await requirePoints(engine, 'G1', concatBytes(...g1), 'refused', badPoint);
  await requirePoints(engine, 'G2', concatBytes(...g2), 'refused', badPoint);
  return {
    ...parsePtauHeader(header),
    contributions: contributions.map(({ state, ...contribution }) => ({
      ...contribution,
      responseHash: resumeHash(state, encodeKeys(contribution.keys)),
    })),
  };
}

function readContribution(reader: ByteReader, nextG1: () => G1Point, nextG2: () => G2Point) {
  const after: Accumulator = {
    tauG1: nextG1(),
    tauG2: nextG2(),
    alphaG1: nextG1(),
    betaG1: nextG1(),
    betaG2: nextG2(),
  };
  const [tau, alpha, beta] = [0, 1, 2].map(() => ({ s: nextG1(), sx: nextG1() }));
  const keys = {
    tau: { ...tau!, spx: nextG2() },
    alpha: { ...alpha!, spx: nextG2() },
    beta: { ...beta!, spx: nextG2() },
  };
  const state = reader.take(HASH_STATE_BYTES);
  if (!isHashState(state)) throw refuse('a contribution has no valid hash state');
  const nextChallenge = reader.take(HASH_BYTES);
  return { after, keys, state, nextChallenge, ...readContributionNote(reader, refuse) };
}

function encodeKeys({ tau, alpha, beta }: PowersContribution['keys']): Uint8Array {
  const keys = [tau, alpha, beta];
  return concatBytes(
    ...keys.flatMap(({ s, sx }) => [encodeG1(s), encodeG1(sx)]),
    ...keys.map(({ spx }) => encodeG2(spx)),
  );
}

/** transcript.ptau: a .ptau file with header and contributions only. */
export function serializeTranscript(header: Uint8Array, section: Uint8Array): Uint8Array {
  return serializeBinFile('ptau', 1, [
    { id: PTAU_SECTION.header, data: header },
    { id: PTAU_SECTION.contributions, data: section },
  ]);
}

/**
 * Reads transcript.ptau.
 *
 * @throws ZkLoraError `PARAMETERS_MALFORMED`.
 */
export async function parseTranscriptFile(engine: Engine, bytes: Uint8Array): Promise<PowersTranscript> {
  const sections = parseBinFile(bytes, 'ptau', 1, 'PARAMETERS_MALFORMED');
  const header = sections.get(PTAU_SECTION.header);
  const contributions = sections.get(PTAU_SECTION.contributions);
  if (header === undefined || contributions === undefined || sections.size !== 2) {
    throw refuse('a transcript has the sections 1 and 7');
  }
  return parseTranscript(engine, header, contributions);
}

function refuse(reason: string): ZkLoraError {
  return new ZkLoraError(
    'PARAMETERS_MALFORMED',
    `powers of tau refused: ${reason}; fetch the file again or use another ceremony`,
  );
}

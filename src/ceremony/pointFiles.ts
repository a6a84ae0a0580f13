import { join } from 'node:path';
import { decodeG2, type Engine, G1_BYTES, type G2Point, g1Generator } from '../algebra/index.js';
import { equalBytes, hexToBytes } from '../bytes.js';
import { PARAMETER_FILES } from '../circuit/parameterFiles.js';
import { type ParameterSet, requireDigest } from '../circuit/parameters.js';
import { ZkLoraError } from '../errors.js';
import { readFileBounded } from '../files.js';
import { arePowersInG1, isLagrangeBasis } from '../kzg/consistency.js';
import { requirePoints } from './pointChecks.js';
import { requirePowersChain } from './powersChain.js';
import {
  type Accumulator,
  MAX_TRANSCRIPT_BYTES,
  type PowersTranscript,
  parseTranscriptFile,
} from './transcript.js';

/** Digests and sizes of a folder's point files. */
export type PointFiles = Pick<ParameterSet, 'tauG2' | 'powers' | 'domains' | 'transcript'>;

/** Headers around the contributions. */
const TRANSCRIPT_OVERHEAD = 128;

/**
 * Reads powers.g1 and checks its digest, its points and that they are the powers of the tau of tau G2.
 *
 * @returns the points, affine in ffjavascript's form
 * @throws ZkLoraError `PARAMETERS_MISMATCH`, `PARAMETERS_MALFORMED`, `FILE_NOT_FOUND`, `FILE_UNREADABLE`.
 */
export async function requirePowersFile(
  engine: Engine,
  dir: string,
  { tauG2, powers: { count, sha256 } }: PointFiles,
): Promise<Uint8Array> {
  const name = PARAMETER_FILES.powers;
  const powers = await readPointFile(engine, dir, name, count, sha256);
  if (!equalBytes(powers.subarray(0, G1_BYTES), g1Generator(engine))) {
    throw mismatch(name, 'its first point is not the generator');
  }
  const tau = decodeG2(hexToBytes(tauG2)) as G2Point;
  if (equalBytes(powers.subarray(G1_BYTES, 2 * G1_BYTES), g1Generator(engine))) {
    throw mismatch(name, 'tau is one');
  }
  if (!(await arePowersInG1(engine, powers, tau))) throw mismatch(name, 'they are not the powers of tauG2');
  return powers;
}

/**
 * Reads lagrange-N.g1 and checks its digest, its points and that it belongs to the powers.
 *
 * @throws ZkLoraError as {@link requirePowersFile}.
 */
export async function requireLagrangeFile(
  engine: Engine,
  dir: string,
  { size, sha256 }: PointFiles['domains'][number],
  powers: Uint8Array,
): Promise<void> {
  const name = PARAMETER_FILES.lagrange(size);
  const lagrange = await readPointFile(engine, dir, name, size, sha256);
  if (!(await isLagrangeBasis(engine, 'G1', powers.subarray(0, size * G1_BYTES), lagrange))) {
    throw mismatch(name, 'it is not the Lagrange basis of powers.g1');
  }
}

/**
 * Reads transcript.ptau and checks its digest, that its contributions follow from one another and that they lead to
 * tauG2.
 *
 * @throws ZkLoraError as {@link requirePowersFile}, and `CEREMONY_INCOMPLETE`.
 */
export async function requireTranscriptFile(
  engine: Engine,
  dir: string,
  tauG2: string,
  sha256: string,
): Promise<{ transcript: PowersTranscript; after: Accumulator; bytes: Uint8Array }> {
  const name = PARAMETER_FILES.transcript;
  const bytes = await readFileBounded(
    join(dir, name),
    MAX_TRANSCRIPT_BYTES + TRANSCRIPT_OVERHEAD,
    'parameter set',
  );
  requireDigest(name, bytes, sha256);
  const transcript = await parseTranscriptFile(engine, bytes);
  const after = await requirePowersChain(engine, transcript);
  if (!equalBytes(after.tauG2, decodeG2(hexToBytes(tauG2)))) {
    throw mismatch(name, 'its contributions lead to another tau');
  }
  return { transcript, after, bytes };
}

/** Reads points of the form x | y, big-endian; every one must be canonical, on the curve and not the identity. */
async function readPointFile(
  engine: Engine,
  dir: string,
  name: string,
  count: number,
  sha256: string,
): Promise<Uint8Array> {
  const bytes = await readFileBounded(join(dir, name), count * G1_BYTES, 'parameter set');
  requireDigest(name, bytes, sha256);
  const refuse = (reason: string) =>
    new ZkLoraError('PARAMETERS_MALFORMED', `${name} refused: ${reason}; fetch the parameter set again`);
  if (bytes.length !== count * G1_BYTES) throw refuse(`it holds ${bytes.length} bytes, not ${count} points`);
  const { G1 } = engine.curve;
  const points = await G1.batchUtoLEM(bytes);
  // the conversion reduces: only canonical coordinates come back as they were
  if (!equalBytes(await G1.batchLEMtoU(points), bytes))
    throw refuse('a coordinate is not below the field order');
  await requirePoints(engine, 'G1', points, 'refused', refuse);
  return points;
}

function mismatch(name: string, reason: string): ZkLoraError {
  return new ZkLoraError('PARAMETERS_MISMATCH', `${name} refused: ${reason}; fetch the parameter set again`);
}

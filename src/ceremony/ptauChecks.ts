import { type Engine, type G1Point, type G2Point, g1Generator, g2Generator } from '../algebra/index.js';
import { POINT_BYTES } from '../algebra/points.js';
import { equalBytes } from '../bytes.js';
import { PTAU_SECTION } from '../circuit/ptau.js';
import { ZkLoraError } from '../errors.js';
import { arePowersInG1, arePowersInG2, isLagrangeBasis } from '../kzg/consistency.js';
import { requirePoints } from './pointChecks.js';
import { requirePowersChain } from './powersChain.js';
import { groupOfSection, type PointSection, type PtauFile } from './ptauFile.js';
import {
  type Accumulator,
  type PowersTranscript,
  parseTranscript,
  serializeTranscript,
} from './transcript.js';

/**
 * Reads the contributions of a file and checks that they lead to its points.
 *
 * @throws ZkLoraError `PARAMETERS_MALFORMED`, `PARAMETERS_MISMATCH`, `CEREMONY_INCOMPLETE`.
 */
export async function readHistory(
  engine: Engine,
  ptau: PtauFile,
): Promise<{ transcript: PowersTranscript; section: Uint8Array; after: Accumulator }> {
  const section = await ptau.readContributions();
  const transcript = await parseTranscript(engine, ptau.header, section);
  const after = await requirePowersChain(engine, transcript);
  await requireAccumulator(engine, ptau, after);
  return { transcript, section, after };
}

/**
 * Checks that the first points of each section are the generators and the images that the contributions lead to.
 *
 * @throws ZkLoraError `PARAMETERS_MISMATCH`.
 */
export async function requireAccumulator(engine: Engine, ptau: PtauFile, after: Accumulator): Promise<void> {
  const expected: readonly (readonly [PointSection, number, Uint8Array])[] = [
    ['tauG1', 0, g1Generator(engine)],
    ['tauG1', 1, after.tauG1],
    ['tauG2', 0, g2Generator(engine)],
    ['tauG2', 1, after.tauG2],
    ['alphaTauG1', 0, after.alphaG1],
    ['betaTauG1', 0, after.betaG1],
    ['betaG2', 0, after.betaG2],
  ];
  for (const [section, index, point] of expected) {
    if (equalBytes(await ptau.readPoints(section, index, 1), point)) continue;
    throw mismatch(section, `its point ${index} is not the one that the contributions lead to`);
  }
}

/**
 * Refuses another .ptau file than the one a transcript was taken from.
 *
 * @param transcript bytes of transcript.ptau
 * @throws ZkLoraError `PARAMETERS_MISMATCH`.
 */
export async function requireSamePtau(
  engine: Engine,
  ptau: PtauFile,
  transcript: Uint8Array,
  after: Accumulator,
): Promise<void> {
  const found = serializeTranscript(ptau.header, await ptau.readContributions());
  if (!equalBytes(found, transcript)) {
    throw new ZkLoraError(
      'PARAMETERS_MISMATCH',
      `${ptau.path} is not the file that was imported: its contributions or its power differ; give that one`,
    );
  }
  await requireAccumulator(engine, ptau, after);
}

/**
 * Reads tau^i G for i below `count`, checked against tau G2.
 *
 * @throws ZkLoraError `PARAMETERS_MALFORMED`, `PARAMETERS_MISMATCH`.
 */
export async function readPowers(
  engine: Engine,
  ptau: PtauFile,
  { tauG2 }: Accumulator,
  count: number,
): Promise<Uint8Array> {
  const powers = await readChecked(engine, ptau, 'tauG1', 0, count);
  if (!(await arePowersInG1(engine, powers, tauG2))) throw mismatch('tauG1', 'they are no powers of tau');
  return powers;
}

/**
 * Reads the Lagrange basis of `size` points in G1, checked against the powers.
 *
 * @throws ZkLoraError `PARAMETERS_MALFORMED`, `PARAMETERS_MISMATCH`.
 */
export async function readLagrange(
  engine: Engine,
  ptau: PtauFile,
  powers: Uint8Array,
  size: number,
): Promise<Uint8Array> {
  return readBasis(engine, ptau, powers, 'lagrangeTauG1', size);
}

/** Lagrange section and the powers that it is made from. */
const BASES: readonly (readonly [PointSection, PointSection])[] = [
  ['lagrangeTauG1', 'tauG1'],
  ['lagrangeTauG2', 'tauG2'],
  ['lagrangeAlphaTauG1', 'alphaTauG1'],
  ['lagrangeBetaTauG1', 'betaTauG1'],
];

/**
 * Checks what snarkjs makes circuit keys from: powers times 1, alpha and beta, in both groups, and their Lagrange
 * bases.
 *
 * @param sizes evaluation domains of the circuits
 * @throws ZkLoraError `PARAMETERS_MALFORMED`, `PARAMETERS_MISMATCH`.
 */
export async function requireKeyMaterial(
  engine: Engine,
  ptau: PtauFile,
  { tauG1, tauG2 }: Pick<Accumulator, 'tauG1' | 'tauG2'>,
  sizes: readonly number[],
  onProgress: (step: string) => void,
): Promise<void> {
  const count = Math.max(...sizes);
  for (const [basisSection, section] of BASES) {
    onProgress(`section ${PTAU_SECTION[section]}, ${count} points`);
    const powers = await readChecked(engine, ptau, section, 0, count);
    if (!(await arePowers(engine, section, powers, tauG1, tauG2))) {
      throw mismatch(section, 'its points are no powers of tau');
    }
    for (const size of sizes) {
      onProgress(`section ${PTAU_SECTION[basisSection]}, ${size} points`);
      await readBasis(engine, ptau, powers, basisSection, size);
    }
  }
}

function arePowers(
  engine: Engine,
  section: PointSection,
  powers: Uint8Array,
  tauG1: G1Point,
  tauG2: G2Point,
): Promise<boolean> {
  return groupOfSection(section) === 'G1'
    ? arePowersInG1(engine, powers, tauG2)
    : arePowersInG2(engine, powers, tauG1);
}

async function readBasis(
  engine: Engine,
  ptau: PtauFile,
  powers: Uint8Array,
  section: PointSection,
  size: number,
): Promise<Uint8Array> {
  const group = groupOfSection(section);
  // the bases of 1, 2, 4, .. points lie one behind the other
  const basis = await readChecked(engine, ptau, section, size - 1, size);
  const used = powers.subarray(0, size * POINT_BYTES[group]);
  if (await isLagrangeBasis(engine, group, used, basis)) return basis;
  throw mismatch(section, `its basis of ${size} points does not belong to the powers`);
}

async function readChecked(
  engine: Engine,
  ptau: PtauFile,
  section: PointSection,
  from: number,
  count: number,
): Promise<Uint8Array> {
  const points = await ptau.readPoints(section, from, count);
  const refuse = (reason: string) =>
    new ZkLoraError(
      'PARAMETERS_MALFORMED',
      `.ptau file refused: section ${PTAU_SECTION[section]}, from point ${from}: ${reason}; fetch it again`,
    );
  await requirePoints(engine, groupOfSection(section), points, 'refused', refuse);
  return points;
}

function mismatch(section: PointSection, reason: string): ZkLoraError {
  return new ZkLoraError(
    'PARAMETERS_MISMATCH',
    `.ptau file refused: section ${PTAU_SECTION[section]} does not belong to the others: ${reason}; use another file`,
  );
}

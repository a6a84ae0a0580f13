import {
  type Engine,
  encodeScalar,
  type FieldVector,
  interpolate,
  powersVector,
  Q,
  scaleVector,
  subVector,
  vectorFromScalars,
} from '../algebra/index.js';
import { concatBytes } from '../bytes.js';
import { multiplyGenerator } from '../kzg/fixedBase.js';
import { type Section, serializeBinFile } from './binfile.js';

/**
 * Sections of a prepared .ptau file of power P (snarkjs, src/powersoftau_new.js and _preparephase2.js); points
 * affine in ffjavascript's form. The Lagrange sections hold one basis after the other, for 2^0, 2^1, .. points.
 */
export const PTAU_SECTION = {
  /** u32 32 | q, 32 bytes little-endian | u32 P | u32 power of the ceremony. */
  header: 1,
  /** tau^i G1, `[2^(P+1) - 1]`. */
  tauG1: 2,
  /** tau^i G2, `[2^P]`. */
  tauG2: 3,
  /** alpha tau^i G1, `[2^P]`. */
  alphaTauG1: 4,
  /** beta tau^i G1, `[2^P]`. */
  betaTauG1: 5,
  /** beta G2. */
  betaG2: 6,
  /** u32 count, then the contributions. */
  contributions: 7,
  /** Bases of 2^0 .. 2^(P+1) points. */
  lagrangeTauG1: 12,
  /** Bases of 2^0 .. 2^P points; so the next two. */
  lagrangeTauG2: 13,
  lagrangeAlphaTauG1: 14,
  lagrangeBetaTauG1: 15,
} as const;

/** The secrets of phase 1. */
export interface PhaseOneSecrets {
  readonly tau: bigint;
  readonly alpha: bigint;
  readonly beta: bigint;
}

/**
 * A prepared powers-of-tau file of known secrets, byte for byte what `snarkjs powersoftau prepare phase2` makes of
 * the same powers. For development and tests only.
 *
 * @param power P: circuits of up to 2^P rows; memory and time grow with 2^P (about 1 kB and 2 ms per row)
 */
export async function ptauFromSecrets(
  engine: Engine,
  { tau, alpha, beta }: PhaseOneSecrets,
  power: number,
): Promise<Uint8Array> {
  const size = 2 ** power;
  const powers = powersVector(engine, tau, 2 * size - 1);
  const first = subVector(powers, 0, size).slice();
  const bases = lagrangeBases(engine, first, power);
  // of the largest basis, the power tau^(2^(P+1) - 1) is not in the file: it counts as zero
  const last = interpolate(engine, concatBytes(powers, vectorFromScalars(engine, [0n])));
  const g1 = (scalars: FieldVector) => multiplyGenerator(engine, 'G1', scalars);
  const g2 = (scalars: FieldVector) => multiplyGenerator(engine, 'G2', scalars);

  const sections: Section[] = [
    { id: PTAU_SECTION.header, data: header(power) },
    { id: PTAU_SECTION.tauG1, data: await g1(powers) },
    { id: PTAU_SECTION.tauG2, data: await g2(first) },
    { id: PTAU_SECTION.alphaTauG1, data: await g1(scaleVector(engine, first, alpha)) },
    { id: PTAU_SECTION.betaTauG1, data: await g1(scaleVector(engine, first, beta)) },
    { id: PTAU_SECTION.betaG2, data: await g2(vectorFromScalars(engine, [beta])) },
    { id: PTAU_SECTION.contributions, data: new Uint8Array(4) },
    { id: PTAU_SECTION.lagrangeTauG1, data: await g1(concatBytes(bases, last)) },
    { id: PTAU_SECTION.lagrangeTauG2, data: await g2(bases) },
    { id: PTAU_SECTION.lagrangeAlphaTauG1, data: await g1(scaleVector(engine, bases, alpha)) },
    { id: PTAU_SECTION.lagrangeBetaTauG1, data: await g1(scaleVector(engine, bases, beta)) },
  ];
  return serializeBinFile('ptau', 1, sections);
}

/** Values at tau of the Lagrange bases of 2^0, 2^1, .., 2^P points: the inverse transforms of the powers. */
function lagrangeBases(engine: Engine, powers: FieldVector, power: number): FieldVector {
  return concatBytes(
    ...Array.from({ length: power + 1 }, (_, p) => interpolate(engine, subVector(powers, 0, 2 ** p).slice())),
  );
}

function header(power: number): Uint8Array {
  const data = new Uint8Array(4 + 32 + 8);
  const view = new DataView(data.buffer);
  view.setUint32(0, 32, true);
  data.set(encodeScalar(Q).reverse(), 4);
  view.setUint32(36, power, true);
  view.setUint32(40, power, true);
  return data;
}

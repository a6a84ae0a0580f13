import { MAX_TOTAL_RANK, MIN_DOMAIN_SIZE } from '../adapter/limits.js';
import {
  encodeG1Compressed,
  encodeG2Compressed,
  encodeScalar,
  type G1Point,
  type G2Point,
} from '../algebra/index.js';
import { concatBytes, hexToBytes, u16, utf8ToBytes } from '../bytes.js';
import { BLINDER_PLACES } from './pairBlocks.js';
import { decodeWhole, malformed, OutlineReader, type ProofReader } from './proofReader.js';
import type { RankCheck } from './statement.js';

/** First bytes of a proof file, name and format version, for each way of checking the pairs. */
const MAGIC: Record<RankCheck, Uint8Array> = {
  groth16: concatBytes(utf8ToBytes('zklora-proof'), Uint8Array.of(0, 1)),
  kzg: concatBytes(utf8ToBytes('zklora-proof'), Uint8Array.of(0, 2)),
};

/** Modules of one adapter: module indices take two bytes. */
export const MAX_PROOF_MODULES = 65535;

/** Groups of one proof: more than any adapter of 65,535 modules of rank 256 needs at 4095 pairs a circuit. */
const MAX_GROUPS = 4096;

/** Blocks of one proof: those of the largest sum of ranks in the smallest domain. */
const MAX_BLOCKS = Math.ceil(MAX_TOTAL_RANK / (MIN_DOMAIN_SIZE - BLINDER_PLACES));

/** Rounds that fold 2P+2 values, for 1 and for 2^19 pairs or so. */
const MIN_ROUNDS = 2;
const MAX_ROUNDS = 20;

/** Proof that one group of modules opens its Pedersen commitment D to the form's value. */
export interface LinearFormProof {
  readonly mask: G1Point;
  readonly maskValue: bigint;
  /** One pair for each folding round. */
  readonly rounds: readonly { readonly left: G1Point; readonly right: G1Point }[];
  readonly final: bigint;
}

/** The part of a proof that belongs to one group. docs/protocol.md gives the names. */
export interface GroupProof {
  /** D: the prover's share of Groth16's public-input point. */
  readonly committed: G1Point;
  /** [R]: commitment to the masking polynomial. */
  readonly mask: G1Point;
  readonly groth16: { readonly a: G1Point; readonly b: G2Point; readonly c: G1Point };
  /** S: value of the linear form. */
  readonly formValue: bigint;
  readonly linearForm: LinearFormProof;
}

/** Pairs p and q of up to N - 3 places, committed to on H; docs/protocol.md, "The KZG rank check". */
export interface BlockProof {
  /** [p] and [q]. */
  readonly p: G1Point;
  readonly q: G1Point;
  /** q(z). */
  readonly qAtPoint: bigint;
}

/** Proof of a sum over H; docs/protocol.md, "The sum argument". */
export interface SumProof {
  /** [phi]: commitment to the running sum. */
  readonly runningSum: G1Point;
  /** [Q]: commitment to the quotient. */
  readonly quotient: G1Point;
  /** e = phi(w z). */
  readonly shifted: bigint;
  /** W: opening at z. */
  readonly opening: G1Point;
  /** W': opening at w z. */
  readonly shiftedOpening: G1Point;
}

/** One proof over a set of modules: what shows the pairs' products, and one sum argument for all. */
export interface Proof {
  /** Adapter indices of the modules, ascending. */
  readonly modules: readonly number[];
  /** Groth16 and linear form of each group; none where the pairs are checked by `kzg`. */
  readonly groups: readonly GroupProof[];
  /** The pairs on H; none where they are checked by `groth16`. */
  readonly blocks: readonly BlockProof[];
  /** The sum over H that ties the pairs to the committed rows. */
  readonly sum: SumProof;
}

/** Contents of proof.zkl. */
export interface ProofFile {
  readonly rankCheck: RankCheck;
  /** Ids, 32 bytes, hex: what the proof claims to be about; verification compares them with the verifier's own. */
  readonly parametersId: string;
  readonly adapterId: string;
  readonly sessionDigest: string;
  /** One aggregated proof, or one for each module. */
  readonly proofs: readonly Proof[];
}

/** Bytes of a proof file; docs/formats.md, "proof.zkl". */
export function encodeProofFile(file: ProofFile): Uint8Array {
  return concatBytes(
    MAGIC[file.rankCheck],
    hexToBytes(file.parametersId),
    hexToBytes(file.adapterId),
    hexToBytes(file.sessionDigest),
    u16(file.proofs.length),
    ...file.proofs.flatMap((proof) => encodeProof(proof, file.rankCheck)),
  );
}

function encodeProof({ modules, groups, blocks, sum }: Proof, rankCheck: RankCheck): Uint8Array[] {
  const parts = rankCheck === 'kzg' ? blocks.map(encodeBlock) : groups.map(encodeGroup);
  return [u16(modules.length), ...modules.map(u16), u16(parts.length), ...parts.flat(), ...encodeSum(sum)];
}

function encodeBlock({ p, q, qAtPoint }: BlockProof): Uint8Array[] {
  return [encodeG1Compressed(p), encodeG1Compressed(q), encodeScalar(qAtPoint)];
}

/** 160 bytes. */
export function encodeSum(sum: SumProof): Uint8Array[] {
  return [
    encodeG1Compressed(sum.runningSum),
    encodeG1Compressed(sum.quotient),
    encodeScalar(sum.shifted),
    encodeG1Compressed(sum.opening),
    encodeG1Compressed(sum.shiftedOpening),
  ];
}

function encodeGroup(group: GroupProof): Uint8Array[] {
  const { groth16, linearForm } = group;
  return [
    encodeG1Compressed(group.committed),
    encodeG1Compressed(group.mask),
    encodeG1Compressed(groth16.a),
    encodeG2Compressed(groth16.b),
    encodeG1Compressed(groth16.c),
    encodeScalar(group.formValue),
    encodeG1Compressed(linearForm.mask),
    encodeScalar(linearForm.maskValue),
    Uint8Array.of(linearForm.rounds.length),
    ...linearForm.rounds.flatMap(({ left, right }) => [encodeG1Compressed(left), encodeG1Compressed(right)]),
    encodeScalar(linearForm.final),
  ];
}

/**
 * Reads a proof file; every proof has exactly one encoding.
 *
 * @throws ZkLoraError `PROOF_MALFORMED` for anything that is not the encoding of a proof: wrong magic, lengths,
 * counts, scalars not below R, points with coordinates not below Q, off the curve, outside the subgroup, or the
 * identity.
 */
export function decodeProofFile(bytes: Uint8Array): ProofFile {
  return decodeWhole(bytes, 'proof file', decodeFile);
}

/** What a proof file is about and how it is divided, without its points and scalars. */
export interface ProofOutline
  extends Pick<ProofFile, 'rankCheck' | 'parametersId' | 'adapterId' | 'sessionDigest'> {
  readonly proofs: readonly {
    readonly modules: readonly number[];
    /** Folding rounds of each group. */
    readonly rounds: readonly number[];
    readonly blocks: number;
  }[];
}

/**
 * Reads the structure of a proof file. Costs nothing beside {@link decodeProofFile}, whose points take about a
 * millisecond each: what is about something else is refused on this alone.
 *
 * @throws ZkLoraError `PROOF_MALFORMED`
 */
export function outlineProofFile(bytes: Uint8Array): ProofOutline {
  const { proofs, ...ids } = decodeWhole(bytes, 'proof file', decodeFile, OutlineReader);
  return {
    ...ids,
    proofs: proofs.map(({ modules, groups, blocks }) => ({
      modules,
      rounds: groups.map(({ linearForm }) => linearForm.rounds.length),
      blocks: blocks.length,
    })),
  };
}

function decodeFile(reader: ProofReader): ProofFile {
  const rankCheck = reader.magic(MAGIC);
  const ids = {
    parametersId: reader.digest(),
    adapterId: reader.digest(),
    sessionDigest: reader.digest(),
  };
  const proofs: Proof[] = [];
  const count = reader.u16('number of proofs', 1, MAX_PROOF_MODULES);
  for (let i = 0; i < count; i++) proofs.push(decodeProof(reader, rankCheck));
  return { rankCheck, ...ids, proofs };
}

function decodeProof(reader: ProofReader, rankCheck: RankCheck): Proof {
  const modules: number[] = [];
  const moduleCount = reader.u16('number of modules', 1, MAX_PROOF_MODULES);
  for (let i = 0; i < moduleCount; i++) {
    const index = reader.u16('module index', 0, MAX_PROOF_MODULES - 1);
    if (i > 0 && index <= modules[i - 1]!) throw malformed('proof file: module indices are not ascending');
    modules.push(index);
  }
  const groups: GroupProof[] = [];
  const blocks: BlockProof[] = [];
  if (rankCheck === 'kzg') {
    const count = reader.u16('number of blocks', 1, MAX_BLOCKS);
    for (let i = 0; i < count; i++) blocks.push(decodeBlock(reader));
  } else {
    const count = reader.u16('number of groups', 1, Math.min(moduleCount, MAX_GROUPS));
    for (let i = 0; i < count; i++) groups.push(decodeGroup(reader));
  }
  return { modules, groups, blocks, sum: decodeSum(reader) };
}

function decodeBlock(reader: ProofReader): BlockProof {
  return { p: reader.g1(), q: reader.g1(), qAtPoint: reader.scalar() };
}

/** Reads what {@link encodeSum} wrote. */
export function decodeSum(reader: ProofReader): SumProof {
  return {
    runningSum: reader.g1(),
    quotient: reader.g1(),
    shifted: reader.scalar(),
    opening: reader.g1(),
    shiftedOpening: reader.g1(),
  };
}

function decodeGroup(reader: ProofReader): GroupProof {
  const committed = reader.g1();
  const mask = reader.g1();
  const groth16 = { a: reader.g1(), b: reader.g2(), c: reader.g1() };
  const formValue = reader.scalar();
  const formMask = reader.g1();
  const maskValue = reader.scalar();
  const roundCount = reader.u8();
  if (roundCount < MIN_ROUNDS || roundCount > MAX_ROUNDS) {
    throw malformed(`proof file: ${roundCount} folding rounds are outside [${MIN_ROUNDS}, ${MAX_ROUNDS}]`);
  }
  const rounds: { left: G1Point; right: G1Point }[] = [];
  for (let i = 0; i < roundCount; i++) rounds.push({ left: reader.g1(), right: reader.g1() });
  const linearForm = { mask: formMask, maskValue, rounds, final: reader.scalar() };
  return { committed, mask, groth16, formValue, linearForm };
}

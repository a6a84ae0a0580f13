import type { Hex } from 'viem';
import {
  divideByLinear,
  type Engine,
  encodeG1,
  encodeG2,
  type FieldVector,
  G1_BYTES,
  type G1Point,
  type G1Sum,
  type G2Point,
  interpolate,
  isIdentity,
  multiScalarMultiply,
  padVector,
  R,
  scalarFromWideBytes,
  vectorFromScalars,
  vectorToScalars,
} from '../algebra/index.js';
import { concatBytes, equalBytes, hexToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import type { ProverSrs } from '../kzg/index.js';
import { toHex } from './hex.js';
import { keccak256 } from './keccak.js';
import { RowCipher } from './keystream.js';
import type { MerkleTree } from './merkle.js';
import { decodeRow, type PlainRow, type SettlementRow } from './rows.js';

// First byte of what the evaluation point is the hash of (merkle.ts has 0 to 2).
const CHALLENGE = 3;

/** Argument of `AdapterEscrow.dispute`, in the form of its ABI: integers big-endian, points x, y (EIP-196). */
export interface FraudProof {
  readonly row: number;
  readonly offset: number;
  readonly length: number;
  /** N. */
  readonly domainSize: number;
  /** tau G2 as x.c1, x.c0, y.c1, y.c0 (EIP-197). */
  readonly tauG2: readonly [bigint, bigint, bigint, bigint];
  /** C, the registered point. */
  readonly registered: readonly [bigint, bigint];
  /** F = [f(tau)] of the decrypted row; (0, 0) for the identity. */
  readonly delivered: readonly [bigint, bigint];
  /** KZG opening of F at z. */
  readonly opening: readonly [bigint, bigint];
  readonly ciphertext: Hex;
  readonly rowsPath: readonly Hex[];
  readonly cipherPath: readonly Hex[];
}

/**
 * What an offer binds of the structured reference string: keccak256(u256 N | tau G2), tau G2 as x.c1 | x.c0 | y.c1 | y.c0.
 * Both parties compute it from their own parameter set.
 */
export function srsDigest(domainSize: number, tauG2: G2Point): Hex {
  return toHex(keccak256(concatBytes(word(BigInt(domainSize)), encodeG2(tauG2))));
}

/** What the evaluation point is drawn from. */
export interface ChallengeInput {
  readonly offerId: Hex;
  readonly row: number;
  /** keccak256 of the row's ciphertext, 32 bytes. */
  readonly cipherHash: Uint8Array;
  /** C, 64 bytes. */
  readonly registered: Uint8Array;
  /** F, 64 bytes. */
  readonly delivered: Uint8Array;
}

/** z = keccak256(03 | offer id | u256 row | keccak256(ciphertext) | C | F) mod R. */
export function fraudChallenge({ offerId, row, cipherHash, registered, delivered }: ChallengeInput): bigint {
  const id = hexToBytes(offerId.slice(2));
  const input = concatBytes(
    Uint8Array.of(CHALLENGE),
    id,
    word(BigInt(row)),
    cipherHash,
    registered,
    delivered,
  );
  return scalarFromWideBytes(keccak256(input));
}

/** A row as it was delivered, and what shows that it is the one of the offer. */
export interface DeliveredRow {
  readonly offerId: Hex;
  /** Revealed key, 32 bytes. */
  readonly masterKey: Uint8Array;
  readonly committed: SettlementRow;
  readonly ciphertext: Uint8Array;
  /** Tree of the registered rows. */
  readonly rowsTree: MerkleTree;
  /** Tree of the encrypted rows. */
  readonly cipherTree: MerkleTree;
}

/**
 * Makes the fraud proof of a row that is not the committed one.
 *
 * @returns undefined when the row is the committed one: then there is nothing to prove
 * @throws ZkLoraError `STATEMENT_INVALID` for a row that does not fit the domain; `INTERNAL` when the challenge falls into
 * the domain (probability N / R)
 */
export async function makeFraudProof(
  engine: Engine,
  srs: ProverSrs,
  tauG2: G2Point,
  { offerId, masterKey, committed, ciphertext, rowsTree, cipherTree }: DeliveredRow,
): Promise<FraudProof | undefined> {
  const { row, offset, length, point } = committed;
  const { domainSize } = srs;
  const plain = Uint8Array.from(ciphertext);
  const cipher = new RowCipher(masterKey);
  cipher.apply(row, plain);
  cipher.clear();
  const coefficients = rowPolynomial(engine, domainSize, offset, decodeRow(plain, length));
  const delivered = await commitToSum(engine, srs, coefficients);
  if (equalBytes(delivered, point)) return undefined;

  const cipherHash = keccak256(ciphertext);
  const z = fraudChallenge({ offerId, row, cipherHash, registered: point, delivered });
  const { quotient } = divideByLinear(engine, coefficients, z);
  const opening = await commitToSum(engine, srs, quotient);
  const tau = encodeG2(tauG2);
  return {
    row,
    offset,
    length,
    domainSize,
    tauG2: [wordAt(tau, 0), wordAt(tau, 1), wordAt(tau, 2), wordAt(tau, 3)],
    registered: coordinates(point),
    delivered: coordinates(delivered),
    opening: coordinates(opening),
    ciphertext: toHex(ciphertext),
    rowsPath: rowsTree.path(row).map(toHex),
    cipherPath: cipherTree.path(row).map(toHex),
  };
}

/**
 * Coefficients, lowest first, `[N + 1]`, of a row's polynomial: sum_i values[i] L_(offset+i) + blinder (X^N - 1).
 *
 * @throws ZkLoraError `STATEMENT_INVALID` for a row that does not fit the domain
 */
export function rowPolynomial(
  engine: Engine,
  domainSize: number,
  offset: number,
  { values, blinder }: PlainRow,
): FieldVector {
  if (offset < 0 || offset + values.length > domainSize) {
    throw new ZkLoraError('STATEMENT_INVALID', 'row does not fit the evaluation domain');
  }
  const entries = vectorFromScalars(
    engine,
    Array.from(values, (value) => (BigInt(value) + R) % R),
  );
  const low = interpolate(engine, padVector(entries, offset, domainSize));
  const [constant] = vectorToScalars(engine, low.slice(0, 32));
  const ends = vectorFromScalars(engine, [(constant! + R - blinder) % R, blinder]);
  const coefficients = padVector(low, 0, domainSize + 1);
  coefficients.set(ends.subarray(0, 32));
  coefficients.set(ends.subarray(32), domainSize * 32);
  return coefficients;
}

/** Commitment by coefficients, x | y; 64 zero bytes for the identity, which is what a row of zeros has. */
async function commitToSum(engine: Engine, srs: ProverSrs, coefficients: FieldVector): Promise<Uint8Array> {
  const bases = srs.powers.subarray(0, (coefficients.byteLength / 32) * G1_BYTES);
  const sum: G1Sum = await multiScalarMultiply(engine, bases, coefficients);
  return isIdentity(engine, sum) ? new Uint8Array(G1_BYTES) : encodeG1(sum as G1Point);
}

function word(value: bigint): Uint8Array {
  return hexToBytes(value.toString(16).padStart(64, '0'));
}

function wordAt(bytes: Uint8Array, index: number): bigint {
  return BigInt(toHex(bytes.subarray(32 * index, 32 * index + 32)));
}

function coordinates(point: Uint8Array): readonly [bigint, bigint] {
  return [wordAt(point, 0), wordAt(point, 1)];
}

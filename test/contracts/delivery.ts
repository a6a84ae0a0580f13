import { bn254 } from '@noble/curves/bn254.js';
import { type Hex, keccak256 as keccakHex, toHex } from 'viem';
import { decodeG2, type Engine, type G2Point } from '../../src/algebra/index.js';
import { commitRows } from '../../src/kzg/index.js';
import { type ProverSrs, srsFromSecret } from '../../src/kzg/srs.js';
import {
  cipherLeaf,
  encodeRow,
  type FraudProof,
  keccak256,
  MerkleTree,
  makeFraudProof,
  type Offer,
  type PlainRow,
  RowCipher,
  rowsLeaf,
  type SettlementRow,
  srsDigest,
} from '../../src/settlement/index.js';
import { masterKey } from './world.js';

/** The tests' string has a known secret: 32 bytes of no meaning. */
export const TAU = BigInt(keccakHex(toHex('tau'))) % bn254.fields.Fr.ORDER;

/** A structured reference string of one size. */
export interface Srs {
  readonly prover: ProverSrs;
  readonly tauG2: G2Point;
}

export async function makeSrs(engine: Engine, domainSize: number): Promise<Srs> {
  return { prover: await srsFromSecret(engine, TAU, domainSize), tauG2: secretTauG2() };
}

/** tau G2. */
export function secretTauG2(): G2Point {
  const { x, y } = bn254.G2.Point.BASE.multiply(TAU).toAffine();
  const words = [x.c1, x.c0, y.c1, y.c0].map((value) => toHex(value, { size: 32 }).slice(2));
  return decodeG2(Uint8Array.from(Buffer.from(words.join(''), 'hex')));
}

/** Where a row lies and what is in it. */
export interface RowSpec extends PlainRow {
  readonly offset: number;
}

/** Pseudo-random row: the same for the same seed. */
export function sampleRow(seed: number, length: number, offset = 0): RowSpec {
  let state = BigInt(keccakHex(toHex(seed)));
  const values = Int16Array.from({ length }, () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & (2n ** 64n - 1n);
    return Number(state >> 48n) - 32768;
  });
  return { values, offset, blinder: BigInt(keccakHex(toHex(seed + 1_000_000))) % bn254.fields.Fr.ORDER };
}

/** f(x) of a row, straight from the definition of the Lagrange basis, with @noble/curves alone. */
export function evaluateRow(
  domainSize: number,
  offset: number,
  values: Int16Array,
  blinder: bigint,
  x: bigint,
): bigint {
  const { Fr } = bn254.fields;
  const root = Fr.pow(5n, (Fr.ORDER - 1n) / BigInt(domainSize));
  const vanishing = Fr.sub(Fr.pow(x, BigInt(domainSize)), 1n);
  const nodes = Array.from(values, () => 1n);
  let node = Fr.pow(root, BigInt(offset));
  for (const i of nodes.keys()) {
    nodes[i] = node;
    node = Fr.mul(node, root);
  }
  const inverses = Fr.invertBatch(nodes.map((one) => Fr.mul(BigInt(domainSize), Fr.sub(x, one))));
  let sum = blinder;
  values.forEach((value, i) => {
    sum = Fr.add(sum, Fr.mul(Fr.mul(Fr.create(BigInt(value)), nodes[i]!), inverses[i]!));
  });
  return Fr.mul(sum, vanishing);
}

/** Committed rows, what was delivered for them, and the members of an offer that say so. */
export class Delivery {
  private constructor(
    readonly engine: Engine,
    readonly srs: Srs,
    readonly rows: readonly SettlementRow[],
    readonly ciphertexts: readonly Uint8Array[],
    readonly rowsTree: MerkleTree,
    readonly cipherTree: MerkleTree,
  ) {}

  /** @param delivered by row, where it is not the committed row */
  static async make(
    engine: Engine,
    srs: Srs,
    committed: readonly RowSpec[],
    delivered: Readonly<Record<number, PlainRow>> = {},
    key: Hex = masterKey,
  ): Promise<Delivery> {
    const points = await commitRows(engine, srs.prover, committed);
    const rows = committed.map(
      ({ values, offset }, row): SettlementRow => ({
        row,
        module: 0,
        matrix: 'A',
        rank: row,
        offset,
        length: values.length,
        point: points[row]!,
      }),
    );
    const cipher = new RowCipher(bytes(key));
    const ciphertexts = committed.map((plain, row) => {
      const data = encodeRow(delivered[row] ?? plain);
      cipher.apply(row, data);
      return data;
    });
    const leaves = ciphertexts.map((data, row) => cipherLeaf(row, keccak256(data)));
    return new Delivery(
      engine,
      srs,
      rows,
      ciphertexts,
      new MerkleTree(rows.map(rowsLeaf)),
      new MerkleTree(leaves),
    );
  }

  /** The same commitment with other ciphertexts. */
  static of({ engine, srs, rows, rowsTree }: Delivery, ciphertexts: readonly Uint8Array[]): Delivery {
    const leaves = ciphertexts.map((data, row) => cipherLeaf(row, keccak256(data)));
    return new Delivery(engine, srs, rows, ciphertexts, rowsTree, new MerkleTree(leaves));
  }

  get terms(): Pick<Offer, 'rowsRoot' | 'cipherRoot' | 'srsDigest' | 'rowCount'> {
    return {
      rowsRoot: toHex(this.rowsTree.root),
      cipherRoot: toHex(this.cipherTree.root),
      srsDigest: srsDigest(this.srs.prover.domainSize, this.srs.tauG2),
      rowCount: this.rows.length,
    };
  }

  /** Fraud proof of a row; undefined when it is the committed one. */
  proof(id: Hex, row: number): Promise<FraudProof | undefined> {
    const { srs, rowsTree, cipherTree } = this;
    return makeFraudProof(this.engine, srs.prover, srs.tauG2, {
      offerId: id,
      masterKey: bytes(masterKey),
      committed: this.rows[row]!,
      ciphertext: this.ciphertexts[row]!,
      rowsTree,
      cipherTree,
    });
  }
}

export const bytes = (hex: Hex): Uint8Array => Uint8Array.from(Buffer.from(hex.slice(2), 'hex'));

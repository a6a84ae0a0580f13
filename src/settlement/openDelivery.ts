import type { AdapterCommitment, QuantizedModule } from '../adapter/index.js';
import { decodeG2, type Engine } from '../algebra/index.js';
import { hexToBytes } from '../bytes.js';
import type { ParameterSet } from '../circuit/index.js';
import { ZkLoraError } from '../errors.js';
import type { ProverSrs } from '../kzg/index.js';
import { checkDelivery, mismatch } from './checkDelivery.js';
import type { DeliveryFile } from './deliveryFile.js';
import { type FraudProof, makeFraudProof } from './fraudProof.js';
import { toHex } from './hex.js';
import { keyHashOf, RowCipher } from './keystream.js';
import { MerkleTree, rowsLeaf } from './merkle.js';
import { offerId, type SignedOffer } from './offer.js';
import { RowChecker } from './rowChecker.js';
import { decodeRow, type PlainRow, type SettlementRow } from './rows.js';

/** Arguments of {@link openDelivery}. */
export interface OpenOptions {
  readonly engine: Engine;
  /** Of the commitment's domain. */
  readonly srs: ProverSrs;
  /** The buyer's own parameter set. */
  readonly parameters: ParameterSet;
  /** The adapter commitment that was evaluated. */
  readonly commitment: AdapterCommitment;
  readonly offer: SignedOffer;
  readonly delivery: DeliveryFile;
  /** Revealed key, 32 bytes. */
  readonly masterKey: Uint8Array;
  /** Called with the number of rows done, of all rows. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Either the whole adapter, or the proof that a row is wrong. */
export type Opened =
  | { readonly valid: true; readonly modules: readonly QuantizedModule[] }
  | {
      readonly valid: false;
      /** Module, matrix and rank of the first row found wrong. */
      readonly row: SettlementRow;
      readonly fraudProof: FraudProof;
    };

/**
 * Decrypts every row with the revealed key, commits to it again and compares with the registered point.
 *
 * @throws ZkLoraError `DELIVERY_MISMATCH` when offer, delivery file, key and commitment do not belong together: this is
 * the wrong input, not fraud; `DELIVERY_MALFORMED`, `ADAPTER_UNSUPPORTED`
 */
export async function openDelivery(options: OpenOptions): Promise<Opened> {
  const { engine, srs, parameters, commitment, offer, delivery, masterKey, onProgress } = options;
  if (offer.offer.keyHash !== toHex(keyHashOf(masterKey))) {
    throw mismatch('keyHash', 'the key is not the one that the offer binds');
  }
  const cipherTree = await checkDelivery(offer.offer, commitment, parameters, delivery);
  const modules = commitment.modules.map((module): QuantizedModule => {
    const { name, rank, inFeatures, outFeatures, aExponent, bExponent, scaling } = module;
    const a = new Int16Array(rank * inFeatures);
    const bT = new Int16Array(rank * outFeatures);
    return { name, rank, inFeatures, outFeatures, a, aExponent, bT, bExponent, scaling };
  });
  const cipher = new RowCipher(masterKey);
  const checker = new RowChecker(engine, srs);
  let wrong: { readonly row: SettlementRow } | null = null;
  for await (const { row, ciphertext } of delivery.encryptedRows()) {
    const plain = decryptRow(cipher, row, ciphertext);
    const { a, bT } = modules[row.module]!;
    (row.matrix === 'A' ? a : bT).set(plain.values, row.rank * row.length);
    wrong = await checker.add(row, plain);
    if (wrong !== null) break;
    onProgress?.(row.row + 1, delivery.rows.length);
  }
  cipher.clear();
  wrong ??= await checker.finish();
  if (wrong === null) return { valid: true, modules };

  const committed = wrong.row;
  const fraudProof = await makeFraudProof(engine, srs, decodeG2(hexToBytes(parameters.tauG2)), {
    offerId: offerId(offer.escrow, offer.offer),
    masterKey,
    committed,
    ciphertext: await ciphertextOf(delivery, committed),
    rowsTree: new MerkleTree(delivery.rows.map(rowsLeaf)),
    cipherTree,
  });
  if (fraudProof === undefined) throw new ZkLoraError('INTERNAL', 'a row is wrong in one check only');
  return { valid: false, row: committed, fraudProof };
}

/** Decrypts one row; leaves the ciphertext as it is. */
function decryptRow(cipher: RowCipher, row: SettlementRow, ciphertext: Uint8Array): PlainRow {
  const plain = Uint8Array.from(ciphertext);
  cipher.apply(row.row, plain);
  return decodeRow(plain, row.length);
}

async function ciphertextOf(delivery: DeliveryFile, wanted: SettlementRow): Promise<Uint8Array> {
  for await (const { row, ciphertext } of delivery.encryptedRows()) {
    if (row.row === wanted.row) return ciphertext;
  }
  throw new ZkLoraError('INTERNAL', 'a row is missing');
}

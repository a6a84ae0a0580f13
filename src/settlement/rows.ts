import type { AdapterCommitment } from '../adapter/types.js';
import { encodeScalar, R, scalarFromWideBytes } from '../algebra/scalar.js';
import { hexToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { WORD_BYTES } from './keystream.js';
import { MAX_DISPUTABLE_ENTRIES } from './limits.js';

/** int16 entries in one word. */
export const ENTRIES_PER_WORD = 16;

/** One committed row as settlement numbers it. */
export interface SettlementRow {
  /** Place among all rows of the adapter, from 0. */
  readonly row: number;
  /** Index of its module in the commitment. */
  readonly module: number;
  /** A row of A, or a column of B. */
  readonly matrix: 'A' | 'B';
  /** Row of A or column of B, 0 to rank - 1. */
  readonly rank: number;
  /** Index in the evaluation domain of the first entry. */
  readonly offset: number;
  /** Number of entries: inFeatures for A, outFeatures for B. */
  readonly length: number;
  /** The registered point as the commitment has it: x | y, big-endian, 64 bytes. Not checked. */
  readonly point: Uint8Array;
}

/** Entries and blinder of a row. */
export interface PlainRow {
  /** int16 entries, `[length]`. */
  readonly values: Int16Array;
  /** Multiple of Z_H, 0 to R - 1. */
  readonly blinder: bigint;
}

/**
 * All rows of an adapter in the order of settlement: modules as in the commitment, of each first the rows of A, then
 * the columns of B. Rows of A lie at the module's column offset, columns of B at 0.
 */
export function settlementRows(commitment: AdapterCommitment): SettlementRow[] {
  const rows: SettlementRow[] = [];
  commitment.modules.forEach(({ aRows, bColumns, columnOffset, inFeatures, outFeatures }, module) => {
    const add = (matrix: 'A' | 'B', points: readonly string[], offset: number, length: number) => {
      points.forEach((point, rank) => {
        rows.push({ row: rows.length, module, matrix, rank, offset, length, point: hexToBytes(point) });
      });
    };
    add('A', aRows, columnOffset, inFeatures);
    add('B', bColumns, 0, outFeatures);
  });
  return rows;
}

/**
 * Refuses an adapter with rows that are too long for a fraud proof on a chain: no row is longer than the domain.
 *
 * @throws ZkLoraError `ADAPTER_UNSUPPORTED`
 */
export function requireDisputable({ domainSize }: Pick<AdapterCommitment, 'domainSize'>): void {
  if (domainSize <= MAX_DISPUTABLE_ENTRIES) return;
  throw new ZkLoraError(
    'ADAPTER_UNSUPPORTED',
    `a wrong row could not be shown to the contract: the adapter has rows of more than ${MAX_DISPUTABLE_ENTRIES} entries; leave such modules (output layers) out of what is sold`,
    { details: { domainSize } },
  );
}

/** Words of a row's entries; its blinder takes one more. */
export function entryWords(length: number): number {
  return Math.ceil(length / ENTRIES_PER_WORD);
}

/** Bytes of a row of so many entries, plain or encrypted. */
export function rowBytes(length: number): number {
  return (entryWords(length) + 1) * WORD_BYTES;
}

/**
 * Bytes of a row: its entries as big-endian int16, zeros up to a whole word, the blinder as a scalar.
 *
 * @throws ZkLoraError `SCALAR_INVALID` for a blinder that is not from 0 to R - 1
 */
export function encodeRow({ values, blinder }: PlainRow): Uint8Array {
  if (blinder < 0n || blinder >= R) throw new ZkLoraError('SCALAR_INVALID', 'a blinder is not below R');
  const bytes = new Uint8Array(rowBytes(values.length));
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    view.setInt16(2 * i, value);
  });
  bytes.set(encodeScalar(blinder), bytes.length - WORD_BYTES);
  return bytes;
}

/**
 * Reads decrypted bytes. Total, as on the EVM: every byte string of the right length is a row. What fills the last word
 * behind the entries is not looked at, and the blinder is reduced modulo R; whether the row is the committed one is for
 * its commitment to say.
 *
 * @throws ZkLoraError `INTERNAL` for another number of bytes than {@link rowBytes} gives
 */
export function decodeRow(bytes: Uint8Array, length: number): PlainRow {
  if (bytes.length !== rowBytes(length)) throw new ZkLoraError('INTERNAL', 'a row has another length');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = new Int16Array(length);
  for (let i = 0; i < length; i++) values[i] = view.getInt16(2 * i);
  return { values, blinder: scalarFromWideBytes(bytes.subarray(bytes.length - WORD_BYTES)) };
}

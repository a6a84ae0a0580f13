import { encodeScalar, R } from '../algebra/scalar.js';
import { equalBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { parseBinFile } from './binfile.js';

/** Coefficients of one row of a matrix: wire and value, in the file's order. */
export type SparseRow = readonly (readonly [wire: number, value: bigint])[];

/** A rank-1 constraint system: (a . w) (b . w) = c . w in each row. */
export interface ConstraintSystem {
  readonly wires: number;
  /** Wires 1 .. publicSignals are public; wire 0 is the constant one. */
  readonly publicSignals: number;
  readonly rows: readonly { readonly a: SparseRow; readonly b: SparseRow; readonly c: SparseRow }[];
}

const SECTION = { header: 1, constraints: 2 } as const;

/** Section 1: u32 32 | R | u32 wires | u32 outputs | u32 public inputs | u32 private inputs | u64 labels | u32 rows. */
const HEADER_BYTES = 4 + 32 + 4 * 4 + 8 + 4;

const ENTRY_BYTES = 4 + 32;

/**
 * Reads a .r1cs file of circom 2 (iden3, r1csfile).
 *
 * @throws ZkLoraError `PARAMETERS_MALFORMED`.
 */
export function parseR1cs(bytes: Uint8Array): ConstraintSystem {
  const sections = parseBinFile(bytes, 'r1cs', 1, 'PARAMETERS_MALFORMED');
  const header = sections.get(SECTION.header);
  const data = sections.get(SECTION.constraints);
  if (header?.length !== HEADER_BYTES || data === undefined) throw malformed('a section is missing');
  const counts = viewOf(header);
  const order = new Uint8Array(header.subarray(4, 36)).reverse();
  if (counts.getUint32(0, true) !== 32 || !equalBytes(order, encodeScalar(R))) throw malformed('wrong field');
  const wires = counts.getUint32(36, true);
  const publicSignals = counts.getUint32(40, true) + counts.getUint32(44, true);
  const rowCount = counts.getUint32(60, true);

  const view = viewOf(data);
  let at = 0;
  const advance = (length: number): number => {
    if (length > data.length - at) throw malformed('it ends inside a constraint');
    at += length;
    return at - length;
  };
  const readRow = (): SparseRow => {
    const entries = view.getUint32(advance(4), true);
    if (entries > wires) throw malformed('a row has more entries than wires');
    return Array.from({ length: entries }, () => {
      const start = advance(ENTRY_BYTES);
      const wire = view.getUint32(start, true);
      if (wire >= wires) throw malformed('a row names no wire');
      let value = 0n;
      for (let word = 3; word >= 0; word--) {
        value = (value << 64n) | view.getBigUint64(start + 4 + 8 * word, true);
      }
      if (value >= R) throw malformed('a coefficient is not below the field order');
      return [wire, value];
    });
  };
  const rows: { a: SparseRow; b: SparseRow; c: SparseRow }[] = [];
  for (let i = 0; i < rowCount; i++) rows.push({ a: readRow(), b: readRow(), c: readRow() });
  if (at !== data.length) throw malformed('bytes follow the last constraint');
  return { wires, publicSignals, rows };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function malformed(reason: string): ZkLoraError {
  return new ZkLoraError('PARAMETERS_MALFORMED', `constraint system refused: ${reason}; build it again`);
}

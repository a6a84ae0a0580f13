import { R } from '../algebra/index.js';
import { concatBytes } from '../bytes.js';
import type { ConstraintSystem, SparseRow } from '../circuit/r1cs.js';

/** 2^512: snarkjs stores the coefficients of A and B times the square of its Montgomery constant. */
const COEFFICIENT_SCALE = 2n ** 512n % R;

/**
 * Section 4 of the proving key of a constraint system, as snarkjs writes it: u32 count, then u32 matrix | u32 row |
 * u32 wire | value, little-endian; matrix 0 is A, 1 is B.
 */
export function encodeCoefficients(system: ConstraintSystem): Uint8Array {
  const entries: Uint8Array[] = [];
  const add = (matrix: number, row: number, [wire, value]: SparseRow[number]) => {
    const entry = new Uint8Array(12 + 32);
    const view = new DataView(entry.buffer);
    view.setUint32(0, matrix, true);
    view.setUint32(4, row, true);
    view.setUint32(8, wire, true);
    const scaled = (value * COEFFICIENT_SCALE) % R;
    for (let word = 0; word < 4; word++) {
      view.setBigUint64(12 + 8 * word, BigInt.asUintN(64, scaled >> BigInt(64 * word)), true);
    }
    entries.push(entry);
  };
  system.rows.forEach(({ a, b }, row) => {
    for (const entry of a) add(0, row, entry);
    for (const entry of b) add(1, row, entry);
  });
  const { length } = system.rows;
  for (let wire = 0; wire <= system.publicSignals; wire++) add(0, length + wire, [wire, 1n]);
  const count = new Uint8Array(4);
  new DataView(count.buffer).setUint32(0, entries.length, true);
  return concatBytes(count, ...entries);
}

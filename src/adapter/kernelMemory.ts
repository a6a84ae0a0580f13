/** Rows in the memory of kernels, which take whole blocks of values. */
import { PAGE_BYTES, type WasmMemory } from '../algebra/wasmModule.js';

/** What rows need of their arrays, whatever the type of the values. */
interface Rows {
  readonly length: number;
  set(values: this, at?: number): void;
  subarray(from: number, to: number): this;
}

/** Grows a memory to so many bytes; earlier views of it are of no use then. */
export function reserve(memory: WasmMemory, bytes: number): void {
  const missing = bytes - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES));
}

/** Copies rows of `width` values to the beginnings of rows of `padded` ones; what lies between stays. */
export function spreadRows<A extends Rows>(out: A, rows: A, width: number, padded: number): void {
  if (width === padded) {
    out.set(rows);
    return;
  }
  for (let row = 0; row * width < rows.length; row++) {
    out.set(rows.subarray(row * width, (row + 1) * width), row * padded);
  }
}

/** Copies the beginnings of rows of `padded` values into rows of `width` ones. */
export function joinRows<A extends Rows>(out: A, rows: A, width: number, padded: number): void {
  if (width === padded) {
    out.set(rows);
    return;
  }
  for (let row = 0; row * width < out.length; row++) {
    out.set(rows.subarray(row * padded, row * padded + width), row * width);
  }
}

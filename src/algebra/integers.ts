import type { Engine } from './engine.js';
import { constantVector, type FieldVector, subVectors, vectorFromBytes } from './vector.js';

const SIZE = 32;

/** Words of 32 bits an element takes. */
const WORDS = SIZE / 4;

/** Added to integers so that they are not negative. */
const OFFSET = 2 ** 52;

/** Vector of integers in [-2^52, 2^52]. */
export function vectorFromIntegers(engine: Engine, values: Float64Array): FieldVector {
  const words = new Uint32Array(values.length * WORDS);
  for (let i = 0; i < values.length; i++) {
    const shifted = values[i]! + OFFSET;
    words[i * WORDS] = shifted % 2 ** 32;
    words[i * WORDS + 1] = shifted / 2 ** 32;
  }
  const shifted = vectorFromBytes(engine, new Uint8Array(words.buffer));
  return subVectors(engine, shifted, constantVector(engine, BigInt(OFFSET), values.length));
}

/** `out[i] = table[indices[i]]`; every index is below the table's length. */
export function gatherVector(table: FieldVector, indices: Uint8Array): FieldVector {
  const source = new Uint32Array(new Uint8Array(table).buffer);
  const out = new Uint32Array(indices.length * WORDS);
  for (let i = 0; i < indices.length; i++) {
    const from = indices[i]! * WORDS;
    for (let word = 0; word < WORDS; word++) out[i * WORDS + word] = source[from + word]!;
  }
  return new Uint8Array(out.buffer);
}

import { concatBytes, equalBytes } from '../../../src/bytes.js';
import type { Mutant } from './kit.js';

/** A random integer in [0, end). */
export function below(random: () => number, end: number): number {
  return Math.floor(random() * end);
}

function changed(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy[at] = value;
  return copy;
}

/** Every byte position once, with the bit that is flipped going round; `step` leaves positions out. */
export function* everyByte(bytes: Uint8Array, step = 1, bits: readonly number[] = [-1]): Generator<Mutant> {
  for (let at = 0; at < bytes.length; at += step) {
    for (const bit of bits) {
      const flipped = bit < 0 ? at % 8 : bit;
      yield { label: `byte ${at}, bit ${flipped}`, bytes: changed(bytes, at, bytes[at]! ^ (1 << flipped)) };
    }
  }
}

/** Lengths that are not the original's. */
export function* everyLength(bytes: Uint8Array, step = 1): Generator<Mutant> {
  for (let length = 0; length < bytes.length; length += step) {
    yield { label: `cut to ${length} bytes`, bytes: bytes.slice(0, length) };
  }
  for (const extra of [1, 2, 32, 4096]) {
    yield { label: `${extra} zero bytes more`, bytes: concatBytes(bytes, new Uint8Array(extra)) };
    yield { label: `${extra} bytes more in front`, bytes: concatBytes(new Uint8Array(extra), bytes) };
  }
  yield { label: 'twice', bytes: concatBytes(bytes, bytes) };
}

/** One to three random edits: bits, bytes, runs of bytes cut out, doubled, overwritten or exchanged. */
export function randomEdits(bytes: Uint8Array, random: () => number, from = 0): Mutant {
  let result: Uint8Array = new Uint8Array(bytes);
  const labels: string[] = [];
  const edits = 1 + below(random, 3);
  for (let i = 0; i < edits; i++) {
    const at = from + below(random, Math.max(1, result.length - from));
    const length = 1 + below(random, 40);
    const kind = below(random, 8);
    labels.push(`${kind}@${at}+${length}`);
    result = edit(result, kind, at, length, random);
  }
  // edits may cancel out, or write what was there
  if (equalBytes(result, bytes)) result = edit(result, 0, from, 1, random);
  return { label: `random edits ${labels.join(' ')}`, bytes: result };
}

function edit(bytes: Uint8Array, kind: number, at: number, length: number, random: () => number): Uint8Array {
  const end = Math.min(bytes.length, at + length);
  const [head, part, tail] = [bytes.subarray(0, at), bytes.slice(at, end), bytes.subarray(end)];
  if (kind <= 1) return changed(bytes, at, bytes[at]! ^ (1 << below(random, 8)));
  if (kind === 2) return changed(bytes, at, below(random, 256));
  if (kind === 3) return concatBytes(head, tail);
  if (kind === 4) return concatBytes(head, part, part, tail);
  if (kind === 5) return concatBytes(head, part.fill([0, 0xff, 0x30][below(random, 3)]!), tail);
  if (kind === 6) {
    const source = below(random, Math.max(1, bytes.length - part.length));
    return concatBytes(head, bytes.subarray(source, source + part.length), tail);
  }
  return bytes.slice(0, at);
}

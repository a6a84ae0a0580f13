/**
 * Between the words of four elements or points in memory and the lanes of quads.
 */
import { LIMB_BITS, LIMB_MASK, PAIRS, packPair } from './quadField.js';
import { Q } from './scalar.js';
import { type Code, v128, type WasmFunction, wordBytes } from './wasmCode.js';

/** Lanes of a quad. */
export const LANES = [0, 1, 2, 3] as const;

/** Limbs of x 2^260 mod q, two in a word, as in one lane of a quad. */
export function limbPairs(value: bigint): number[] {
  const shifted = (value << 260n) % Q;
  const limb = (k: number) => Number((shifted >> BigInt(LIMB_BITS * k)) & BigInt(LIMB_MASK));
  return Array.from({ length: PAIRS }, (_, i) => packPair(limb(2 * i), limb(2 * i + 1)));
}

/** The same element in all lanes of a quad. */
export function quadBytes(value: bigint): number[] {
  return wordBytes(limbPairs(value).flatMap((word) => LANES.map(() => word)));
}

/** Copies whole quads. */
export function copyQuads(to: Code, from: Code, quads: number): Code {
  return Array.from({ length: quads * PAIRS }, (_, i) =>
    v128.store(to, 16 * i, v128.load(from, 16 * i)),
  ).flat();
}

/** Names of the locals that hold the lanes' addresses of words. */
const POINTERS = LANES.map((lane) => `p${lane}`);

/**
 * Words of four elements or points, at p0..p3, to as many vectors in memory. Reads up to three words more.
 *
 * @param vectors number of words of each
 */
export function gatherWords(f: WasmFunction, to: Code, vectors: number): Code {
  const turn = transpose(f);
  const code: Code[] = [];
  for (let first = 0; first < vectors; first += 4) {
    code.push(...LANES.map((l) => f.set(`r${l}`, v128.loadUnaligned(f.get(POINTERS[l]!), 4 * first))));
    code.push(...turn);
    const lanes = LANES.filter((lane) => first + lane < vectors);
    code.push(...lanes.map((l) => v128.store(to, 16 * (first + l), f.get(`r${l}`))));
  }
  return code.flat();
}

/** Back: vectors in memory to words at p0..p3; a multiple of four. */
export function scatterWords(f: WasmFunction, from: Code, vectors: number): Code {
  const turn = transpose(f);
  const code: Code[] = [];
  for (let first = 0; first < vectors; first += 4) {
    code.push(...LANES.map((l) => f.set(`r${l}`, v128.load(from, 16 * (first + l)))));
    code.push(...turn);
    code.push(...LANES.map((l) => v128.storeUnaligned(f.get(POINTERS[l]!), 4 * first, f.get(`r${l}`))));
  }
  return code.flat();
}

/** Transposes the 4 x 4 words of locals r0..r3. */
function transpose(f: WasmFunction): Code[] {
  f.locals('v128', 'r0', 'r1', 'r2', 'r3', 't0', 't1', 't2', 't3');
  const words = (...lanes: readonly number[]) =>
    lanes.flatMap((lane) => [0, 1, 2, 3].map((b) => 4 * lane + b));
  const mix = (a: string, b: string, ...lanes: readonly number[]) =>
    v128.shuffle(f.get(a), f.get(b), words(...lanes));
  return [
    f.set('t0', mix('r0', 'r1', 0, 4, 1, 5)),
    f.set('t1', mix('r2', 'r3', 0, 4, 1, 5)),
    f.set('t2', mix('r0', 'r1', 2, 6, 3, 7)),
    f.set('t3', mix('r2', 'r3', 2, 6, 3, 7)),
    f.set('r0', mix('t0', 't1', 0, 1, 4, 5)),
    f.set('r1', mix('t0', 't1', 2, 3, 6, 7)),
    f.set('r2', mix('t2', 't3', 0, 1, 4, 5)),
    f.set('r3', mix('t2', 't3', 2, 3, 6, 7)),
  ];
}

/** Seeded synthetic adapters and activations with the distributions of trained ones. */
import type { QuantizedModule } from '../src/adapter/index.js';
import type { PaperShape } from './paper.js';

/** Deterministic standard normal numbers: mulberry32 and the Box-Muller transform. */
export function gaussian(seed: number): () => number {
  let state = seed | 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let z = Math.imul(state ^ (state >>> 15), 1 | state);
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
  let spare: number | undefined;
  return () => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}

/** Largest int16. */
const LARGEST = 32767;

/** Largest of a few million normal numbers, in standard deviations: what a quantiser scales to the largest int16. */
const RANGE = 5.5;

/** Every 256th channel is an outlier, twenty times as strong as the others: so are activations of transformers. */
const OUTLIER_EVERY = 256;
const OUTLIER_FACTOR = 20;

function quantize(value: number): number {
  return Math.max(-LARGEST, Math.min(LARGEST, Math.round(value)));
}

/** Module with normal weights, quantised to 16 bits as `quantizeModule` would. */
export function syntheticModule(
  name: string,
  [inFeatures, rank, outFeatures]: PaperShape,
  seed: number,
): QuantizedModule {
  const random = gaussian(seed);
  const entries = (count: number) =>
    Int16Array.from({ length: count }, () => quantize((random() * LARGEST) / RANGE));
  return {
    name,
    rank,
    inFeatures,
    outFeatures,
    a: entries(rank * inFeatures),
    aExponent: -18,
    bT: entries(rank * outFeatures),
    bExponent: -18,
    scaling: 2,
  };
}

/** Token rows with outlier channels, each quantised to its own largest entry. */
export function syntheticActivations(
  tokens: number,
  width: number,
  seed: number,
): { x: Int16Array; exponents: Int16Array } {
  const random = gaussian(seed);
  const x = new Int16Array(tokens * width);
  const row = new Float64Array(width);
  for (let token = 0; token < tokens; token++) {
    let largest = 0;
    for (let i = 0; i < width; i++) {
      row[i] = random() * (i % OUTLIER_EVERY === 0 ? OUTLIER_FACTOR : 1);
      largest = Math.max(largest, Math.abs(row[i]!));
    }
    for (let i = 0; i < width; i++) x[token * width + i] = quantize((row[i]! * LARGEST) / largest);
  }
  return { x, exponents: new Int16Array(tokens).fill(-12) };
}

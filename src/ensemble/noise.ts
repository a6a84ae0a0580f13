import { labelledSha256, u32 } from '../bytes.js';

const LABEL = 'zklora/ensemble/noise/v1';
/** Normal values of one hash: four pairs of 32-bit words. */
const PER_BLOCK = 8;

/**
 * Standard normal values from a seed, the same on every machine up to the last bit of the platform's logarithm and cosine:
 * SHA-256 in counter mode and the Box-Muller transform. Reproducible noise for samples, not a source of secrets.
 *
 * @param seed integer from 0 to 2^32 - 1
 */
export function gaussianNoise(seed: number, count: number): Float32Array<ArrayBuffer> {
  const noise = new Float32Array(count);
  for (let block = 0; block * PER_BLOCK < count; block += 1) {
    const bytes = labelledSha256(LABEL, u32(seed), u32(block));
    const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let pair = 0; pair < PER_BLOCK / 2; pair += 1) {
      const radius = Math.sqrt(-2 * Math.log((words.getUint32(8 * pair) + 0.5) / 2 ** 32));
      const angle = (2 * Math.PI * words.getUint32(8 * pair + 4)) / 2 ** 32;
      const at = block * PER_BLOCK + 2 * pair;
      // writes past the end of a typed array have no effect
      noise[at] = radius * Math.cos(angle);
      noise[at + 1] = radius * Math.sin(angle);
    }
  }
  return noise;
}

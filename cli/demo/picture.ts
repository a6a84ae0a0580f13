import { encode } from 'fast-png';

/** Pixels of the picture for one of a sample. */
const SCALE = 5;
/** Between samples, and between rows, in pixels of a sample. */
const GAP = 1;
const ROW_GAP = 2;
const PAPER = 96;

/** Frames of one size in rows: each frame row-major in [-1, 1]. */
export interface PictureRows {
  readonly rows: readonly (readonly Float32Array[])[];
  readonly height: number;
  readonly width: number;
}

/** A grid of frames as a grey PNG: -1 is black, 1 white. */
export function pictureOf({ rows, height, width }: PictureRows): Uint8Array {
  const columns = Math.max(...rows.map((row) => row.length));
  const wide = (columns * (width + GAP) + GAP) * SCALE;
  const high = (rows.length * (height + ROW_GAP) + ROW_GAP) * SCALE;
  const data = new Uint8Array(wide * high).fill(PAPER);
  for (const [r, row] of rows.entries()) {
    for (const [c, frame] of row.entries()) {
      const top = (r * (height + ROW_GAP) + ROW_GAP) * SCALE;
      const left = (c * (width + GAP) + GAP) * SCALE;
      for (let y = 0; y < height * SCALE; y += 1) {
        for (let x = 0; x < width * SCALE; x += 1) {
          const value = frame[Math.floor(y / SCALE) * width + Math.floor(x / SCALE)]!;
          data[(top + y) * wide + left + x] = Math.round((Math.min(1, Math.max(-1, value)) + 1) * 127.5);
        }
      }
    }
  }
  return encode({ width: wide, height: high, data, channels: 1, depth: 8 });
}

/** Frames of samples `[samples, frames, height, width]`, sample by sample. */
export function framesOf(
  samples: Float32Array,
  [frames, height, width]: readonly [number, number, number],
): Float32Array[][] {
  const size = height * width;
  return Array.from({ length: samples.length / (frames * size) }, (_, sample) =>
    Array.from({ length: frames }, (_, frame) => {
      const at = (sample * frames + frame) * size;
      return samples.subarray(at, at + size);
    }),
  );
}

import type { Engine } from './engine.js';
import type { JacobianPoint } from './randomStart.js';

/**
 * sum_w 2^(width w) windows[w], Jacobian; lowest first.
 *
 * @param library what the names of the library's functions begin with
 * @param bytes of a window's point
 */
export function joinWindows(
  engine: Engine,
  library: 'g1m' | 'g2m',
  windows: Uint8Array,
  bytes: number,
  width: number,
): JacobianPoint {
  return engine.sync(({ call, put, get }) => {
    const lowest = put(windows);
    const sum = lowest + windows.byteLength - bytes;
    for (let window = sum - bytes; window >= lowest; window -= bytes) {
      for (let bit = 0; bit < width; bit++) call[`${library}_double`]!(sum, sum);
      call[`${library}_add`]!(sum, window, sum);
    }
    return get(sum, bytes);
  });
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { placeColumns } from '../../src/adapter/placement.js';

describe('placeColumns', () => {
  it('stands inputs beside each other, wide ones first', () => {
    // 14 fills a lane but for 2; four inputs of 4 fill the next one; the fifth opens a third
    expect(placeColumns([4, 4, 14, 4, 4, 4, 2], 16, [])).toEqual([0, 4, 0, 8, 12, 0, 14]);
  });

  it('gives modules with one input one offset', () => {
    expect(placeColumns([8, 8, 8, 8], 16, [[0, 2], [1]])).toEqual([0, 8, 0, 0]);
  });

  it('keeps every place inside the domain and inputs of one lane apart', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 40 }), (widths) => {
        const offsets = placeColumns(widths, 64, []);
        const depth = new Array<number>(64).fill(0);
        widths.forEach((width, i) => {
          expect(offsets[i]! + width).toBeLessThanOrEqual(64);
          for (let at = offsets[i]!; at < offsets[i]! + width; at++) depth[at]! += 1;
        });
        const lanes = Math.max(...depth);
        const fewest = Math.ceil(widths.reduce((sum, width) => sum + width, 0) / 64);
        expect(lanes).toBeLessThanOrEqual(Math.floor((11 * optimum(widths)) / 9) + 1);
        expect(lanes).toBeGreaterThanOrEqual(fewest);
      }),
    );
  });
});

/** At most what first fit in the given order needs, at least the total width. */
function optimum(widths: readonly number[]): number {
  const lanes: number[] = [];
  for (const width of widths) {
    const at = lanes.findIndex((fill) => fill + width <= 64);
    if (at === -1) lanes.push(width);
    else lanes[at]! += width;
  }
  return lanes.length;
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lanesOf } from '../../src/protocol/lanes.js';
import { laneValues } from '../reference/checkProof.js';

const module = (input: number, columnOffset: number, inFeatures: number, index = 0) => ({
  index,
  rank: 1,
  inFeatures,
  outFeatures: 3,
  columnOffset,
  input,
});

describe('lanesOf', () => {
  it('puts disjoint places into one lane, by offset', () => {
    expect(lanesOf([module(0, 8, 8), module(1, 0, 8)])).toEqual([
      [
        { input: 1, offset: 0, positions: [1] },
        { input: 0, offset: 8, positions: [0] },
      ],
    ]);
  });

  it('orders places of one offset by their input', () => {
    for (const inputs of [
      [2, 1, 0],
      [1, 0, 2],
    ]) {
      const lanes = lanesOf(inputs.map((input) => module(input, 4, 3)));
      expect(lanes.map((places) => places.map(({ input }) => input))).toEqual([[0], [1], [2]]);
    }
  });

  it('opens a lane for a place that overlaps by one index', () => {
    expect(lanesOf([module(0, 0, 9), module(1, 8, 8)])).toHaveLength(2);
  });

  it('counts an input once where several modules read it, and twice at two offsets', () => {
    expect(lanesOf([module(0, 0, 4), module(0, 0, 4), module(0, 4, 4)])).toEqual([
      [
        { input: 0, offset: 0, positions: [0, 1] },
        { input: 0, offset: 4, positions: [2] },
      ],
    ]);
  });

  it('uses as few lanes as places overlap anywhere, each place once, and agrees with the second verifier', () => {
    const inputs = fc.array(
      fc.record({ offset: fc.integer({ min: 0, max: 30 }), width: fc.integer({ min: 1, max: 20 }) }),
      { minLength: 1, maxLength: 12 },
    );
    fc.assert(
      fc.property(inputs, (list) => {
        const modules = list.map(({ offset, width }, i) => module(i, offset, width, i));
        const lanes = lanesOf(modules);
        const depth = Array.from(
          { length: 50 },
          (_, at) => list.filter(({ offset, width }) => offset <= at && at < offset + width).length,
        );
        expect(lanes).toHaveLength(Math.max(...depth));
        expect(
          lanes
            .flat()
            .flatMap(({ positions }) => positions)
            .sort((a, b) => a - b),
        ).toEqual(list.map((_, i) => i));
        const own = (position: number) => 2n ** BigInt(position);
        const expected = modules.map((_, position) => {
          const lane = lanes.find((places) => places.some(({ positions }) => positions.includes(position)))!;
          return lane.reduce((sum, { positions }) => sum + own(positions[0]!), 0n);
        });
        expect(laneValues(modules, ({ index }) => own(index))).toEqual(expected);
      }),
    );
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { firstBlockSince } from '../../src/settlement/blockSearch.js';

describe('firstBlockSince', () => {
  it('finds what a walk over all blocks finds', async () => {
    const steps = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 70 });
    await fc.assert(
      fc.asyncProperty(steps, fc.integer({ min: -3, max: 300 }), async (gaps, wanted) => {
        let time = 0;
        const times = gaps.map((gap) => {
          time += gap;
          return time;
        });
        const walked = times.findIndex((each) => each >= wanted);
        const found = await firstBlockSince(BigInt(wanted), BigInt(times.length - 1), async (block) => {
          expect(block).toBeGreaterThanOrEqual(0n);
          return BigInt(times[Number(block)]!);
        });
        expect(found).toBe(BigInt(walked === -1 ? times.length : walked));
      }),
    );
  });

  it('asks for a few headers near the head of a long chain', async () => {
    const head = 20_000_000n;
    const asked: bigint[] = [];
    const found = await firstBlockSince((head - 5000n) * 12n, head, async (block) => {
      asked.push(block);
      return block * 12n;
    });
    expect(found).toBe(head - 5000n);
    expect(asked.length).toBeLessThan(30);
    expect(asked.every((block) => block > head - 10_000n)).toBe(true);
  });
});

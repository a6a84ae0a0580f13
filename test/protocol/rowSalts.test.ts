import { describe, expect, it } from 'vitest';
import { bytesToHex } from '../../src/bytes.js';
import { RowSalts } from '../../src/protocol/rowSalts.js';
import { expectRefused } from './refused.js';

describe('the salts of rows', () => {
  const seed = new Uint8Array(32).fill(5);

  it('differ from leaf to leaf, in any order and up to the last block', () => {
    const salts = new RowSalts(seed);
    const leaves = [0, 1, 127, 128, 2 ** 32, 2 ** 39 - 1];
    const found = leaves.map((leaf) => bytesToHex(salts.of(leaf)));
    expect(new Set(found).size).toBe(leaves.length);
    expect(leaves.toReversed().map((leaf) => bytesToHex(salts.of(leaf)))).toEqual(found.toReversed());
    // whichever is asked for first
    const alone = (leaf: number) => bytesToHex(new RowSalts(seed).of(leaf));
    expect(leaves.map(alone)).toEqual(found);
  });

  it('are refused for a leaf that no session has, and a seed of another length', async () => {
    const salts = new RowSalts(seed);
    for (const leaf of [-1, 0.5, 2 ** 39, Number.NaN, Number.POSITIVE_INFINITY]) {
      await expectRefused(
        async () => salts.of(leaf),
        'SESSION_MALFORMED',
        /a session has rows 0 to 549755813887, not/,
      );
    }
    await expectRefused(async () => new RowSalts(seed.slice(1)), 'SESSION_MALFORMED', /32 bytes/);
  });
});

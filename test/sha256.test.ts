import { sha256 } from '@noble/hashes/sha2.js';
import { describe, expect, it } from 'vitest';
import { createSha256, sha256Of } from '../src/sha256.js';

describe('sha256', () => {
  it('is the one of noble-hashes, in one piece and in many', () => {
    for (const length of [0, 1, 55, 56, 63, 64, 65, 1000]) {
      const data = Uint8Array.from({ length }, (_, i) => (i * 7919) & 255);
      expect(sha256Of(data)).toEqual(sha256(data));
      const stream = createSha256();
      for (let at = 0; at < length; at += 13) stream.update(data.subarray(at, at + 13));
      expect(stream.digest()).toEqual(sha256(data));
    }
  });

  it('hashes a view, not its whole buffer', () => {
    const words = Uint16Array.of(1, 2, 3, 4);
    const view = new Uint8Array(words.buffer, 2, 4);
    expect(sha256Of(view)).toEqual(sha256(Uint8Array.of(2, 0, 3, 0)));
  });
});

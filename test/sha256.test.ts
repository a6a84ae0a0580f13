import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { describe, expect, it } from 'vitest';
import { createSha256, HmacSha256, sha256Of, sha256OfParts } from '../src/sha256.js';

describe('sha256', () => {
  it('is the one of noble-hashes, in one piece and in many', () => {
    for (const length of [0, 1, 55, 56, 63, 64, 65, 1000]) {
      const data = Uint8Array.from({ length }, (_, i) => (i * 7919) & 255);
      expect(sha256Of(data)).toEqual(sha256(data));
      const stream = createSha256();
      for (let at = 0; at < length; at += 13) stream.update(data.subarray(at, at + 13));
      expect(stream.digest()).toEqual(sha256(data));
      expect(sha256OfParts(data.subarray(0, 20), data.subarray(20))).toEqual(sha256(data));
    }
  });

  it('hashes a view, not its whole buffer', () => {
    const words = Uint16Array.of(1, 2, 3, 4);
    const view = new Uint8Array(words.buffer, 2, 4);
    expect(sha256Of(view)).toEqual(sha256(Uint8Array.of(2, 0, 3, 0)));
  });
});

describe('HMAC-SHA256', () => {
  it('is the one of noble-hashes, for keys around a block and messages in parts', () => {
    for (const keyLength of [0, 1, 32, 63, 64, 65, 200]) {
      const key = Uint8Array.from({ length: keyLength }, (_, i) => (i * 31 + 7) & 255);
      for (const lengths of [[], [0], [5, 0, 60], [32, 64, 1]]) {
        const parts = lengths.map((length, k) => Uint8Array.from({ length }, (_, i) => (i * 13 + k) & 255));
        expect(new HmacSha256(key).of(...parts)).toEqual(hmac(sha256, key, concatBytes(...parts)));
      }
    }
  });

  it('is that of RFC 4231, cases 1, 2 and 6', () => {
    const cases: [Uint8Array, Uint8Array, string][] = [
      [
        new Uint8Array(20).fill(0x0b),
        utf8ToBytes('Hi There'),
        'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
      ],
      [
        utf8ToBytes('Jefe'),
        utf8ToBytes('what do ya want for nothing?'),
        '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
      ],
      [
        new Uint8Array(131).fill(0xaa),
        utf8ToBytes('Test Using Larger Than Block-Size Key - Hash Key First'),
        '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
      ],
    ];
    for (const [key, message, digest] of cases)
      expect(bytesToHex(new HmacSha256(key).of(message))).toBe(digest);
  });
});

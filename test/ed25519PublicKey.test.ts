import { ed25519 } from '@noble/curves/ed25519.js';
import { describe, expect, it } from 'vitest';
import { bytesToHex, hexToBytes } from '../src/bytes.js';
import { signEnvelope } from '../src/checkpoint/dsse.js';
import { ed25519PublicKey } from '../src/ed25519PublicKey.js';
import { keyPairFromSeed } from '../src/inference/signatures.js';

describe('ed25519PublicKey', () => {
  it('is that of RFC 8032, test 1', () => {
    const seed = hexToBytes('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60');
    expect(bytesToHex(ed25519PublicKey(seed))).toBe(
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    );
  });

  it('is the portable implementation’s for any seed, and leaves the seed as it was', () => {
    for (let i = 0; i < 8; i++) {
      const seed = new Uint8Array(32).fill(i === 0 ? 0 : 255 - i);
      const before = seed.slice();
      expect(ed25519PublicKey(seed)).toEqual(ed25519.getPublicKey(seed));
      expect(seed).toEqual(before);
    }
  });

  it.each([0, 31, 33, 64])('refuses a seed of %i bytes, as the portable implementation does', (length) => {
    const seed = new Uint8Array(length).fill(1);
    expect(() => ed25519PublicKey(seed)).toThrow(RangeError);
    expect(() => keyPairFromSeed(seed)).toThrow(RangeError);
    expect(() => signEnvelope(new Uint8Array(1), [seed])).toThrow(RangeError);
  });

  it('refuses text of 32 characters', () => {
    const text = 'x'.repeat(32) as unknown as Uint8Array;
    expect(() => ed25519PublicKey(text)).toThrow(TypeError);
  });
});

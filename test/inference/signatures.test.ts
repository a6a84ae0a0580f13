import { describe, expect, it } from 'vitest';
import { bytesToHex, hexToBytes } from '../../src/bytes.js';
import {
  closingMessage,
  generateKeyPair,
  isSignedBy,
  keyPairFromSeed,
  openingMessage,
  sign,
} from '../../src/inference/signatures.js';
import { header } from './parties.js';

describe('signatures', () => {
  it('are Ed25519 (RFC 8032, section 7.1, test 3)', () => {
    const pair = keyPairFromSeed(
      hexToBytes('c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7'),
    );
    expect(bytesToHex(pair.publicKey)).toBe(
      'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    );
    expect(bytesToHex(sign(hexToBytes('af82'), pair.secretKey))).toBe(
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
    );
  });

  it('hold for one message and one key, and never throw', () => {
    const [alice, bob] = [generateKeyPair(), generateKeyPair()];
    const message = openingMessage(header());
    const signature = sign(message, alice.secretKey);
    expect(isSignedBy(signature, message, alice.publicKey)).toBe(true);
    expect(isSignedBy(signature, message, bob.publicKey)).toBe(false);
    expect(isSignedBy(signature, closingMessage(message), alice.publicKey)).toBe(false);
    expect(isSignedBy(signature.subarray(1), message, alice.publicKey)).toBe(false);
    expect(isSignedBy(signature, message, new Uint8Array(32).fill(255))).toBe(false);
    expect(isSignedBy(new Uint8Array(), message, new Uint8Array())).toBe(false);
  });

  it('bind every field of the header', () => {
    const base = bytesToHex(openingMessage(header()));
    for (const field of ['adapterId', 'contributorKey', 'userKey', 'nonce'] as const) {
      expect(bytesToHex(openingMessage({ ...header(), [field]: 'ff'.repeat(32) }))).not.toBe(base);
    }
    expect(bytesToHex(openingMessage({ ...header(), inputs: [[0], [1], [2]] }))).not.toBe(base);
  });
});

import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { R } from '../../src/algebra/index.js';
import { Transcript } from '../../src/protocol/transcript.js';

/** The definition of docs/protocol.md once more, on Node's SHA-256. */
class Reference {
  state: Buffer;
  constructor(protocol: string) {
    this.state = this.hash(Buffer.of(0), Buffer.from(protocol));
  }
  hash(...parts: Buffer[]): Buffer {
    return createHash('sha256').update(Buffer.concat(parts)).digest();
  }
  frame(kind: number, label: string): Buffer {
    return Buffer.concat([Buffer.of(kind), this.state, Buffer.of(label.length), Buffer.from(label)]);
  }
  absorb(label: string, data: Buffer): void {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(data.length);
    this.state = this.hash(this.frame(1, label), length, data);
  }
  challenge(label: string): bigint {
    const wide = [0, 1].map((half) => this.hash(this.frame(2, label), Buffer.of(half)));
    this.state = this.hash(this.frame(3, label));
    return BigInt(`0x${Buffer.concat(wide).toString('hex')}`) % R;
  }
}

describe('transcript', () => {
  it('follows its definition', () => {
    const own = new Transcript('zklora/proof/v1');
    const reference = new Reference('zklora/proof/v1');
    for (const [label, data] of [
      ['a', ''],
      ['session', 'some bytes'],
      ['a', '\u0000'],
    ] as const) {
      own.absorb(label, Buffer.from(data));
      reference.absorb(label, Buffer.from(data));
      expect(own.challenge(label)).toBe(reference.challenge(label));
    }
    expect(own.challenge('x')).toBe(reference.challenge('x'));
  });

  it('has not changed: vector', () => {
    const transcript = new Transcript('zklora/proof/v1');
    transcript.absorb('parameters', new Uint8Array(32).fill(1));
    const u = transcript.challenge('u');
    const v = transcript.challenge('v');
    expect([u, v].map((scalar) => scalar.toString(16))).toMatchInlineSnapshot(`
      [
        "13100d144eb94fad5b67d3800e775cb966957af7dc694eedb1ad6de7cf2b3c8f",
        "176c9f94ae8d67bd6748c3fbcfae8ec0804e64589f41fec3b7e13b080e860299",
      ]
    `);
  });

  it('separates label from data and item from item', () => {
    const draws = [
      (t: Transcript) => t.absorb('ab', Uint8Array.of(99)),
      (t: Transcript) => t.absorb('abc', Uint8Array.of()),
      (t: Transcript) => t.absorb('a', Uint8Array.of(98, 99)),
      (t: Transcript) => {
        t.absorb('a', Uint8Array.of(98));
        t.absorb('a', Uint8Array.of(99));
      },
      (t: Transcript) => t.challenge('ab'),
    ].map((step) => {
      const transcript = new Transcript('p');
      step(transcript);
      return transcript.challenge('x');
    });
    expect(new Set(draws).size).toBe(draws.length);
  });

  it('draws again until the test passes, from an advanced state', () => {
    const plain = new Transcript('p');
    const first = plain.challenge('z');
    const second = plain.challenge('z');
    const picky = new Transcript('p');
    expect(picky.challengeWhere('z', (scalar) => scalar !== first)).toBe(second);
  });
});

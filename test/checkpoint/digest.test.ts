import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { proveInclusion, verifyInclusion } from '../../src/checkpoint/digest.js';
import {
  type Checkpoint,
  checkpointDigest,
  compareUtf8,
  type TensorDigest,
} from '../../src/checkpoint/index.js';
import { parseTensorProof, proveTensor, verifyTensor } from '../../src/checkpoint/tensorProof.js';
import { accepts, refusal } from '../adapter/refusal.js';
import { digestOf } from './lineageBuilder.js';

/** The definition of docs/lineage.md, recursive as RFC 9162, section 2.1.1, writes it. */
function reference(tensors: readonly TensorDigest[]): string {
  const hash = (label: string, ...parts: Buffer[]) =>
    createHash('sha256').update(`${label}\0`).update(Buffer.concat(parts)).digest();
  const leaf = ({ name, dtype, shape, sha256 }: TensorDigest) =>
    hash(
      'zklora/checkpoint/leaf/v1',
      Buffer.from(
        `{"dtype":"${dtype}","name":${JSON.stringify(name)},"sha256":"${sha256}","shape":[${shape.join(',')}]}`,
      ),
    );
  const head = (leaves: Buffer[]): Buffer => {
    if (leaves.length === 0) return hash('zklora/checkpoint/empty/v1');
    if (leaves.length === 1) return leaves[0]!;
    const half = 2 ** Math.ceil(Math.log2(leaves.length) - 1);
    return hash('zklora/checkpoint/node/v1', head(leaves.slice(0, half)), head(leaves.slice(half)));
  };
  const sorted = [...tensors].sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  const count = Buffer.alloc(4);
  count.writeUInt32BE(sorted.length);
  return hash('zklora/checkpoint/v1', count, head(sorted.map(leaf))).toString('hex');
}

const names = fc.uniqueArray(
  fc.oneof(fc.string({ unit: 'grapheme', maxLength: 8 }), fc.stringMatching(/^h\.\d\.[ab]$/)),
  {
    maxLength: 20,
  },
);
const listings = names.map((list) =>
  list.map(
    (name, i): TensorDigest => ({
      name,
      dtype: i % 2 ? 'F32' : 'BF16',
      shape: [i, 2],
      sha256: digestOf(`${name}${i}`),
    }),
  ),
);
const one: TensorDigest = { name: 'w', dtype: 'F32', shape: [2, 3], sha256: digestOf('data') };

describe('checkpointDigest', () => {
  it('is what the definition says, in any order of tensors', () => {
    fc.assert(
      fc.property(listings, (tensors) => {
        expect(checkpointDigest(tensors)).toBe(reference(tensors));
        expect(checkpointDigest([...tensors].reverse())).toBe(reference(tensors));
      }),
    );
  });

  it('has fixed values', () => {
    // worked out with hashlib from the definition
    expect(checkpointDigest([])).toBe('0d6aad22527cc2161508991a690edc8f3aa021e26206d13fe44c25a9f234da91');
    expect(checkpointDigest([one])).toBe('d81033de1b745d56928c4754a206d7a495763aa5affe1579582d2f9386f0992f');
  });

  it('changes with every name, dtype, dimension and data digest', () => {
    const digest = checkpointDigest([one]);
    for (const change of [
      { name: 'v' },
      { dtype: 'I32' as const },
      { shape: [3, 2] },
      { sha256: digestOf('x') },
    ]) {
      expect(checkpointDigest([{ ...one, ...change }])).not.toBe(digest);
    }
    expect(checkpointDigest([one, { ...one, name: 'x' }])).not.toBe(digest);
  });

  it('refuses two tensors of one name', () => {
    expect(refusal(() => checkpointDigest([one, one])).code).toBe('CHECKPOINT_MALFORMED');
  });

  it('orders names by code point, not by UTF-16 unit', () => {
    expect(compareUtf8('\u{1f600}', '\uff5e')).toBeGreaterThan(0);
    expect(compareUtf8('a', 'ab')).toBeLessThan(0);
    expect(compareUtf8('a', 'a')).toBe(0);
  });
});

describe('inclusion proofs', () => {
  it('verify for every tensor of every size, and for no other tensor, place or digest', () => {
    fc.assert(
      fc.property(listings, (tensors) => {
        const digest = checkpointDigest(tensors);
        for (const { name } of tensors) {
          const { tensor, ...inclusion } = proveInclusion(tensors, name);
          expect(verifyInclusion(digest, tensor, inclusion)).toBe(true);
          expect(verifyInclusion(digest, { ...tensor, sha256: digestOf('other') }, inclusion)).toBe(false);
          expect(verifyInclusion(digestOf('other'), tensor, inclusion)).toBe(false);
          for (const change of [-1, 1]) {
            expect(verifyInclusion(digest, tensor, { ...inclusion, index: inclusion.index + change })).toBe(
              false,
            );
            expect(verifyInclusion(digest, tensor, { ...inclusion, count: inclusion.count + change })).toBe(
              false,
            );
          }
          expect(
            verifyInclusion(digest, tensor, { ...inclusion, path: [...inclusion.path, digestOf('p')] }),
          ).toBe(false);
          if (inclusion.path.length > 0) {
            expect(verifyInclusion(digest, tensor, { ...inclusion, path: inclusion.path.slice(1) })).toBe(
              false,
            );
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  it('have a file form that is read strictly', () => {
    const container: Checkpoint['container'] = 'safetensors';
    const tensors = [one, { ...one, name: 'x' }];
    const checkpoint = { digest: checkpointDigest(tensors), container, tensors, bytes: 0 };
    const proof = proveTensor(checkpoint, 'x');
    const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
    expect(parseTensorProof(bytes(proof))).toEqual(proof);
    expect(verifyTensor(proof, checkpoint.digest)).toBe(true);
    // the digest that the proof itself names is not what is trusted
    expect(verifyTensor(proof, digestOf('pinned'))).toBe(false);
    expect(refusal(() => proveTensor(checkpoint, 'y')).code).toBe('USAGE');
    for (const change of [
      { extra: 1 },
      { count: -1 },
      { path: ['00'] },
      { format: 'v2' },
      { tensor: null },
    ]) {
      expect(refusal(() => parseTensorProof(bytes({ ...proof, ...change }))).code).toBe(
        'CHECKPOINT_MALFORMED',
      );
    }
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(accepts('CHECKPOINT_MALFORMED', () => parseTensorProof(new TextEncoder().encode(text)))).toBe(
          false,
        );
      }),
    );
  });
});

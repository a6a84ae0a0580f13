import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concatBytes, utf8ToBytes } from '../../src/bytes.js';
import { parseBinFile, serializeBinFile } from '../../src/circuit/binfile.js';
import { codeOf } from './helpers.js';

const parse = (bytes: Uint8Array) => parseBinFile(bytes, 'zkey', 1, 'PARAMETERS_MALFORMED');
const sample = serializeBinFile('zkey', 1, [
  { id: 2, data: Uint8Array.of(1, 2, 3) },
  { id: 1, data: new Uint8Array() },
]);

function u32At(at: number, value: number): Uint8Array {
  const copy = sample.slice();
  new DataView(copy.buffer).setUint32(at, value, true);
  return copy;
}

describe('iden3 container', () => {
  test('bytes of a small file', () => {
    expect(sample).toEqual(
      concatBytes(
        utf8ToBytes('zkey'),
        Uint8Array.of(1, 0, 0, 0, 2, 0, 0, 0),
        Uint8Array.of(2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3),
        Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
      ),
    );
  });

  test('sections come back by id, also from the middle of a larger buffer', () => {
    const framed = concatBytes(new Uint8Array(5), sample, new Uint8Array(3)).subarray(5, 5 + sample.length);
    for (const bytes of [sample, framed]) {
      const sections = parse(bytes);
      expect([...sections.keys()]).toEqual([2, 1]);
      expect(sections.get(2)).toEqual(Uint8Array.of(1, 2, 3));
      expect(sections.get(1)).toHaveLength(0);
    }
  });

  test.each([
    ['empty', new Uint8Array()],
    ['header only in part', sample.slice(0, 11)],
    ['another kind', concatBytes(utf8ToBytes('ptau'), sample.slice(4))],
    ['version 0', u32At(4, 0)],
    ['a later version', u32At(4, 2)],
    ['a section too many declared', u32At(8, 3)],
    ['a section too few declared', u32At(8, 1)],
    ['2^32 - 1 sections declared', u32At(8, 0xffffffff)],
    ['17 sections declared', u32At(8, 17)],
    ['a section longer than the file', u32At(16, 100)],
    ['a section of 2^32 bytes', u32At(20, 1)],
    [
      'a section of 2^64 - 1 bytes',
      (() => {
        const copy = u32At(16, 0xffffffff);
        new DataView(copy.buffer).setUint32(20, 0xffffffff, true);
        return copy;
      })(),
    ],
    ['a section shorter than it is', u32At(16, 2)],
    ['an id twice', u32At(27, 2)],
    ['truncated in a section header', sample.slice(0, -1)],
    ['truncated in a section', sample.slice(0, 26)],
    ['trailing byte', concatBytes(sample, new Uint8Array(1))],
  ])('refuses: %s', async (_, bytes) => {
    expect(await codeOf(() => parse(bytes))).toBe('PARAMETERS_MALFORMED');
  });

  test('uses the code of the caller', async () => {
    expect(await codeOf(() => parseBinFile(sample, 'wtns', 2, 'INTERNAL'))).toBe('INTERNAL');
  });

  test('what was written is read, for any sections', () => {
    const section = fc.tuple(fc.nat(20), fc.uint8Array({ maxLength: 40 }));
    fc.assert(
      fc.property(fc.uniqueArray(section, { maxLength: 16, selector: ([id]) => id }), (entries) => {
        const bytes = serializeBinFile(
          'zkey',
          1,
          entries.map(([id, data]) => ({ id, data })),
        );
        expect([...parse(bytes)]).toEqual(entries);
      }),
      { seed: 1 },
    );
  });

  test('arbitrary bytes behind a right header never break it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), async (tail) => {
        const code = await codeOf(() => parse(concatBytes(sample.slice(0, 8), tail)));
        expect(['PARAMETERS_MALFORMED', 'no error']).toContain(code);
      }),
      { seed: 2, numRuns: 500 },
    );
  });
});

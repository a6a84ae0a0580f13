import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  adapterId,
  parseAdapterCommitment,
  serializeAdapterCommitment,
} from '../../src/adapter/commitment.js';
import type { AdapterCommitment } from '../../src/adapter/types.js';
import { accepts, refusal } from './refusal.js';
import { sampleCommitment, sampleModule } from './sample.js';

const parse = (value: unknown) => parseAdapterCommitment(JSON.stringify(value));

describe('parseAdapterCommitment', () => {
  it('reads what serializeAdapterCommitment writes', () => {
    const commitment = sampleCommitment({
      domainSize: 1024,
      modules: [
        sampleModule(),
        sampleModule({ name: 'h.1-x.a_b', inFeatures: 1024, outFeatures: 1024, scaling: 16 / Math.sqrt(8) }),
      ],
    });
    const text = serializeAdapterCommitment(commitment);
    expect(text.endsWith('}\n')).toBe(true);
    expect(parseAdapterCommitment(text)).toEqual(commitment);
    expect(adapterId(parseAdapterCommitment(text))).toBe(adapterId(commitment));
  });

  it('keeps a registration proof, which is no part of the id', () => {
    const commitment = sampleCommitment({ registrationProof: 'ab'.repeat(20_000) });
    expect(parse(commitment)).toEqual(commitment);
    expect(adapterId(commitment)).toBe(adapterId(sampleCommitment()));
  });

  const point = '01'.repeat(64);
  it.each<[string, object]>([
    ['another format', { format: 'zklora/adapter/v2' }],
    ['an unknown field', { extra: 1 }],
    ['a missing field', { salt: undefined }],
    ['upper-case hex', { salt: 'AA'.repeat(32) }],
    ['a short digest', { baseDigest: '3'.repeat(63) }],
    ['a long key', { contributorKey: '2'.repeat(65) }],
    ['a digest with a newline', { parametersId: `${'1'.repeat(64)}\n` }],
    ['a lineage that is null', { lineageDigest: null }],
    ['a registration proof that is no text', { registrationProof: {} }],
    ['an empty registration proof', { registrationProof: '' }],
    ['a registration proof with half a byte', { registrationProof: 'abc' }],
    ['an upper-case registration proof', { registrationProof: 'AB' }],
    ['a registration proof with a newline', { registrationProof: 'ab\n' }],
    ['a large registration proof', { registrationProof: 'ab'.repeat(20_001) }],
    ['no registration proof field', { registrationProof: undefined }],
    ['a domain that is no power of two', { domainSize: 768 }],
    ['a domain below 512', { domainSize: 256, modules: [sampleModule({ inFeatures: 4 })] }],
    ['a domain above 2^20', { domainSize: 2 ** 21 }],
    ['a fractional domain', { domainSize: 512.5 }],
    ['no modules', { modules: [] }],
    ['modules that are no list', { modules: { 0: sampleModule() } }],
    ['a module named twice', { modules: [sampleModule(), sampleModule()] }],
    [
      'too many modules',
      { modules: Array.from({ length: 4097 }, (_, i) => sampleModule({ name: `h.${i}` })) },
    ],
  ])('refuses %s', (_, change) => {
    expect(refusal(() => parse({ ...sampleCommitment(), ...change })).code).toBe('COMMITMENT_MALFORMED');
  });

  it.each<[string, object]>([
    ['an empty name', { name: '' }],
    ['a name with a space', { name: 'h 0' }],
    ['a name with an empty part', { name: 'h..0' }],
    ['a name that is not ASCII', { name: 'h\u00e9' }],
    ['a long name', { name: 'h'.repeat(257) }],
    ['rank 0', { rank: 0, aRows: [], bColumns: [] }],
    ['a rank above the points', { rank: 3 }],
    ['a rank below the points', { rank: 1 }],
    ['a fractional rank', { rank: 2.5 }],
    ['a rank above 4095', { rank: 4096, aRows: Array(4096).fill(point), bColumns: Array(4096).fill(point) }],
    ['too few points of B', { bColumns: [point] }],
    ['a short point', { aRows: [point, point.slice(2)] }],
    ['a point with a prefix', { aRows: [point, `0x${point.slice(2)}`] }],
    ['more inputs than places', { inFeatures: 513 }],
    ['more outputs than places', { outFeatures: 513 }],
    ['no inputs', { inFeatures: 0 }],
    ['negative outputs', { outFeatures: -3 }],
    ['rows of A that leave the domain', { columnOffset: 1 }],
    ['a negative column offset', { columnOffset: -1 }],
    ['a fractional column offset', { columnOffset: 0.5 }],
    ['an exponent too low', { aExponent: -164 }],
    ['an exponent too high', { bExponent: 118 }],
    ['a fractional exponent', { aExponent: 0.5 }],
    ['a scaling of zero', { scaling: 0 }],
    ['a huge scaling', { scaling: 1e300 }],
    ['a scaling that is text', { scaling: '2' }],
    ['an unknown field', { secret: 1 }],
  ])('refuses a module with %s', (_, change) => {
    const commitment = sampleCommitment({ modules: [{ ...sampleModule(), ...change }] });
    expect(refusal(() => parse(commitment)).code).toBe('COMMITMENT_MALFORMED');
  });

  it('refuses ranks that sum to too much', () => {
    const rows = Array<string>(4095).fill(point);
    const modules = Array.from({ length: 17 }, (_, i) =>
      sampleModule({ name: `h.${i}`, rank: 4095, aRows: rows, bColumns: rows }),
    );
    expect(parse(sampleCommitment({ modules: modules.slice(0, 2) })).modules.length).toBe(2);
    expect(refusal(() => parse(sampleCommitment({ modules }))).code).toBe('COMMITMENT_MALFORMED');
  });

  it.each([
    [''],
    ['null'],
    ['[]'],
    ['{"format":1,"format":2}'],
    ['{"__proto__":1}'],
    [' '.repeat(2 ** 25 + 1)],
  ])('refuses text that is no such object', (text) => {
    expect(refusal(() => parseAdapterCommitment(text)).code).toBe('COMMITMENT_MALFORMED');
  });

  it('refuses a repeated field even where both values are right', () => {
    const text = serializeAdapterCommitment(sampleCommitment());
    const repeated = text.replace('"rank": 2', '"rank": 2, "rank": 2');
    expect(refusal(() => parseAdapterCommitment(repeated)).code).toBe('COMMITMENT_MALFORMED');
  });

  it('parses or refuses with the one code, whatever is edited', () => {
    const text = serializeAdapterCommitment(sampleCommitment());
    const id = adapterId(sampleCommitment());
    fc.assert(
      fc.property(
        fc.nat({ max: text.length }),
        fc.nat({ max: 3 }),
        fc.string({ maxLength: 3 }),
        (at, cut, put) => {
          const edited = text.slice(0, at) + put + text.slice(at + cut);
          let parsed: AdapterCommitment | undefined;
          const accepted = accepts('COMMITMENT_MALFORMED', () => {
            parsed = parseAdapterCommitment(edited);
          });
          // What still parses is either the same statement in another layout or has another id.
          if (accepted && parsed) {
            const same = JSON.stringify(parsed) === JSON.stringify(sampleCommitment());
            expect(adapterId(parsed) === id).toBe(same);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('adapterId', () => {
  it('is the labelled SHA-256 of the canonical JSON without the registration proof', () => {
    const point = (byte: string) => `"${byte.repeat(64)}"`;
    const canonical =
      `{"baseDigest":"${'33'.repeat(32)}","contributorKey":"${'22'.repeat(32)}","domainSize":512,` +
      `"format":"zklora/adapter/v1","lineageDigest":"${'00'.repeat(32)}","modules":[{"aExponent":-20,` +
      `"aRows":[${point('01')},${point('02')}],"bColumns":[${point('03')},${point('04')}],"bExponent":-18,` +
      `"columnOffset":0,"inFeatures":512,"name":"h.0.attn","outFeatures":3,"rank":2,"scaling":2}],` +
      `"parametersId":"${'11'.repeat(32)}","salt":"${'44'.repeat(32)}"}`;
    const expected = createHash('sha256').update(`zklora/adapter/v1\0${canonical}`).digest('hex');
    expect(adapterId(sampleCommitment())).toBe(expected);
  });

  it('does not depend on the order of fields', () => {
    const reversed = Object.fromEntries(Object.entries(sampleCommitment()).reverse());
    expect(adapterId(reversed as unknown as AdapterCommitment)).toBe(adapterId(sampleCommitment()));
  });

  it('changes with every other field', () => {
    const other = '55'.repeat(32);
    const changes: Partial<AdapterCommitment>[] = [
      { parametersId: other },
      { contributorKey: other },
      { baseDigest: other },
      { lineageDigest: other },
      { salt: other },
      { domainSize: 1024 },
      ...[
        { name: 'h.1.attn' },
        { inFeatures: 511 },
        { outFeatures: 4 },
        { aExponent: -21 },
        { bExponent: -17 },
        { scaling: 2.0000000000000004 },
        { aRows: ['02'.repeat(64), '01'.repeat(64)] },
        { bColumns: ['03'.repeat(64), '05'.repeat(64)] },
      ].map((change) => ({ modules: [sampleModule(change)] })),
      { modules: [sampleModule(), sampleModule({ name: 'z' })] },
      { modules: [sampleModule({ name: 'z' }), sampleModule()] },
    ];
    const ids = [sampleCommitment(), ...changes.map(sampleCommitment)].map(adapterId);
    expect(new Set(ids).size).toBe(changes.length + 1);
  });
});

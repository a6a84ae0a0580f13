import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DTYPE_BYTES, type Dtype } from '../../src/adapter/dtype.js';
import { parseSafetensors, serializeSafetensors, type Tensor } from '../../src/adapter/safetensors.js';
import { concatBytes } from '../../src/bytes.js';
import { accepts, refusal } from './refusal.js';

/** A file with this header text and data, and a header length that may lie. */
function file(header: string | object, data = 0, headerLength?: number): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(headerLength ?? text.length), true);
  return concatBytes(length, text, new Uint8Array(data));
}

const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
});

function messageFor(bytes: Uint8Array): string {
  const error = refusal(() => parseSafetensors(bytes));
  expect(error.code).toBe('SAFETENSORS_MALFORMED');
  return error.message;
}

describe('parseSafetensors', () => {
  it('reads a file built by hand from the format page', () => {
    const header = '{"__metadata__":{"format":"pt"},"w":{"dtype":"I16","shape":[1,2],"data_offsets":[0,4]}}';
    const bytes = concatBytes(file(`${header}   `), Uint8Array.of(1, 0, 0xff, 0xff));
    const { tensors, metadata } = parseSafetensors(bytes);
    expect(metadata).toEqual({ format: 'pt' });
    expect([...tensors]).toEqual([
      ['w', { dtype: 'I16', shape: [1, 2], data: Uint8Array.of(1, 0, 0xff, 0xff) }],
    ]);
  });

  it('reads scalars, empty tensors and tensors in any order', () => {
    const { tensors } = parseSafetensors(
      file({ b: f32(4, 12), a: f32(0, 4, []), none: f32(4, 4, [0, 7]), last: f32(12, 12, [0]) }, 12),
    );
    expect([...tensors.keys()]).toEqual(['b', 'a', 'none', 'last']);
    expect(tensors.get('a')?.data.length).toBe(4);
    expect(parseSafetensors(file('{}')).tensors.size).toBe(0);
  });

  it('refuses a header length that lies', () => {
    expect(messageFor(new Uint8Array(7))).toContain('shorter than the 8 bytes');
    expect(messageFor(file('{}', 0, 3))).toContain('ends inside its header');
    for (const cut of [new Uint8Array(7), file('{}', 0, 3), file({ a: f32(0, 8) }, 7)]) {
      expect(refusal(() => parseSafetensors(cut)).details).toEqual({ cutShort: true });
    }
    expect(refusal(() => parseSafetensors(file('{}', 1))).details).toEqual({});
    expect(messageFor(file('{}', 0, 2 ** 24 + 1))).toContain('longer than');
    expect(messageFor(file('{}', 0, Number.MAX_SAFE_INTEGER))).toContain('longer than');
    expect(messageFor(concatBytes(new Uint8Array(8).fill(0xff), new Uint8Array(9)))).toContain('longer than');
    expect(messageFor(new Uint8Array(8))).toContain('not one JSON object');
  });

  it.each([
    ['an overlap', { a: f32(0, 8), b: f32(4, 12) }, 12, 'overlaps'],
    ['a hidden second view', { a: f32(0, 8), b: f32(0, 8) }, 8, 'overlaps'],
    ['a hole', { a: f32(0, 4), b: f32(8, 12) }, 12, 'hole'],
    ['a hole at the start', { a: f32(4, 8) }, 8, 'hole'],
    ['bytes after the end', { a: f32(0, 4) }, 5, 'after its last tensor'],
    ['bytes and no tensor', {}, 1, 'after its last tensor'],
    ['truncated data', { a: f32(0, 8) }, 7, 'ends inside its tensor data'],
    ['a lying shape', { a: f32(0, 8, [3]) }, 8, 'does not match'],
    ['a range backwards', { a: f32(8, 0, [2]) }, 8, 'does not match'],
    ['a product beyond 2^53', { a: f32(0, 8, [2 ** 40, 2 ** 40]) }, 8, 'does not match'],
    ['an unsafe integer', { a: f32(0, 8, [2 ** 53]) }, 8, 'list of sizes'],
    ['nine dimensions', { a: f32(0, 4, Array(9).fill(1)) }, 4, 'dimensions'],
    ['three offsets', { a: { dtype: 'F32', shape: [1], data_offsets: [0, 4, 4] } }, 4, 'data_offsets'],
    ['no offsets', { a: { dtype: 'F32', shape: [1], data_offset: [0, 4] } }, 4, 'data_offsets'],
    ['a further field', { a: { ...f32(0, 4), extra: 1 } }, 4, 'exactly'],
    ['a list as entry', { a: [1, 2, 3] }, 4, 'exactly'],
    ['null as entry', { a: null }, 4, 'exactly'],
    ['a shape of strings', { a: { ...f32(0, 4), shape: ['1'] } }, 4, 'list of sizes'],
    ['a shape that is a number', { a: { ...f32(0, 4), shape: 1 } }, 4, 'list of sizes'],
    ['a number as dtype', { a: { ...f32(0, 4), dtype: 32 } }, 4, 'no dtype'],
    ['metadata that is no map', { __metadata__: ['x'] }, 0, 'map of strings'],
    ['metadata of numbers', { __metadata__: { x: 1 } }, 0, 'map of strings'],
  ])('refuses %s', (_, header, data, message) => {
    expect(messageFor(file(header, data))).toContain(message);
  });

  it.each([
    ['a float offset', '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4.5]}}'],
    ['an integer written as a float', '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4.0]}}'],
    ['an exponent', '{"a":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}}'],
    ['a negative size', '{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}'],
    ['a negative offset', '{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}'],
    ['two negative sizes', '{"a":{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}}'],
  ])('refuses %s', (_, header) => {
    expect(messageFor(file(header, 4))).toContain('plain non-negative integer');
  });

  it('names an unknown dtype, cleaned and shortened', () => {
    const entry = (dtype: string) => file({ a: { dtype, shape: [1], data_offsets: [0, 4] } }, 4);
    expect(messageFor(entry('F4'))).toContain('"F4"');
    expect(messageFor(entry('toString'))).toContain('"toString"');
    expect(messageFor(entry(`evil\n\u001b[31m${'x'.repeat(500)}`)).length).toBeLessThan(300);
  });

  it('refuses repeated names and __proto__', () => {
    const entry = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}';
    expect(messageFor(file(`{"a":${entry},"a":${entry}}`, 4))).toContain('repeats an object key');
    expect(
      messageFor(file(`{"a":{"dtype":"F32","dtype":"I32","shape":[1],"data_offsets":[0,4]}}`, 4)),
    ).toContain('repeats');
    expect(messageFor(file(`{"__proto__":${entry}}`, 4))).toContain('__proto__');
    expect(messageFor(file('{"__metadata__":{},"__metadata__":{}}'))).toContain('repeats');
  });

  it('lets only spaces follow the header object', () => {
    expect(parseSafetensors(file('{}      ')).tensors.size).toBe(0);
    for (const header of [
      '',
      ' {}',
      '{}\n',
      '{}\t ',
      '{}x',
      '[]',
      'null',
      '{',
      '}',
      '{}{}',
      '\ufeff{}',
      '{}\0',
    ]) {
      messageFor(file(header));
    }
  });

  it('holds to its limits and to tighter ones', () => {
    const header = Object.fromEntries(['a', 'b', 'c'].map((name) => [name, f32(0, 0)]));
    const bytes = file(header);
    expect(parseSafetensors(bytes, { maxTensors: 3 }).tensors.size).toBe(3);
    for (const limits of [{ maxTensors: 2 }, { maxHeaderBytes: 20 }]) {
      expect(refusal(() => parseSafetensors(bytes, limits)).code).toBe('SAFETENSORS_MALFORMED');
    }
    const many = Array.from(
      { length: 65_537 },
      (_, i) => `"${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`,
    );
    expect(messageFor(file(`{${many.join(',')}}`))).toContain('more than 65536 tensors');
  });
});

const dtypes = Object.keys(DTYPE_BYTES) as Dtype[];
const tensor: fc.Arbitrary<Tensor> = fc
  .record({ dtype: fc.constantFrom(...dtypes), shape: fc.array(fc.nat({ max: 3 }), { maxLength: 3 }) })
  .chain(({ dtype, shape }) => {
    const size = shape.reduce((product, dimension) => product * dimension, DTYPE_BYTES[dtype]);
    return fc
      .uint8Array({ minLength: size, maxLength: size })
      .map((data) => ({ dtype, shape, data: new Uint8Array(data) }));
  });
const name = fc
  .string({ unit: 'grapheme' })
  .filter((text) => text !== '__proto__' && text !== '__metadata__');
const tensors = fc
  .uniqueArray(fc.tuple(name, tensor), { selector: ([key]) => key, maxLength: 6 })
  .map((entries) => new Map(entries));
const metadata = fc.dictionary(
  fc.string({ unit: 'grapheme' }).filter((text) => text !== '__proto__'),
  fc.string({ unit: 'grapheme' }),
  { noNullPrototype: true },
);

describe('serializeSafetensors', () => {
  it('writes metadata only where there are some', () => {
    const header = (bytes: Uint8Array) => new TextDecoder().decode(bytes.subarray(8)).trimEnd();
    expect(header(serializeSafetensors(new Map()))).toBe('{}');
    expect(header(serializeSafetensors(new Map(), { a: 'b' }))).toBe('{"__metadata__":{"a":"b"}}');
  });

  it('writes what parseSafetensors reads back', () => {
    fc.assert(
      fc.property(tensors, metadata, (map, meta) => {
        const parsed = parseSafetensors(serializeSafetensors(map, meta));
        expect(new Map(parsed.tensors)).toEqual(map);
        expect(parsed.metadata).toEqual(meta);
      }),
    );
  });

  it('has one form for a set of tensors, aligned to each element size', () => {
    fc.assert(
      fc.property(tensors, metadata, (map, meta) => {
        const bytes = serializeSafetensors(map, meta);
        const reversedMeta = Object.fromEntries(Object.entries(meta).reverse());
        expect(serializeSafetensors(new Map([...map].reverse()), reversedMeta)).toEqual(bytes);
        for (const { dtype, data } of parseSafetensors(bytes).tensors.values()) {
          expect(data.byteOffset % DTYPE_BYTES[dtype]).toBe(bytes.byteOffset % DTYPE_BYTES[dtype]);
        }
      }),
    );
  });

  it('has a fixed form', () => {
    const bytes = serializeSafetensors(
      new Map<string, Tensor>([
        ['b', { dtype: 'I16', shape: [2], data: Uint8Array.of(1, 2, 3, 4) }],
        ['a', { dtype: 'I16', shape: [1], data: Uint8Array.of(5, 6) }],
        ['y', { dtype: 'I64', shape: [1], data: Uint8Array.of(8, 9, 10, 11, 12, 13, 14, 15) }],
      ]),
      { z: '1', format: 'x' },
    );
    const header =
      '{"__metadata__":{"format":"x","z":"1"},"y":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},' +
      '"a":{"dtype":"I16","shape":[1],"data_offsets":[8,10]},"b":{"dtype":"I16","shape":[2],"data_offsets":[10,14]}}';
    const padded = header.padEnd(Math.ceil(header.length / 8) * 8, ' ');
    expect(new TextDecoder().decode(bytes.subarray(8, 8 + padded.length))).toBe(padded);
    expect(bytes.length).toBe(8 + padded.length + 14);
    expect([...bytes.subarray(-14)]).toEqual([8, 9, 10, 11, 12, 13, 14, 15, 5, 6, 1, 2, 3, 4]);
  });

  it('refuses bytes that do not match the shape, and reserved names', () => {
    const data = new Uint8Array(4);
    const write = (key: string, shape: number[]) =>
      refusal(() => serializeSafetensors(new Map([[key, { dtype: 'F32', shape, data }]])));
    expect(write('a', [2]).code).toBe('INTERNAL');
    expect(write('__metadata__', [1]).code).toBe('INTERNAL');
    expect(write('__proto__', [1]).code).toBe('INTERNAL');
  });
});

describe('parseSafetensors on mutated files', () => {
  /** Sizes of what was accepted still tile the data section. */
  function checkAccepted(bytes: Uint8Array): void {
    const { tensors: parsed } = parseSafetensors(bytes);
    const covered = [...parsed.values()].reduce((sum, { data }) => sum + data.length, 0);
    const header = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
    expect(8 + header + covered).toBe(bytes.length);
  }

  it('either parses them whole or refuses with the one code', () => {
    const mutation = fc.record({ at: fc.nat(), byte: fc.nat({ max: 255 }), kind: fc.nat({ max: 3 }) });
    fc.assert(
      fc.property(
        tensors,
        metadata,
        fc.array(mutation, { minLength: 1, maxLength: 4 }),
        (map, meta, mutations) => {
          let bytes = serializeSafetensors(map, meta);
          for (const { at, byte, kind } of mutations) {
            const i = at % (bytes.length + 1);
            if (kind === 0) bytes = bytes.slice(0, i);
            else if (kind === 1) bytes = concatBytes(bytes.slice(0, i), Uint8Array.of(byte), bytes.slice(i));
            else if (kind === 2) bytes = concatBytes(bytes.slice(0, i), bytes.slice(i + 1));
            else bytes[Math.min(i, bytes.length - 1)] = byte;
          }
          if (accepts('SAFETENSORS_MALFORMED', () => parseSafetensors(bytes))) checkAccepted(bytes);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('either parses a random header or refuses with the one code', () => {
    const value = fc.oneof(
      fc.integer(),
      fc.double(),
      fc.constantFrom<unknown>('F32', 'I64', null, true, -0, 2 ** 53, 2 ** 64, '', [], {}),
    );
    const entry = fc.record(
      {
        dtype: fc.oneof(fc.constantFrom(...dtypes), value),
        shape: fc.oneof(fc.array(fc.oneof(fc.nat({ max: 4 }), value), { maxLength: 3 }), value),
        data_offsets: fc.oneof(fc.array(fc.oneof(fc.nat({ max: 64 }), value), { maxLength: 3 }), value),
      },
      { requiredKeys: [] },
    );
    const header = fc.dictionary(fc.string(), fc.oneof(entry, value), { maxKeys: 4 });
    fc.assert(
      fc.property(header, fc.nat({ max: 64 }), (object, data) => {
        const bytes = file(object, data);
        if (accepts('SAFETENSORS_MALFORMED', () => parseSafetensors(bytes))) checkAccepted(bytes);
      }),
      { numRuns: 1000 },
    );
  });
});

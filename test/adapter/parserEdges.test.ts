import { describe, expect, it } from 'vitest';
import { checkAdapterCommitment, parseAdapterCommitment } from '../../src/adapter/commitment.js';
import { parseSafetensors, serializeSafetensors, type Tensor } from '../../src/adapter/safetensors.js';
import { concatBytes, utf8ToBytes } from '../../src/bytes.js';
import { parseJsonBytes, parseJsonText } from '../../src/jsonText.js';
import { expectRefused } from '../protocol/refused.js';
import { sampleCommitment, sampleModule } from './sample.js';

describe('commitment', () => {
  const full = (reason: string) =>
    new RegExp(
      `^not a usable adapter commitment: ${reason}; get adapter\\.zkl\\.json from the contributor again$`,
    );
  const point = '01'.repeat(64);
  const withModule = (change: object) => sampleCommitment({ modules: [{ ...sampleModule(), ...change }] });

  it.each<[string, () => unknown, string]>([
    [
      'text beyond its maximum',
      () => parseAdapterCommitment(' '.repeat(2 ** 25 + 1)),
      'it is larger than 33554432 bytes',
    ],
    ['no object', () => checkAdapterCommitment(7), '"the top level" is missing, unknown or out of range'],
    [
      'a wrong field',
      () => checkAdapterCommitment({ ...sampleCommitment(), salt: 1 }),
      '"salt" is missing, unknown or out of range',
    ],
    [
      'a wrong field inside',
      () => checkAdapterCommitment(withModule({ rank: 0 })),
      '"modules\\.0\\.rank" is missing, unknown or out of range',
    ],
    [
      'a domain between powers',
      () => checkAdapterCommitment(sampleCommitment({ domainSize: 768 })),
      'domainSize is not a power of two',
    ],
    [
      'a name twice',
      () => checkAdapterCommitment(sampleCommitment({ modules: [sampleModule(), sampleModule()] })),
      'module "h\\.0\\.attn" appears twice',
    ],
    [
      'a point missing',
      () => checkAdapterCommitment(withModule({ aRows: [point] })),
      'module "h\\.0\\.attn" does not have as many points as its rank',
    ],
    [
      'too many inputs',
      () => checkAdapterCommitment(withModule({ inFeatures: 513 })),
      'module "h\\.0\\.attn" has more features than the domain has places',
    ],
    [
      'too many outputs',
      () => checkAdapterCommitment(withModule({ outFeatures: 513 })),
      'module "h\\.0\\.attn" has more features than the domain has places',
    ],
  ])('%s', async (_, work, reason) => {
    await expectRefused(work, 'COMMITMENT_MALFORMED', full(reason));
  });

  it('text of the largest size is looked at', async () => {
    await expectRefused(
      () => parseAdapterCommitment(' '.repeat(2 ** 25)),
      'COMMITMENT_MALFORMED',
      /not valid JSON/,
    );
  });

  it('points and digests have nothing around them', async () => {
    for (const bad of [`x${point}`, `${point}x`, `${point}\n`, `\n${point}`]) {
      await expectRefused(
        () => checkAdapterCommitment(withModule({ aRows: [bad, point] })),
        'COMMITMENT_MALFORMED',
        /aRows/,
      );
    }
    for (const bad of [`x${'1'.repeat(64)}`, `${'1'.repeat(64)}x`]) {
      const commitment = { ...sampleCommitment(), baseDigest: bad };
      await expectRefused(() => checkAdapterCommitment(commitment), 'COMMITMENT_MALFORMED', /baseDigest/);
    }
    for (const bad of ['xab', 'abx', 'abxcd']) {
      const commitment = { ...sampleCommitment(), registrationProof: bad };
      await expectRefused(
        () => checkAdapterCommitment(commitment),
        'COMMITMENT_MALFORMED',
        /registrationProof/,
      );
    }
  });

  it('every number at its limits', () => {
    const edges = { aExponent: -163, bExponent: 117, scaling: -(2 ** 64), inFeatures: 512, outFeatures: 1 };
    expect(checkAdapterCommitment(withModule(edges)).modules[0]).toMatchObject(edges);
    expect(checkAdapterCommitment(withModule({ scaling: 2 ** -64 })).modules[0]!.scaling).toBe(2 ** -64);
    const wide = sampleCommitment({ domainSize: 2 ** 20, modules: [sampleModule({ inFeatures: 2 ** 20 })] });
    expect(checkAdapterCommitment(wide)).toEqual(wide);
    for (const change of [
      { scaling: 2 ** 65 },
      { scaling: 2 ** -65 },
      { scaling: -0 },
      { scaling: Number.NaN },
    ]) {
      expect(() => checkAdapterCommitment(withModule(change))).toThrow('scaling');
    }
  });

  it('a sum of ranks at its maximum', () => {
    const rows = Array<string>(4096 - 1).fill(point);
    const modules = Array.from({ length: 16 }, (_, i) =>
      sampleModule({ name: `h.${i}`, rank: 4095, aRows: rows, bColumns: rows }),
    );
    const rest = (rank: number) =>
      sampleModule({ name: 'rest', rank, aRows: rows.slice(0, rank), bColumns: rows.slice(0, rank) });
    expect(
      checkAdapterCommitment(sampleCommitment({ modules: [...modules, rest(16)] })).modules,
    ).toHaveLength(17);
    expect(() => checkAdapterCommitment(sampleCommitment({ modules: [...modules, rest(17)] }))).toThrow(
      'the ranks sum to more than 65536',
    );
  });
});

describe('JSON', () => {
  const parse = (text: string, numbers: 'any' | 'naturals' = 'any') =>
    parseJsonText(text, 'TEXT_INVALID', 'the text', numbers);

  it.each<[string, RegExp]>([
    ['{', /^the text is not valid JSON; write it again or fetch an intact copy$/],
    ['{"a":1,"a":1}', /^the text repeats an object key; write it again/],
    ['{"__proto__":1}', /^the text uses the forbidden key "__proto__"; write it again/],
    ['["\\ud800"]', /^the text holds a string that is not Unicode text; write it again/],
    [`${'['.repeat(33)}${']'.repeat(33)}`, /^the text is nested deeper than 32 levels; write it again/],
  ])('%s', async (text, says) => {
    await expectRefused(() => parse(text), 'TEXT_INVALID', says);
  });

  it('bytes that are no UTF-8', async () => {
    const says = /^the text is not UTF-8 text; write it again or fetch an intact copy$/;
    await expectRefused(
      () => parseJsonBytes(Uint8Array.of(0x22, 0xff, 0x22), 'TEXT_INVALID', 'the text'),
      'TEXT_INVALID',
      says,
    );
    const mark = concatBytes(Uint8Array.of(0xef, 0xbb, 0xbf), utf8ToBytes('{}'));
    await expectRefused(
      () => parseJsonBytes(mark, 'TEXT_INVALID', 'the text'),
      'TEXT_INVALID',
      /not valid JSON/,
    );
  });

  it('numbers are free unless naturals are asked for', () => {
    expect(parse('[-1,0.5,1e3,1E3]')).toEqual([-1, 0.5, 1000, 1000]);
    expect(parseJsonBytes(utf8ToBytes('[-1.5]'), 'TEXT_INVALID', 'the text')).toEqual([-1.5]);
    expect(parse('[true,false,null,"-1.5e3",{"e":8}]', 'naturals')).toEqual([
      true,
      false,
      null,
      '-1.5e3',
      { e: 8 },
    ]);
    for (const text of ['-1', '[1.0]', '[1e3]', '{"a":1E3}', '[-0]', '[2e0]']) {
      expect(() => parse(text, 'naturals')).toThrow('a number that is not a plain non-negative integer');
    }
  });

  it('keys are compared inside their own object, whatever blanks follow', () => {
    expect(parse('{"a" :{"a"\n:{"a":[{"a":1},{"a":2}]}},"b"\t:"a"}')).toBeTruthy();
    for (const text of [
      '{"a" :1,"a" :1}',
      '{"a"\n:1,"\\u0061"\r\n:1}',
      '[{"x":[],"y":{"z":1,"z":1}}]',
      '{"a":{},"a":1}',
    ]) {
      expect(() => parse(text)).toThrow('repeats an object key');
    }
    expect(parse('["a","a"]')).toEqual(['a', 'a']);
    expect(parse('{"a":"\\"b\\\\","c":"\\\\"}')).toEqual({ a: '"b\\', c: '\\' });
  });

  it('32 levels are allowed', () => {
    expect(parse(`${'['.repeat(32)}${']'.repeat(32)}`)).toBeTruthy();
    expect(parse(`[${Array(40).fill('[]')}]`)).toHaveLength(40);
  });
});

describe('safetensors', () => {
  const file = (header: string, data = 0) => {
    const json = utf8ToBytes(header);
    const length = new Uint8Array(8);
    new DataView(length.buffer).setUint32(0, json.length, true);
    return concatBytes(length, json, new Uint8Array(data));
  };
  const entry = (shape: string, end: number) =>
    `{"t":{"dtype":"U8","shape":${shape},"data_offsets":[0,${end}]}}`;

  it('eight dimensions are allowed', async () => {
    expect(parseSafetensors(file(entry('[1,1,1,1,1,1,1,1]', 1), 1)).tensors.size).toBe(1);
    await expectRefused(
      () => parseSafetensors(file(entry('[1,1,1,1,1,1,1,1,1]', 1), 1)),
      'SAFETENSORS_MALFORMED',
      /"t" has more than 8 dimensions/,
    );
  });

  it('counts tensors against the maximum of its caller', async () => {
    const two =
      '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"b":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}';
    expect(parseSafetensors(file(two), { maxTensors: 2 }).tensors.size).toBe(2);
    await expectRefused(
      () => parseSafetensors(file(two), { maxTensors: 1 }),
      'SAFETENSORS_MALFORMED',
      /^not a valid safetensors file: the file lists more than 1 tensors; save the tensors again or fetch an intact copy$/,
    );
  });

  it('metadata are strings, all of them', async () => {
    expect(parseSafetensors(file('{"__metadata__":{}}')).metadata).toEqual({});
    await expectRefused(
      () => parseSafetensors(file('{"__metadata__":{"a":"b","c":[]}}')),
      'SAFETENSORS_MALFORMED',
      /__metadata__ is not a map of strings/,
    );
    await expectRefused(
      () => parseSafetensors(file('{"__metadata__":null}')),
      'SAFETENSORS_MALFORMED',
      /map of strings/,
    );
    await expectRefused(
      () => parseSafetensors(file('{"__metadata__":"a"}')),
      'SAFETENSORS_MALFORMED',
      /map of strings/,
    );
  });

  it('an entry is an object, and sizes are lists', async () => {
    for (const entryText of ['null', '"abc"', '[1,2,3]', '7']) {
      await expectRefused(
        () => parseSafetensors(file(`{"t":${entryText}}`)),
        'SAFETENSORS_MALFORMED',
        /exactly dtype, shape and data_offsets/,
      );
    }
    await expectRefused(
      () => parseSafetensors(file(entry('{"length":0}', 1), 1)),
      'SAFETENSORS_MALFORMED',
      /list of sizes/,
    );
    await expectRefused(
      () => parseSafetensors(file(entry('"12"', 1), 1)),
      'SAFETENSORS_MALFORMED',
      /list of sizes/,
    );
  });

  it('a header of spaces, and of nothing', async () => {
    for (const header of ['', '   ']) {
      await expectRefused(
        () => parseSafetensors(file(header)),
        'SAFETENSORS_MALFORMED',
        /not one JSON object/,
      );
    }
  });

  it('is not written with a wrong size or a reserved name', async () => {
    const tensor: Tensor = { dtype: 'U8', shape: [1], data: new Uint8Array(1) };
    const write = (name: string, one: Tensor) => () => serializeSafetensors(new Map([[name, one]]));
    expect(write('t', tensor)).not.toThrow();
    await expectRefused(
      write('t', { ...tensor, shape: [2] }),
      'INTERNAL',
      /^tensor "t" cannot be written: name or size is wrong$/,
    );
    for (const name of ['__metadata__', '__proto__'])
      await expectRefused(write(name, tensor), 'INTERNAL', /cannot be written/);
  });
});

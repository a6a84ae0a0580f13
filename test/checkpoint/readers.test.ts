import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DTYPE_BYTES, type Dtype, type Tensor } from '../../src/adapter/dtype.js';
import { parseSafetensors } from '../../src/adapter/safetensors.js';
import { concatBytes } from '../../src/bytes.js';
import {
  checkpointDigest,
  compareTensors,
  digestCheckpoint,
  isUnchanged,
} from '../../src/checkpoint/index.js';
import { decodeVarints } from '../../src/checkpoint/onnxValues.js';
import { ZkLoraError } from '../../src/errors.js';
import { refusal, refusalOf } from '../adapter/refusal.js';
import {
  externalInitializer,
  field,
  listingOf,
  ONNX_CODES,
  onnxBytes,
  rawInitializer,
  rawModel,
  safetensorsBytes,
  temporaryFolder,
  tensor,
  varint,
  varintField,
} from './tensorFiles.js';

const TENSORS = new Map<string, Tensor>([
  ['blocks.0.attn.in_proj_weight', tensor('F32', [6, 2], 1)],
  ['blocks.0.mlp.0.weight', tensor('BF16', [3, 5], 2)],
  ['steps', tensor('I64', [], 3)],
  ['none', tensor('F16', [0, 4], 4)],
  ['large', tensor('U8', [5_000_001], 5)],
]);
const DIGEST = checkpointDigest(listingOf(TENSORS));

async function shards(folder: string, map: Record<string, string>, files: Record<string, string[]>) {
  for (const [file, names] of Object.entries(files)) {
    const part = new Map(names.map((name) => [name, TENSORS.get(name)!]));
    await writeFile(join(folder, file), safetensorsBytes(part));
  }
  const index = join(folder, 'model.safetensors.index.json');
  await writeFile(index, JSON.stringify({ metadata: { total_size: 1 }, weight_map: map }));
  return index;
}

const [first, ...others] = [...TENSORS.keys()] as [string, ...string[]];
const MAP = {
  [first]: 'a.safetensors',
  ...Object.fromEntries(others.map((name) => [name, 'b.safetensors'])),
};
const FILES = { 'a.safetensors': [first], 'b.safetensors': others };

describe('one digest for every container', () => {
  it('one safetensors file, in any order of its tensors', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'model.safetensors'), safetensorsBytes(TENSORS));
    const { digest, tensors, bytes } = await digestCheckpoint(folder);
    expect(digest).toBe(DIGEST);
    expect(bytes).toBe([...TENSORS.values()].reduce((sum, { data }) => sum + data.length, 0));
    expect(isUnchanged(compareTensors(listingOf(TENSORS), tensors))).toBe(true);
  });

  it('shards with their index', async () => {
    const folder = await temporaryFolder();
    const index = await shards(folder, MAP, FILES);
    expect((await digestCheckpoint(index)).digest).toBe(DIGEST);
    expect((await digestCheckpoint(folder)).container).toBe('safetensors-sharded');
  });

  it('ONNX initializers, embedded', async () => {
    const path = join(await temporaryFolder(), 'model.onnx');
    await writeFile(path, onnxBytes([...TENSORS].map(([name, each]) => rawInitializer(name, each))));
    expect((await digestCheckpoint(path)).digest).toBe(DIGEST);
  });

  it('ONNX initializers in external data, with and without offset and length', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'data'));
    const parts: Uint8Array[] = [];
    let offset = 0;
    const initializers = [...TENSORS].map(([name, each]) => {
      if (name === 'steps') return rawInitializer(name, each);
      if (name === 'large') return externalInitializer(name, each, { location: 'large.bin' });
      const entries = {
        location: 'data/w.bin',
        offset: String(offset),
        length: String(each.data.length),
        checksum: 'x',
      };
      parts.push(each.data, new Uint8Array(3));
      offset += each.data.length + 3;
      return externalInitializer(name, each, entries);
    });
    await writeFile(join(folder, 'data/w.bin'), concatBytes(...parts));
    await writeFile(join(folder, 'large.bin'), TENSORS.get('large')!.data);
    await writeFile(join(folder, 'model.onnx'), onnxBytes(initializers));
    expect((await digestCheckpoint(folder)).digest).toBe(DIGEST);
  });

  it('ONNX values as varints and as typed floats, packed or one by one', async () => {
    const path = join(await temporaryFolder(), 'model.onnx');
    const negative = [...varint(0x7f - 2)].length; // one byte
    expect(negative).toBe(1);
    const minusThree = Uint8Array.from([0xfd, ...Array(8).fill(0xff), 0x01]);
    const name = field(8, new TextEncoder().encode('w'));
    const digestOfModel = async (body: Uint8Array) => {
      await writeFile(path, rawModel(concatBytes(name, body)));
      return (await digestCheckpoint(path)).digest;
    };
    const expected = (dtype: Dtype, data: Uint8Array) =>
      checkpointDigest(listingOf(new Map([['w', { dtype, shape: [2], data }]])));
    const ints = Uint8Array.from([5, 0, 0, 0, 0xfd, 0xff, 0xff, 0xff]);
    const head = concatBytes(varintField(1, 2), varintField(2, 6));
    expect(await digestOfModel(concatBytes(head, field(5, Uint8Array.from([5, ...minusThree]))))).toBe(
      expected('I32', ints),
    );
    const single = concatBytes(varintField(5, 5), Uint8Array.from([5 * 8, ...minusThree]));
    expect(await digestOfModel(concatBytes(field(1, Uint8Array.of(2)), varintField(2, 6), single))).toBe(
      expected('I32', ints),
    );
    const floats = new Uint8Array(Float32Array.of(1.5, -2).buffer);
    const float = concatBytes(varintField(1, 2), varintField(2, 1), field(4, floats));
    expect(await digestOfModel(float)).toBe(expected('F32', floats));
    const long = concatBytes(
      varintField(1, 2),
      varintField(2, 7),
      field(7, Uint8Array.from([...minusThree, 7])),
    );
    const longs = new Uint8Array(BigInt64Array.of(-3n, 7n).buffer);
    expect(await digestOfModel(long)).toBe(expected('I64', longs));
  });

  it('random checkpoints as safetensors and as ONNX', async () => {
    const folder = await temporaryFolder();
    const dtypes = Object.keys(ONNX_CODES) as Dtype[];
    const shapes = fc.array(fc.nat({ max: 4 }), { maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(
          fc.stringMatching(/^[a-z.]{1,8}$/),
          fc.tuple(fc.constantFrom(...dtypes), shapes, fc.nat()),
        ),
        async (drawn) => {
          const tensors = new Map(Object.entries(drawn).map(([name, args]) => [name, tensor(...args)]));
          await writeFile(join(folder, 'm.safetensors'), safetensorsBytes(tensors));
          await writeFile(
            join(folder, 'm.onnx'),
            onnxBytes([...tensors].map(([n, t]) => rawInitializer(n, t))),
          );
          const expected = checkpointDigest(listingOf(tensors));
          expect((await digestCheckpoint(join(folder, 'm.safetensors'))).digest).toBe(expected);
          expect((await digestCheckpoint(join(folder, 'm.onnx'))).digest).toBe(expected);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('reads the bundled models', async () => {
    const at = (path: string) => new URL(`../../fixtures/${path}`, import.meta.url).pathname;
    const { tensors } = await digestCheckpoint(at('gpt2-tiny/base/model.onnx'));
    expect(tensors.length).toBeGreaterThan(10);
    expect((await digestCheckpoint(at('gpt2-tiny/adapter'))).tensors).toHaveLength(32);
  });
});

describe('varints', () => {
  it('agree with bigint arithmetic, and keep to the range of the dtype', () => {
    const dtypes: Dtype[] = ['I8', 'U8', 'I16', 'U16', 'I32', 'U32', 'I64', 'U64', 'BOOL', 'F16', 'BF16'];
    fc.assert(
      fc.property(
        fc.constantFrom(...dtypes),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
        fc.nat({ max: 60 }),
        (dtype, wide, cut) => {
          const value = wide / 2n ** BigInt(cut);
          let rest = BigInt.asUintN(64, value);
          const bytes: number[] = [];
          for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
          bytes.push(Number(rest));
          const width = DTYPE_BYTES[dtype];
          const bits = 8 * width;
          const signed = dtype.startsWith('I');
          const stored = BigInt.asUintN(64, value);
          const limit = dtype === 'BOOL' ? 2n : 2n ** BigInt(bits);
          const fits = signed ? BigInt.asIntN(bits, stored) === BigInt.asIntN(64, stored) : stored < limit;
          const decode = () => decodeVarints(Uint8Array.from(bytes), dtype, 1);
          if (!fits) expect(refusal(decode).code).toBe('ONNX_MALFORMED');
          else {
            const out = decode();
            const back = out.reduce((sum, byte, i) => sum + (BigInt(byte) << BigInt(8 * i)), 0n);
            expect(back).toBe(BigInt.asUintN(bits, stored));
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe('hostile files', () => {
  it('a shard map that leaves the folder, or does not fit its shards', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'in'));
    const outside = join(folder, 'outside.safetensors');
    await writeFile(outside, safetensorsBytes(new Map([[first, TENSORS.get(first)!]])));
    await symlink(outside, join(folder, 'in', 'link.safetensors'));
    await symlink(folder, join(folder, 'in', 'up'));
    const inside = join(folder, 'in');
    const code = async (map: Record<string, string>) =>
      (await refusalOf(digestCheckpoint(await shards(inside, map, FILES)))).code;
    for (const name of [
      '../outside.safetensors',
      outside,
      'link.safetensors',
      'up/outside.safetensors',
      'a/../../outside.safetensors',
      '..\\outside.safetensors',
      'C:outside.safetensors',
      '',
      '.',
      '/',
    ]) {
      expect(await code({ [first]: name })).toBe('CHECKPOINT_MALFORMED');
    }
    expect(await code({ [first]: 'gone.safetensors' })).toBe('FILE_NOT_FOUND');
    expect(await code({ ...MAP, extra: 'a.safetensors' })).toBe('CHECKPOINT_MALFORMED');
    expect(await code({ [first]: 'b.safetensors' })).toBe('CHECKPOINT_MALFORMED');
    const { steps: _, ...missing } = MAP as Record<string, string>;
    expect(await code(missing)).toBe('CHECKPOINT_MALFORMED');
  });

  it('external data that leaves the folder or does not fit', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'in'));
    await writeFile(join(folder, 'w.bin'), new Uint8Array(8));
    await writeFile(join(folder, 'in/w.bin'), new Uint8Array(8));
    await symlink(join(folder, 'w.bin'), join(folder, 'in/link.bin'));
    const path = join(folder, 'in/model.onnx');
    const weights = tensor('F32', [2], 1);
    const code = async (entries: Record<string, string>) => {
      await writeFile(path, onnxBytes([externalInitializer('w', weights, entries)]));
      return digestCheckpoint(path).then(
        () => 'read',
        (error: unknown) => (error instanceof ZkLoraError ? error.code : String(error)),
      );
    };
    expect(await code({ location: 'w.bin' })).toBe('read');
    expect(await code({ location: './w.bin' })).toBe('read');
    for (const location of ['../w.bin', join(folder, 'w.bin'), 'link.bin', '']) {
      expect(await code({ location })).toBe('CHECKPOINT_MALFORMED');
    }
    expect(await code({ location: 'gone.bin' })).toBe('FILE_NOT_FOUND');
    expect(await code({ offset: '0' })).toBe('ONNX_MALFORMED');
    for (const offset of ['4', '-1', '1e1', '99999999999999999999', '0x1', ' 0']) {
      expect(await code({ location: 'w.bin', offset })).toBe('ONNX_MALFORMED');
    }
    expect(await code({ location: 'w.bin', offset: '4', length: '8' })).toBe('ONNX_MALFORMED');
    expect(await code({ location: 'w.bin', length: '4' })).toBe('ONNX_MALFORMED');
  });

  it('initializers that say two things, or nothing', async () => {
    const path = join(await temporaryFolder(), 'model.onnx');
    const name = field(8, new TextEncoder().encode('w'));
    const raw = field(9, new Uint8Array(4));
    const float = varintField(2, 1);
    const dims = varintField(1, 1);
    const bodies = [
      concatBytes(float, dims, raw),
      concatBytes(name, name, float, dims, raw),
      concatBytes(name, float, float, dims, raw),
      concatBytes(name, float, dims, raw, raw),
      concatBytes(name, float, dims, raw, field(4, new Uint8Array(4))),
      concatBytes(name, float, dims, field(10, new Uint8Array(8))),
      concatBytes(name, varintField(2, 8), dims, raw),
      concatBytes(name, dims, raw),
      concatBytes(name, float, varintField(1, 2), raw),
      concatBytes(name, float, varintField(1, 2 ** 53), raw),
      concatBytes(name, float, dims, raw, field(3, new Uint8Array(0))),
      concatBytes(name, float, dims, raw, varintField(14, 1)),
      concatBytes(name, float, ...Array.from({ length: 9 }, () => dims), raw),
      concatBytes(field(8, Uint8Array.of(0xff)), float, dims, raw),
      concatBytes(name, varintField(2, 6), dims, field(5, Uint8Array.of(1, 2))),
      concatBytes(name, varintField(2, 6), varintField(1, 2 ** 40), field(5, Uint8Array.of(1))),
    ];
    for (const body of bodies) {
      await writeFile(path, rawModel(body));
      expect((await refusalOf(digestCheckpoint(path))).code).toBe('ONNX_MALFORMED');
    }
    const good = field(5, concatBytes(name, float, dims, raw));
    for (const graph of [concatBytes(good, good), concatBytes(good, field(15, new Uint8Array(0)))]) {
      await writeFile(path, field(7, graph));
      expect((await refusalOf(digestCheckpoint(path))).code).toBe('ONNX_MALFORMED');
    }
    await writeFile(path, concatBytes(field(7, good), field(7, good)));
    expect((await refusalOf(digestCheckpoint(path))).code).toBe('ONNX_MALFORMED');
  });

  it('mutated ONNX files are read whole or refused with the one code', async () => {
    const path = join(await temporaryFolder(), 'model.onnx');
    const small = [...TENSORS].filter(([name]) => name !== 'large');
    const bytes = onnxBytes(small.map(([name, each]) => rawInitializer(name, each)));
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat({ max: 255 }), fc.nat({ max: 2 }), async (at, byte, kind) => {
        const i = at % bytes.length;
        let mutated = new Uint8Array(bytes);
        if (kind === 0) mutated[i] = byte;
        else if (kind === 1) mutated = mutated.slice(0, i);
        else mutated = Uint8Array.from([...mutated.slice(0, i), byte, ...mutated.slice(i)]);
        await writeFile(path, mutated);
        const outcome = await digestCheckpoint(path).then(
          () => 'read',
          (error: unknown) => (error instanceof ZkLoraError ? error.code : String(error)),
        );
        expect(['read', 'ONNX_MALFORMED', 'CHECKPOINT_MALFORMED', 'FILE_NOT_FOUND']).toContain(outcome);
      }),
      { numRuns: 300 },
    );
  });

  it('mutated safetensors files are refused exactly when the whole-file reader refuses them', async () => {
    const path = join(await temporaryFolder(), 'm.safetensors');
    const small = new Map([...TENSORS].filter(([name]) => name !== 'large'));
    const bytes = safetensorsBytes(small);
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat({ max: 255 }), fc.nat({ max: 2 }), async (at, byte, kind) => {
        const i = at % bytes.length;
        let mutated = new Uint8Array(bytes);
        if (kind === 0) mutated[i] = byte;
        else if (kind === 1) mutated = mutated.slice(0, i);
        else mutated = Uint8Array.from([...mutated.slice(0, i), byte, ...mutated.slice(i)]);
        await writeFile(path, mutated);
        let expected: string;
        try {
          expected = checkpointDigest(listingOf(parseSafetensors(mutated).tensors));
        } catch {
          expected = 'SAFETENSORS_MALFORMED';
        }
        const outcome = await digestCheckpoint(path).then(
          ({ digest }) => digest,
          (error: unknown) => (error instanceof ZkLoraError ? error.code : String(error)),
        );
        expect(outcome).toBe(expected);
      }),
      { numRuns: 300 },
    );
  });

  it('paths that are no checkpoint', async () => {
    const folder = await temporaryFolder();
    expect((await refusalOf(digestCheckpoint(join(folder, 'gone')))).code).toBe('FILE_NOT_FOUND');
    expect((await refusalOf(digestCheckpoint(folder))).code).toBe('FILE_NOT_FOUND');
    await writeFile(join(folder, 'weights.bin'), 'x');
    expect((await refusalOf(digestCheckpoint(join(folder, 'weights.bin')))).code).toBe('USAGE');
    await writeFile(join(folder, 'a.safetensors'), safetensorsBytes(new Map()));
    expect((await digestCheckpoint(folder)).digest).toBe(checkpointDigest([]));
    await writeFile(join(folder, 'b.safetensors'), safetensorsBytes(new Map()));
    expect((await refusalOf(digestCheckpoint(folder))).code).toBe('USAGE');
  });
});

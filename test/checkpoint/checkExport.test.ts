import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Tensor } from '../../src/adapter/dtype.js';
import { bytesToHex, sha256 } from '../../src/bytes.js';
import {
  checkExport,
  checkpointDigest,
  edgesStatement,
  exportEdge,
  renamedTensors,
} from '../../src/checkpoint/index.js';
import type { TensorSource } from '../../src/checkpoint/tensorSource.js';
import { transposedDigest } from '../../src/checkpoint/transposedDigest.js';
import { ISSUED } from './lineageBuilder.js';
import { listingOf, pattern, safetensorsBytes, sourceOf, temporaryFolder, transpose } from './tensorFiles.js';

const FIXTURES = new URL('../../fixtures/', import.meta.url);
const model = (name: string) => new URL(`${name}/base/model.onnx`, FIXTURES).pathname;

async function written(tensors: ReadonlyMap<string, Tensor>): Promise<string> {
  const path = join(await temporaryFolder(), 'model.safetensors');
  await writeFile(path, safetensorsBytes(tensors));
  return path;
}

describe.each([
  ['gpt2-tiny', 52, 1],
  ['llama-tiny', 2, 15],
])('the export of %s', (name, copies, transposes) => {
  it('matches its checkpoint, every transpose by name', async () => {
    const source = await sourceOf(model(name));
    const check = await checkExport(model(name), await written(source));
    expect(check).toMatchObject({
      valid: true,
      unmatchedInitializers: [],
      unmatchedTensors: [],
      checkpoint: checkpointDigest(listingOf(source)),
    });
    expect([check.copied.length, check.transposed.length]).toEqual([copies, transposes]);
    for (const { initializer, tensors } of check.transposed) {
      expect(tensors).toContain(`linear.${initializer.slice(13)}.weight`);
    }
    const { subject, parents, step } = exportEdge(check, '1');
    expect([subject.digest, parents[0]!.digest]).toEqual([check.onnx, check.checkpoint]);
    expect(step?.arguments).toHaveLength(transposes);
    expect(step?.arguments[0]).toMatch(/^transpose onnx::MatMul_\d+ [\w.]+\.weight$/);
    expect(() => edgesStatement([exportEdge(check, '1')], ISSUED)).not.toThrow();
  });
});

describe('an export that does not match', () => {
  it('is refused with one changed element, by the names on both sides', async () => {
    const source = await sourceOf(model('llama-tiny'));
    source.get('linear.643.weight')!.data[7]! ^= 1;
    source.get('model.embed_tokens.weight')!.data[0]! ^= 1;
    const check = await checkExport(model('llama-tiny'), await written(source));
    expect(check.valid).toBe(false);
    expect(check.unmatchedInitializers).toEqual(['model.embed_tokens.weight', 'onnx::MatMul_643']);
    expect([...check.unmatchedTensors].sort()).toEqual(['linear.643.weight', 'model.embed_tokens.weight']);
  });

  it('is refused with a tensor too many or too few, unless its name is allowed', async () => {
    const source = await sourceOf(model('llama-tiny'));
    source.set('rotary.inv_freq', { dtype: 'F32', shape: [4], data: pattern(16, 1) });
    source.delete('linear.649.weight');
    const path = await written(source);
    const check = await checkExport(model('llama-tiny'), path);
    expect(check).toMatchObject({
      valid: false,
      unmatchedInitializers: ['onnx::MatMul_649'],
      unmatchedTensors: ['rotary.inv_freq'],
    });
    const half = await checkExport(model('llama-tiny'), path, new Set(['rotary.inv_freq']));
    expect([half.valid, half.allowed]).toEqual([false, ['rotary.inv_freq']]);
    const both = await checkExport(
      model('llama-tiny'),
      path,
      new Set(['rotary.inv_freq', 'onnx::MatMul_649']),
    );
    expect(both.valid).toBe(true);
    expect(exportEdge(both, '1').step?.arguments.slice(-2)).toEqual([
      'unmatched onnx::MatMul_649',
      'unmatched rotary.inv_freq',
    ]);
  });

  it('holds with copies under other names, each named in what is signed', async () => {
    const source = await sourceOf(model('llama-tiny'));
    const old = 'model.embed_tokens.weight';
    const tensor = source.get(old)!;
    source.delete(old);
    source.set('embeddings.weight', tensor);
    const check = await checkExport(model('llama-tiny'), await written(source));
    expect(check.valid).toBe(true);
    const match = { initializer: old, tensors: ['embeddings.weight'] };
    expect(renamedTensors(check)).toEqual([match]);
    const renames = exportEdge(check, '1').step?.arguments.filter((text) => text.startsWith('rename '));
    expect(renames).toEqual([`rename ${old} embeddings.weight`]);
  });

  it('tells a transpose from a reshape, and another dtype', async () => {
    const source = await sourceOf(model('llama-tiny'));
    const turned = source.get('linear.649.weight')!;
    source.set('linear.649.weight', { ...turned, data: transpose(turned).data });
    const norm = source.get('model.layers.0.input_layernorm.weight')!;
    source.set('model.layers.0.input_layernorm.weight', { ...norm, dtype: 'I32' });
    const { unmatchedInitializers } = await checkExport(model('llama-tiny'), await written(source));
    expect(unmatchedInitializers).toEqual(['model.layers.0.input_layernorm.weight', 'onnx::MatMul_649']);
  });
});

describe('tied weights', () => {
  it('account for every tensor with their content', async () => {
    const source = await sourceOf(model('llama-tiny'));
    source.set('lm_head.weight', source.get('model.embed_tokens.weight')!);
    const check = await checkExport(model('llama-tiny'), await written(source));
    expect(check.valid).toBe(true);
    expect(check.copied[0]).toEqual({
      initializer: 'model.embed_tokens.weight',
      tensors: ['model.embed_tokens.weight', 'lm_head.weight'],
    });
  });
});

describe('the digest of a transpose', () => {
  it.each([
    ['F32', 4, 3, 5],
    ['F16', 2, 7, 1],
    ['U8', 1, 1, 9],
    ['F64', 8, 6, 6],
    ['F32', 4, 0, 3],
  ] as const)(
    'is that of the transposed data, in any pieces and any memory: %s',
    async (dtype, size, rows, columns) => {
      const data = pattern(rows * columns * size, rows + columns);
      const expected = bytesToHex(sha256(transpose({ dtype, shape: [rows, columns], data }, size).data));
      for (const memory of [1, rows * size * 2, 2 ** 20]) {
        for (const piece of [1, 3, 7, 1000]) {
          const tensor: TensorSource = {
            name: 't',
            dtype,
            shape: [rows, columns],
            bytes: data.length,
            stream: async (consume) => {
              for (let at = 0; at < data.length; at += piece) consume(data.subarray(at, at + piece));
            },
          };
          expect(await transposedDigest(tensor, memory)).toBe(expected);
        }
      }
    },
  );

  it('is for matrices only', async () => {
    const tensor = { name: 't', dtype: 'F32', shape: [3], bytes: 12, stream: async () => undefined } as const;
    await expect(transposedDigest(tensor)).rejects.toMatchObject({ code: 'INTERNAL' });
  });
});

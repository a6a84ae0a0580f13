import { readFile } from 'node:fs/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ZkLoraError } from '../../src/errors.js';
import {
  GraphProtoSchema,
  ModelProtoSchema,
  SparseTensorProtoSchema,
} from '../../src/inference/gen/onnx_pb.js';
import { decodeModel, encodeModel } from '../../src/inference/onnx.js';
import { MAX_GRAPH_NODES, MAX_SUBGRAPH_DEPTH } from '../../src/inference/onnxScan.js';
import { planSplit } from '../../src/inference/split.js';
import { graph, graphAttribute, model, node, toyModel, toyModules } from './builder.js';

const FIXTURES = ['gpt2-tiny', 'llama-tiny'];

function modelOf(graphBytes: Uint8Array): Uint8Array {
  return new BinaryWriter().tag(7, WireType.LengthDelimited).bytes(graphBytes).finish();
}

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof ZkLoraError) return error.code;
    throw error;
  }
  return 'no error';
}

describe('decodeModel', () => {
  it.each(FIXTURES)('keeps every field of %s through decoding and encoding', async (name) => {
    const bytes = await readFile(`fixtures/${name}/base/model.onnx`);
    const once = encodeModel(decodeModel(bytes));
    // Fields that proto/onnx.proto does not list move behind the others; none is lost and none is added.
    expect(once.length).toBe(bytes.length);
    expect(Buffer.from(once).sort().equals(Buffer.from(bytes).sort())).toBe(true);
    expect(Buffer.from(encodeModel(decodeModel(once))).equals(once)).toBe(true);
  });

  it('keeps unknown fields at every level', () => {
    const original = toyModel();
    const stamp = (message: { $unknown?: unknown }) => {
      message.$unknown = [{ no: 99, wireType: WireType.LengthDelimited, data: Uint8Array.of(2, 7, 8) }];
    };
    stamp(original);
    stamp(original.graph);
    stamp(original.graph.node[0]!);
    stamp(original.graph.initializer[0]!);
    const decoded = decodeModel(encodeModel(original));
    for (const message of [decoded, decoded.graph, decoded.graph.node[0]!, decoded.graph.initializer[0]!]) {
      expect(message.$unknown).toEqual([{ no: 99, wireType: 2, data: Uint8Array.of(2, 7, 8) }]);
    }
  });

  it('refuses bytes that are no model', () => {
    for (const bytes of [
      new Uint8Array(),
      Uint8Array.of(0xff),
      Uint8Array.of(0x3a, 0x05, 1),
      Buffer.from('{"a":1}'),
    ]) {
      expect(codeOf(() => decodeModel(bytes))).toBe('ONNX_MALFORMED');
    }
  });

  it('refuses every truncation and any damage with a typed error', () => {
    const bytes = encodeModel(toyModel());
    for (let length = 0; length < bytes.length; length += 1) {
      const code = codeOf(() => decodeModel(bytes.subarray(0, length)));
      expect(['ONNX_MALFORMED', 'no error']).toContain(code);
    }
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        (edits) => {
          const damaged = Uint8Array.from(bytes);
          for (const [at, byte] of edits) damaged[at] = byte;
          const codes = [
            'ONNX_MALFORMED',
            'MODULE_NOT_FOUND',
            'SHAPE_MISMATCH',
            'BASE_MODEL_MISMATCH',
            'no error',
          ];
          expect(codes).toContain(
            codeOf(() => planSplit(decodeModel(damaged), toyModules(['proj', 'attn.v']))),
          );
        },
      ),
      { numRuns: 1000, seed: 1 },
    );
  });

  it('refuses more nodes than the limit before decoding them', () => {
    // An empty node takes two bytes.
    const nodes = new Uint8Array(2 * (MAX_GRAPH_NODES + 1));
    for (let i = 0; i < nodes.length; i += 2) nodes[i] = (1 << 3) | WireType.LengthDelimited;
    expect(() => decodeModel(modelOf(nodes))).toThrow(/number of nodes passes the limit/);
  });

  it.each([
    ['dimensions of a tensor', 1, Uint8Array.of(9, 1, 1, 1, 1, 1, 1, 1, 1, 1)],
    [
      'external_data entries',
      13,
      Uint8Array.of(
        0,
        ...Array(16)
          .fill([(13 << 3) | 2, 0])
          .flat(),
      ),
    ],
  ])('refuses a tensor with too many %s before decoding it', (what, field, body) => {
    const bytes = encodeModel(toyModel());
    const tensor = new BinaryWriter().tag(field, WireType.LengthDelimited).raw(body).finish();
    const main = new BinaryWriter().tag(5, WireType.LengthDelimited).bytes(tensor).finish();
    expect(() => decodeModel(Buffer.concat([bytes, modelOf(main)]))).toThrow(
      expect.objectContaining({ code: 'ONNX_MALFORMED', message: expect.stringContaining(what) }),
    );
  });

  it('refuses functions of the model, which hide nodes from the split', () => {
    const bytes = encodeModel(toyModel());
    const functions = new BinaryWriter().tag(25, WireType.LengthDelimited).bytes(new Uint8Array()).finish();
    expect(codeOf(() => decodeModel(bytes))).toBe('no error');
    for (const parts of [
      [bytes, functions],
      [functions, bytes],
    ]) {
      expect(() => decodeModel(Buffer.concat(parts))).toThrow(/functions of its own/);
      expect(codeOf(() => decodeModel(Buffer.concat(parts)))).toBe('ONNX_MALFORMED');
    }
  });

  it('refuses sparse tensors in graphs, subgraphs and attributes', () => {
    const sparse = { values: { name: 's', externalData: [{ key: 'location', value: '/etc/passwd' }] } };
    const identity = node('Identity', '', ['ids'], ['logits']);
    const withSparse = () => {
      const main = graph({ nodes: [identity] });
      main.sparseInitializer.push(create(SparseTensorProtoSchema, sparse));
      return main;
    };
    const attribute = (init: object) => graph({ nodes: [node('Constant', '', [], ['logits'], [init])] });
    for (const main of [
      withSparse(),
      graph({ nodes: [node('If', '', ['ids'], ['logits'], [graphAttribute('then_branch', withSparse())])] }),
      attribute({ name: 'sparse_value', sparseTensor: sparse }),
      attribute({ name: 'sparse_values', sparseTensors: [sparse] }),
    ]) {
      expect(() => decodeModel(encodeModel(model(main)))).toThrow(/sparse tensors/);
      expect(codeOf(() => decodeModel(encodeModel(model(main))))).toBe('ONNX_MALFORMED');
    }
  });

  it('refuses graphs nested too deep', () => {
    let inner = graph({ nodes: [node('Identity', '', ['ids'], ['logits'])] });
    for (let depth = 0; depth <= MAX_SUBGRAPH_DEPTH; depth += 1) {
      inner = graph({ nodes: [node('If', '', ['ids'], ['logits'], [graphAttribute('then_branch', inner)])] });
    }
    expect(() => decodeModel(toBinary(ModelProtoSchema, model(inner)))).toThrow(/subgraph depth/);
    expect(codeOf(() => decodeModel(modelOf(toBinary(GraphProtoSchema, inner))))).toBe('ONNX_MALFORMED');
  });
});

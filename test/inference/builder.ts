import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataType as DataType,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from '../../src/inference/gen/onnx_pb.js';
import type { Model } from '../../src/inference/onnx.js';

/** Small ONNX graphs by hand. */

export function node(
  opType: string,
  name: string,
  input: string[],
  output: string[],
  attribute: MessageInitShape<typeof NodeProtoSchema>['attribute'] = [],
): NodeProto {
  return create(NodeProtoSchema, { opType, name, input, output, attribute });
}

export function floats(name: string, dims: number[], values?: Float32Array): TensorProto {
  const size = dims.reduce((product, dim) => product * dim, 1);
  const data = values ?? Float32Array.from({ length: size }, (_, i) => Math.sin(i + name.length) / 4);
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: DataType.FLOAT,
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  });
}

export function value(name: string, elemType: DataType, shape: (number | string)[]) {
  return create(ValueInfoProtoSchema, {
    name,
    type: {
      value: {
        case: 'tensorType',
        value: {
          elemType,
          shape: {
            dim: shape.map((dim) => ({
              value:
                typeof dim === 'number'
                  ? { case: 'dimValue' as const, value: BigInt(dim) }
                  : { case: 'dimParam' as const, value: dim },
            })),
          },
        },
      },
    },
  });
}

export function graph(init: {
  nodes: NodeProto[];
  initializers?: TensorProto[];
  inputs?: string[];
  outputs?: string[];
}): GraphProto {
  return create(GraphProtoSchema, {
    name: 'test',
    node: init.nodes,
    initializer: init.initializers ?? [],
    input: (init.inputs ?? ['ids']).map((name) => value(name, DataType.INT64, ['batch', 'seq'])),
    output: (init.outputs ?? ['logits']).map((name) =>
      value(name, DataType.FLOAT, ['batch', 'seq', 'vocab']),
    ),
  });
}

export function model(main: GraphProto): Model {
  return create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: [{ domain: '', version: 14n }],
    graph: main,
  }) as Model;
}

export function graphAttribute(name: string, g: GraphProto) {
  return { name, type: AttributeType.GRAPH, g };
}

export function intAttribute(name: string, i: number) {
  return { name, type: AttributeType.INT, i: BigInt(i) };
}

export const VOCABULARY = 11;
export const WIDTH = 6;

/** ids -> embedding -> q, k, v on one tensor -> q * k + v -> proj with bias -> If around a residual -> head. */
export function toyModel(): Model {
  const residual = (name: string, op: string): GraphProto =>
    create(GraphProtoSchema, {
      name,
      // Both read values of the outer graph: "mixed" and, through the target, "/proj/Add_output".
      node: [node(op, '', ['/proj/Add_output', 'mixed'], [`${name}_out`])],
      output: [value(`${name}_out`, DataType.FLOAT, ['batch', 'seq', WIDTH])],
    });
  return model(
    graph({
      initializers: [
        floats('embedding', [VOCABULARY, WIDTH]),
        floats('wq', [WIDTH, WIDTH]),
        floats('wk', [WIDTH, WIDTH]),
        floats('wv', [WIDTH, WIDTH]),
        floats('wp', [WIDTH, WIDTH]),
        floats('bp', [WIDTH]),
        floats('wh', [WIDTH, VOCABULARY]),
        create(TensorProtoSchema, {
          name: 'yes',
          dims: [],
          dataType: DataType.BOOL,
          rawData: Uint8Array.of(1),
        }),
      ],
      nodes: [
        node('Gather', '/embed/Gather', ['embedding', 'ids'], ['x']),
        node('Identity', '/Identity', ['wv'], ['wv_shared']),
        node('MatMul', '/attn/q/MatMul', ['x', 'wq'], ['q']),
        node('MatMul', '/attn/k/MatMul', ['x', 'wk'], ['k']),
        node('MatMul', '/attn/v/MatMul', ['x', 'wv_shared'], ['v']),
        node('Mul', '/attn/Mul', ['q', 'k'], ['qk']),
        node('Add', '/attn/Add', ['qk', 'v'], ['mixed']),
        node('MatMul', '/proj/MatMul', ['mixed', 'wp'], ['/proj/MatMul_output']),
        node('Add', '/proj/Add', ['bp', '/proj/MatMul_output'], ['/proj/Add_output']),
        node(
          'If',
          '/If',
          ['yes'],
          ['after'],
          [
            graphAttribute('then_branch', residual('then', 'Add')),
            graphAttribute('else_branch', residual('else', 'Mul')),
          ],
        ),
        node('MatMul', '/head/MatMul', ['after', 'wh'], ['logits']),
      ],
    }),
  );
}

export function toyModules(names: string[]) {
  return names.map((name) => ({
    name,
    inFeatures: WIDTH,
    outFeatures: name === 'head' ? VOCABULARY : WIDTH,
  }));
}

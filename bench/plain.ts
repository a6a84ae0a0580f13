/**
 * The deltas without any proof, in float32: `node plain.js <folder of a row> <tokens>`.
 *
 * Y = (X A^T) B^T of every module by onnxruntime's matrix products on all cores: the lower bound of every proof. Prints one
 * line of JSON.
 */
import { availableParallelism } from 'node:os';
import { create, toBinary } from '@bufbuild/protobuf';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorProto_DataType,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from '../src/inference/gen/onnx_pb.js';
import { readModules } from './store.js';
import { syntheticActivations } from './synthetic.js';

/** What a child prints. */
export interface PlainResult {
  /** All modules, the first time. */
  readonly seconds: number;
  /** Shortest of the later times. */
  readonly warmSeconds: number;
}

const REPEATS = 5;

/** z = x a^T, y = z b: inputs x `[T, n]`, a `[r, n]`, b `[r, k]`. */
function model(): Uint8Array {
  const value = (name: string) =>
    create(ValueInfoProtoSchema, {
      name,
      type: create(TypeProtoSchema, {
        value: {
          case: 'tensorType',
          value: create(TypeProto_TensorSchema, {
            elemType: TensorProto_DataType.FLOAT,
            shape: create(TensorShapeProtoSchema, {
              dim: [0, 1].map((axis) =>
                create(TensorShapeProto_DimensionSchema, {
                  value: { case: 'dimParam', value: `${name}${axis}` },
                }),
              ),
            }),
          }),
        },
      }),
    });
  const transposed = create(AttributeProtoSchema, {
    name: 'transB',
    type: AttributeProto_AttributeType.INT,
    i: 1n,
  });
  const graph = create(GraphProtoSchema, {
    name: 'lora',
    input: [value('x'), value('a'), value('b')],
    output: [value('y')],
    node: [
      create(NodeProtoSchema, { opType: 'Gemm', input: ['x', 'a'], output: ['z'], attribute: [transposed] }),
      create(NodeProtoSchema, { opType: 'Gemm', input: ['z', 'b'], output: ['y'] }),
    ],
  });
  const opsetImport = [create(OperatorSetIdProtoSchema, { domain: '', version: 17n })];
  return toBinary(ModelProtoSchema, create(ModelProtoSchema, { irVersion: 8n, opsetImport, graph }));
}

async function main(): Promise<void> {
  const [dir, tokens] = [process.argv[2]!, Number(process.argv[3])];
  const session = await InferenceSession.create(model(), { intraOpNumThreads: availableParallelism() });
  const feeds = (await readModules(dir)).map(({ a, bT, rank, inFeatures, outFeatures }, i) => {
    const { x } = syntheticActivations(tokens, inFeatures, i);
    return {
      x: new Tensor('float32', Float32Array.from(x), [tokens, inFeatures]),
      a: new Tensor('float32', Float32Array.from(a), [rank, inFeatures]),
      b: new Tensor('float32', Float32Array.from(bT), [rank, outFeatures]),
    };
  });
  const times: number[] = [];
  for (let i = 0; i < REPEATS; i++) {
    const start = performance.now();
    for (const feed of feeds) await session.run(feed);
    times.push((performance.now() - start) / 1e3);
  }
  const result: PlainResult = { seconds: times[0]!, warmSeconds: Math.min(...times.slice(1)) };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

await main();

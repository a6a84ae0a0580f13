import { create } from '@bufbuild/protobuf';
import type { InferenceSession } from 'onnxruntime-node';
import { ZkLoraError } from '../errors.js';
import { INLINE_BYTES } from './externalData.js';
import {
  TensorProto_DataType as DataType,
  GraphProtoSchema,
  type TensorProto,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from './gen/onnx_pb.js';
import { printable } from './graph.js';
import { elementType, type Model } from './onnx.js';
import { type SplitPlan, withGraph } from './split.js';

const ELEMENT_TYPES: Readonly<Record<string, DataType>> = {
  float32: DataType.FLOAT,
  uint8: DataType.UINT8,
  int8: DataType.INT8,
  uint16: DataType.UINT16,
  int16: DataType.INT16,
  int32: DataType.INT32,
  int64: DataType.INT64,
  string: DataType.STRING,
  bool: DataType.BOOL,
  float16: DataType.FLOAT16,
  float64: DataType.DOUBLE,
  uint32: DataType.UINT32,
  uint64: DataType.UINT64,
};

/** Opens a session that is never run, without graph optimisation. */
export type OpenProbe = (model: Uint8Array<ArrayBuffer>) => Promise<InferenceSession>;

/**
 * The uncut graph with every cut tensor as an output and large weights as inputs; small ones stay, since shapes may
 * follow from their values.
 */
export function probeModel(model: Model, plan: SplitPlan): Model {
  const { graph } = model;
  const kept: TensorProto[] = [];
  const asInputs: ValueInfoProto[] = [];
  for (const tensor of graph.initializer) {
    if (tensor.rawData.length <= INLINE_BYTES && tensor.externalData.length === 0) kept.push(tensor);
    else asInputs.push(valueInfo(tensor.name, tensor.dataType, tensor.dims.map(Number)));
  }
  const moved = new Set(asInputs.map((info) => info.name));
  return withGraph(
    model,
    create(GraphProtoSchema, {
      name: 'probe',
      node: graph.node,
      initializer: kept,
      input: [...graph.input.filter((info) => !moved.has(info.name)), ...asInputs],
      output: cutValues(plan).map((name) => create(ValueInfoProtoSchema, { name })),
    }),
  );
}

/** Values of the uncut graph that cross a cut or leave the model. */
function cutValues(plan: SplitPlan): string[] {
  const uncut = new Map(plan.targets.map((target) => [target.base, target.output]));
  const names = new Set<string>();
  for (const stage of plan.stages) for (const name of stage.outputs) names.add(uncut.get(name) ?? name);
  return [...names].filter((name) => plan.graph.producers.has(name));
}

/**
 * Types and shapes of all values that cross a cut, by name.
 *
 * @throws ZkLoraError `ONNX_MALFORMED` when the runtime refuses the graph or a cut value is no tensor,
 * `BASE_MODEL_MISMATCH` when a target does not compute in float32.
 */
export async function cutTypes(
  model: Model,
  plan: SplitPlan,
  open: OpenProbe,
  encode: (model: Model) => Uint8Array<ArrayBuffer>,
): Promise<Map<string, ValueInfoProto>> {
  const types = new Map<string, ValueInfoProto>();
  for (const info of model.graph.input) types.set(info.name, info);
  const session = await open(encode(probeModel(model, plan)));
  try {
    for (const meta of session.outputMetadata) {
      if (!meta.isTensor) {
        throw new ZkLoraError('ONNX_MALFORMED', `the value ${printable(meta.name)} at a cut is not a tensor`);
      }
      types.set(meta.name, valueInfo(meta.name, ELEMENT_TYPES[meta.type] ?? DataType.UNDEFINED, meta.shape));
    }
  } finally {
    await session.release();
  }
  for (const target of plan.targets) {
    const output = types.get(target.output);
    const input = types.get(target.input);
    if (!isFloat(output) || !isFloat(input)) {
      throw new ZkLoraError(
        'BASE_MODEL_MISMATCH',
        `the module behind ${printable(target.output)} computes neither in float32 nor in float16; export the model in float32`,
      );
    }
    const { base, delta } = target;
    types.set(base, create(ValueInfoProtoSchema, { name: base, ...(output?.type && { type: output.type }) }));
    types.set(delta, asFloat32(delta, output));
  }
  return types;
}

function isFloat(info: ValueInfoProto | undefined): boolean {
  const type = elementType(info);
  return type === DataType.FLOAT || type === DataType.FLOAT16;
}

/** A float32 tensor of the shape of another. */
function asFloat32(name: string, like: ValueInfoProto | undefined): ValueInfoProto {
  const value = like?.type?.value;
  const shape = value?.case === 'tensorType' ? value.value.shape : undefined;
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: 'tensorType', value: { elemType: DataType.FLOAT, ...(shape && { shape }) } } },
  });
}

/** An empty shape says nothing: the runtime reports unknown ranks so, and scalars as well. */
function valueInfo(name: string, elemType: number, shape: readonly (number | string)[]): ValueInfoProto {
  const dim = shape.map((size) => ({
    value:
      typeof size === 'number'
        ? { case: 'dimValue' as const, value: BigInt(size) }
        : size === ''
          ? { case: undefined }
          : { case: 'dimParam' as const, value: size },
  }));
  return create(ValueInfoProtoSchema, {
    name,
    type: {
      value: {
        case: 'tensorType',
        value: shape.length === 0 ? { elemType } : { elemType, shape: { dim } },
      },
    },
  });
}

import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { ZkLoraError } from '../errors.js';
import { type GraphProto, type ModelProto, ModelProtoSchema, type ValueInfoProto } from './gen/onnx_pb.js';
import { scanModel } from './onnxScan.js';

/** Protobuf's own limit for one message; larger models keep their weights in external data. */
export const MAX_MODEL_BYTES = 2 ** 31 - 1;

/** A decoded model that has a graph. */
export type Model = ModelProto & { graph: GraphProto };

/**
 * Decodes an ONNX model. Fields that proto/onnx.proto does not list are kept and written back by
 * {@link encodeModel}.
 *
 * @throws ZkLoraError `ONNX_MALFORMED`
 */
export function decodeModel(bytes: Uint8Array): Model {
  if (bytes.length > MAX_MODEL_BYTES) {
    throw new ZkLoraError('ONNX_MALFORMED', `the model file is larger than ${MAX_MODEL_BYTES} bytes`);
  }
  scanModel(bytes);
  let model: ModelProto;
  try {
    model = fromBinary(ModelProtoSchema, bytes);
  } catch (error) {
    throw new ZkLoraError('ONNX_MALFORMED', 'the model file is not a valid ONNX message; export it again', {
      cause: error,
    });
  }
  if (model.graph === undefined || model.graph.node.length === 0) {
    throw new ZkLoraError('ONNX_MALFORMED', 'the model file holds no graph; is it an ONNX model?');
  }
  return model as Model;
}

/** Bytes of a model, unknown fields included. */
export function encodeModel(model: ModelProto): Uint8Array<ArrayBuffer> {
  return toBinary(ModelProtoSchema, model);
}

/** Element type of a tensor (`TensorProto.DataType`); undefined for anything else. */
export function elementType(info: ValueInfoProto | undefined): number | undefined {
  const value = info?.type?.value;
  return value?.case === 'tensorType' ? value.value.elemType : undefined;
}

import { dirname } from 'node:path';
import { DTYPE_BYTES, type Dtype } from '../adapter/dtype.js';
import { quoted } from '../adapter/quoted.js';
import { MAX_DIMENSIONS } from '../adapter/safetensors.js';
import { type OpenFile, openConfined, openRegular, streamRange } from './confined.js';
import {
  MAX_CHECKPOINT_TENSORS,
  MAX_EXTERNAL_ENTRIES,
  MAX_SHARDS,
  MAX_TENSOR_NAME_BYTES,
  MAX_VARINT_DATA_BYTES,
} from './limits.js';
import { externalRange, weightsMalformed as malformed } from './onnxExternal.js';
import { decodeVarints, ONNX_DTYPES, typedField } from './onnxValues.js';
import { ProtobufFile, type WireField } from './protobufFile.js';
import { type Checkpoint, dataLength, type TensorSource } from './tensorSource.js';

// Field numbers of onnx.proto.
const MODEL_GRAPH = 7;
const GRAPH_INITIALIZER = 5;
const GRAPH_SPARSE_INITIALIZER = 15;
const DIMS = 1;
const DATA_TYPE = 2;
const SEGMENT = 3;
const NAME = 8;
const RAW_DATA = 9;
const EXTERNAL_DATA = 13;
const DATA_LOCATION = 14;
const TYPED_DATA: ReadonlySet<number> = new Set([4, 5, 6, 7, 10, 11]);
const VARINT_DATA: ReadonlySet<number> = new Set([5, 7, 11]);
const EXTERNAL = 1;

/** Fields that one tensor's values are spread over; exporters write one packed field. */
const MAX_DATA_PARTS = 16;

interface Range {
  readonly begin: number;
  readonly end: number;
}

/** What an initializer's message says, before it is understood. */
interface RawTensor {
  name: string | undefined;
  dataType: number | undefined;
  location: number | undefined;
  raw: Range | undefined;
  readonly dims: number[];
  readonly typed: Map<number, Range[]>;
  readonly external: Map<string, string>;
}

/** A {@link Checkpoint} with the data files of its model, by the name that the model gives them. */
export interface OnnxCheckpoint extends Checkpoint {
  readonly dataFiles: ReadonlyMap<string, OpenFile>;
}

/**
 * Opens the initializers of an ONNX model's main graph as a checkpoint, embedded or in external data, without
 * reading their data. Constants inside nodes and subgraphs belong to the graph, not to the checkpoint.
 *
 * @throws ZkLoraError `ONNX_MALFORMED`, `CHECKPOINT_MALFORMED` (a data file outside the folder),
 *   `FILE_NOT_FOUND`, `FILE_UNREADABLE`
 */
export async function openOnnxCheckpoint(path: string): Promise<OnnxCheckpoint> {
  const model = await openRegular(path, 'ONNX model');
  const files = new Map<string, OpenFile>();
  const close = async () => {
    await model.handle.close();
    for (const { handle } of files.values()) await handle.close();
  };
  const dataFile = async (name: string) => {
    const known = files.get(name);
    if (known !== undefined) return known;
    if (files.size === MAX_SHARDS) throw malformed(`it names more than ${MAX_SHARDS} data files`);
    const file = await openConfined(dirname(path), name, 'ONNX external data');
    files.set(name, file);
    return file;
  };
  try {
    const wire = new ProtobufFile(model);
    const tensors: TensorSource[] = [];
    const names = new Set<string>();
    let graphs = 0;
    for await (const graph of wire.fields(0, model.size)) {
      if (graph.number !== MODEL_GRAPH || graph.wireType !== 2) continue;
      if (++graphs > 1) throw malformed('it holds two graphs');
      for await (const field of wire.fields(graph.begin, graph.end)) {
        if (field.number === GRAPH_SPARSE_INITIALIZER) {
          throw malformed('it has sparse initializers, which are not supported');
        }
        if (field.number !== GRAPH_INITIALIZER || field.wireType !== 2) continue;
        const tensor = await source(await readTensor(wire, field), wire, model, dataFile);
        if (names.has(tensor.name)) throw malformed(`initializer ${quoted(tensor.name)} appears twice`);
        if (names.size === MAX_CHECKPOINT_TENSORS) {
          throw malformed(`it has more than ${MAX_CHECKPOINT_TENSORS} initializers`);
        }
        names.add(tensor.name);
        tensors.push(tensor);
      }
    }
    if (graphs === 0) throw malformed('it holds no graph; is it an ONNX model?');
    return { container: 'onnx', tensors, dataFiles: files, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function readTensor(wire: ProtobufFile, message: Range): Promise<RawTensor> {
  const tensor: RawTensor = {
    name: undefined,
    dataType: undefined,
    location: undefined,
    raw: undefined,
    dims: [],
    typed: new Map(),
    external: new Map(),
  };
  for await (const field of wire.fields(message.begin, message.end)) {
    const { number, wireType, value, begin, end } = field;
    if (number === SEGMENT) throw malformed('an initializer is a segment of a tensor');
    if (TYPED_DATA.has(number)) {
      const ranges = tensor.typed.get(number) ?? [];
      ranges.push({ begin, end });
      if (ranges.length > MAX_DATA_PARTS) throw malformed('an initializer is stored in too many parts');
      tensor.typed.set(number, ranges);
    } else if (number === DIMS) {
      if (wireType === 0) tensor.dims.push(value);
      else tensor.dims.push(...(await packed(wire, field)));
      if (tensor.dims.length > MAX_DIMENSIONS)
        throw malformed(`an initializer has more than ${MAX_DIMENSIONS} dimensions`);
    } else if (number === DATA_TYPE) {
      tensor.dataType = once(tensor.dataType, value);
    } else if (number === DATA_LOCATION) {
      tensor.location = once(tensor.location, value);
    } else if (number === NAME) {
      tensor.name = once(tensor.name, await text(wire, field, MAX_TENSOR_NAME_BYTES));
    } else if (number === RAW_DATA) {
      tensor.raw = once(tensor.raw, { begin, end });
    } else if (number === EXTERNAL_DATA) {
      await readExternalEntry(wire, field, tensor.external);
    }
  }
  return tensor;
}

/** Dimensions as one packed field. */
async function packed(wire: ProtobufFile, { begin, end }: Range): Promise<number[]> {
  const bytes = await wire.bytes(begin, end, 10 * MAX_DIMENSIONS, 'the shape of an initializer');
  const values: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    let value = 0;
    for (let place = 0; ; place++) {
      const byte = bytes[at++];
      if (byte === undefined || place === 10) throw malformed('an initializer has a broken shape');
      value += (byte & 0x7f) * 2 ** (7 * place);
      if (byte < 0x80) break;
    }
    values.push(value);
  }
  return values;
}

async function readExternalEntry(
  wire: ProtobufFile,
  message: Range,
  external: Map<string, string>,
): Promise<void> {
  let key: string | undefined;
  let value: string | undefined;
  for await (const field of wire.fields(message.begin, message.end)) {
    if (field.number === 1) key = once(key, await text(wire, field, MAX_TENSOR_NAME_BYTES));
    else if (field.number === 2) value = once(value, await text(wire, field, 4096));
  }
  if (key === undefined || external.has(key) || external.size === MAX_EXTERNAL_ENTRIES) {
    throw malformed('an initializer has a broken external_data entry');
  }
  external.set(key, value ?? '');
}

async function text(wire: ProtobufFile, field: WireField, maxBytes: number): Promise<string> {
  if (field.wireType !== 2) throw malformed('an initializer has a field of the wrong type');
  const bytes = await wire.bytes(field.begin, field.end, maxBytes, 'a name in the model');
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw malformed('a name is not UTF-8 text');
  }
}

async function source(
  raw: RawTensor,
  wire: ProtobufFile,
  model: OpenFile,
  dataFile: (name: string) => Promise<OpenFile>,
): Promise<TensorSource> {
  const { name, dims: shape } = raw;
  if (name === undefined || name === '') throw malformed('an initializer has no name');
  const label = `initializer ${quoted(name)}`;
  const dtype = ONNX_DTYPES.get(raw.dataType ?? 0);
  if (dtype === undefined) {
    throw malformed(`${label} has data type ${raw.dataType ?? 0}, which checkpoints do not support`);
  }
  if (!shape.every(Number.isSafeInteger)) throw malformed(`${label} has a negative or too large dimension`);
  const bytes = dataLength(shape, DTYPE_BYTES[dtype]);
  const kinds = (raw.raw ? 1 : 0) + raw.typed.size + (raw.external.size > 0 ? 1 : 0);
  if (kinds > 1) throw malformed(`${label} stores its data twice`);
  if ((raw.location === EXTERNAL) !== raw.external.size > 0) {
    throw malformed(`${label} does not say clearly whether its data is external`);
  }
  const common = { name, dtype, shape, bytes };
  if (raw.external.size > 0) {
    const { file, begin } = await externalRange(raw.external, bytes, label, dataFile);
    return { ...common, stream: (consume) => streamRange(file, begin, begin + bytes, consume) };
  }
  const [field, typed] = [...raw.typed][0] ?? [undefined, []];
  if (field !== undefined && field !== typedField(dtype)) {
    throw malformed(`${label} stores its data in the field of another type`);
  }
  const ranges = raw.raw ? [raw.raw] : typed;
  const stored = ranges.reduce((sum, { begin, end }) => sum + end - begin, 0);
  if (field !== undefined && VARINT_DATA.has(field)) {
    if (stored > MAX_VARINT_DATA_BYTES)
      throw malformed(`${label} is too large to be stored without raw_data`);
    const count = bytes / DTYPE_BYTES[dtype];
    return { ...common, stream: (consume) => streamVarints(wire, ranges, dtype, count, consume) };
  }
  if (stored !== bytes)
    throw malformed(`${label} has ${stored} bytes of data where its shape needs ${bytes}`);
  return {
    ...common,
    stream: async (consume) => {
      for (const { begin, end } of ranges) await streamRange(model, begin, end, consume);
    },
  };
}

async function streamVarints(
  wire: ProtobufFile,
  ranges: readonly Range[],
  dtype: Dtype,
  count: number,
  consume: (piece: Uint8Array) => void,
): Promise<void> {
  const parts: Uint8Array[] = [];
  for (const { begin, end } of ranges) {
    parts.push(await wire.bytes(begin, end, MAX_VARINT_DATA_BYTES, 'an initializer'));
  }
  consume(decodeVarints(Buffer.concat(parts), dtype, count));
}

function once<T>(before: T | undefined, value: T): T {
  if (before !== undefined) throw malformed('an initializer has a field twice');
  return value;
}

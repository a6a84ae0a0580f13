import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { MAX_EXTERNAL_ENTRIES } from '../checkpoint/limits.js';
import { ZkLoraError } from '../errors.js';

/** Nodes of a model, subgraphs included. A 126-layer Llama has about 30,000. */
export const MAX_GRAPH_NODES = 200_000;
/** Initializers and value descriptions, subgraphs included. */
export const MAX_GRAPH_VALUES = 400_000;
/** Attributes of all nodes. */
export const MAX_GRAPH_ATTRIBUTES = 1_000_000;
/** Input and output names of all nodes. */
export const MAX_GRAPH_EDGES = 2_000_000;
/** Metadata entries of all nodes: torch writes six for each. */
export const MAX_GRAPH_METADATA = 2_000_000;
/** Dimensions of a stored tensor; torch's have at most 5. */
export const MAX_TENSOR_DIMENSIONS = 8;
/** Fields of all messages that are walked; the counts above come to less. */
export const MAX_MODEL_FIELDS = 16_000_000;
/** Graphs inside graphs (If, Loop, Scan). */
export const MAX_SUBGRAPH_DEPTH = 8;

interface Counts {
  nodes: number;
  values: number;
  attributes: number;
  edges: number;
  metadata: number;
  fields: number;
}

// Field numbers of proto/onnx.proto.
const MODEL_GRAPH = 7;
const MODEL_FUNCTIONS = 25;
const GRAPH_NODE = 1;
const GRAPH_INITIALIZER = 5;
const GRAPH_VALUES = new Set([5, 11, 12, 13]);
const GRAPH_SPARSE_INITIALIZER = 15;
const NODE_INPUT = 1;
const NODE_OUTPUT = 2;
const NODE_ATTRIBUTE = 5;
const NODE_METADATA = 9;
const TENSOR_DIMS = 1;
const TENSOR_EXTERNAL_DATA = 13;
const ATTRIBUTE_TENSORS = new Set([5, 10]);
const ATTRIBUTE_GRAPH = 6;
const ATTRIBUTE_GRAPHS = 11;
const ATTRIBUTE_SPARSE_TENSORS = new Set([22, 23]);

/**
 * Counts what a model file holds before anything is allocated for it, and refuses what the split does not follow:
 * functions of the model's own, and sparse tensors.
 *
 * @throws ZkLoraError `ONNX_MALFORMED` when the wire format is broken or a count passes its limit.
 */
export function scanModel(bytes: Uint8Array): void {
  const counts: Counts = { nodes: 0, values: 0, attributes: 0, edges: 0, metadata: 0, fields: 0 };
  try {
    eachField(bytes, counts, (field, body) => {
      if (field === MODEL_GRAPH) scanGraph(body, counts, 0);
      else if (field === MODEL_FUNCTIONS) unsupported('functions of its own');
    });
  } catch (error) {
    if (error instanceof ZkLoraError) throw error;
    throw new ZkLoraError(
      'ONNX_MALFORMED',
      'the model file is not a whole protobuf message; export it again',
      {
        cause: error,
      },
    );
  }
}

function scanGraph(bytes: Uint8Array, counts: Counts, depth: number): void {
  if (depth > MAX_SUBGRAPH_DEPTH) limit('subgraph depth', MAX_SUBGRAPH_DEPTH);
  eachField(bytes, counts, (field, body) => {
    if (field === GRAPH_NODE) {
      counts.nodes += 1;
      if (counts.nodes > MAX_GRAPH_NODES) limit('number of nodes', MAX_GRAPH_NODES);
      scanNode(body, counts, depth);
    } else if (GRAPH_VALUES.has(field)) {
      counts.values += 1;
      if (counts.values > MAX_GRAPH_VALUES) limit('number of values', MAX_GRAPH_VALUES);
      if (field === GRAPH_INITIALIZER) scanTensor(body, counts);
    } else if (field === GRAPH_SPARSE_INITIALIZER) unsupported('sparse tensors');
  });
}

function scanNode(bytes: Uint8Array, counts: Counts, depth: number): void {
  eachField(bytes, counts, (field, body) => {
    if (field === NODE_INPUT || field === NODE_OUTPUT) {
      counts.edges += 1;
      if (counts.edges > MAX_GRAPH_EDGES) limit('number of edges', MAX_GRAPH_EDGES);
    } else if (field === NODE_ATTRIBUTE) {
      counts.attributes += 1;
      if (counts.attributes > MAX_GRAPH_ATTRIBUTES) limit('number of attributes', MAX_GRAPH_ATTRIBUTES);
      eachField(body, counts, (inner, message) => {
        if (inner === ATTRIBUTE_GRAPH || inner === ATTRIBUTE_GRAPHS) scanGraph(message, counts, depth + 1);
        else if (ATTRIBUTE_TENSORS.has(inner)) scanTensor(message, counts);
        else if (ATTRIBUTE_SPARSE_TENSORS.has(inner)) unsupported('sparse tensors');
      });
    } else if (field === NODE_METADATA) {
      counts.metadata += 1;
      if (counts.metadata > MAX_GRAPH_METADATA) limit('number of metadata entries', MAX_GRAPH_METADATA);
    }
  });
}

function scanTensor(bytes: Uint8Array, counts: Counts): void {
  let dimensions = 0;
  let external = 0;
  eachField(bytes, counts, (field, body, wireType) => {
    if (field === TENSOR_DIMS) {
      // packed, each varint ends with a byte below 128; or one field for each
      dimensions += wireType === WireType.LengthDelimited ? body.filter((byte) => byte < 0x80).length : 1;
      if (dimensions > MAX_TENSOR_DIMENSIONS)
        limit('number of dimensions of a tensor', MAX_TENSOR_DIMENSIONS);
    } else if (field === TENSOR_EXTERNAL_DATA) {
      external += 1;
      if (external > MAX_EXTERNAL_ENTRIES) limit('number of external_data entries', MAX_EXTERNAL_ENTRIES);
    }
  });
}

/** Calls `visit` for each field; fields that are not length-delimited come with an empty body. */
function eachField(
  bytes: Uint8Array,
  counts: Counts,
  visit: (field: number, body: Uint8Array, wireType: WireType) => void,
): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    counts.fields += 1;
    if (counts.fields > MAX_MODEL_FIELDS) limit('number of fields', MAX_MODEL_FIELDS);
    const [field, wireType] = reader.tag();
    if (wireType === WireType.LengthDelimited) visit(field, reader.bytes(), wireType);
    else {
      reader.skip(wireType, field);
      visit(field, EMPTY, wireType);
    }
  }
}

const EMPTY = new Uint8Array();

function unsupported(what: string): never {
  throw new ZkLoraError('ONNX_MALFORMED', `the model has ${what}, which is not supported; export it without`);
}

function limit(what: string, max: number): never {
  throw new ZkLoraError('ONNX_MALFORMED', `the model's ${what} passes the limit of ${max}`);
}

import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { ZkLoraError } from '../errors.js';

/** Nodes of a model, subgraphs included. A 126-layer Llama has about 30,000. */
export const MAX_GRAPH_NODES = 200_000;
/** Initializers and value descriptions, subgraphs included. */
export const MAX_GRAPH_VALUES = 400_000;
/** Attributes of all nodes. */
export const MAX_GRAPH_ATTRIBUTES = 1_000_000;
/** Input and output names of all nodes. */
export const MAX_GRAPH_EDGES = 2_000_000;
/** Graphs inside graphs (If, Loop, Scan). */
export const MAX_SUBGRAPH_DEPTH = 8;

interface Counts {
  nodes: number;
  values: number;
  attributes: number;
  edges: number;
}

// Field numbers of proto/onnx.proto.
const MODEL_GRAPH = 7;
const MODEL_FUNCTIONS = 25;
const GRAPH_NODE = 1;
const GRAPH_VALUES = new Set([5, 11, 12, 13]);
const GRAPH_SPARSE_INITIALIZER = 15;
const NODE_INPUT = 1;
const NODE_OUTPUT = 2;
const NODE_ATTRIBUTE = 5;
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
  const counts: Counts = { nodes: 0, values: 0, attributes: 0, edges: 0 };
  try {
    eachField(bytes, (field, body) => {
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
  eachField(bytes, (field, body) => {
    if (field === GRAPH_NODE) {
      counts.nodes += 1;
      if (counts.nodes > MAX_GRAPH_NODES) limit('number of nodes', MAX_GRAPH_NODES);
      scanNode(body, counts, depth);
    } else if (GRAPH_VALUES.has(field)) {
      counts.values += 1;
      if (counts.values > MAX_GRAPH_VALUES) limit('number of values', MAX_GRAPH_VALUES);
    } else if (field === GRAPH_SPARSE_INITIALIZER) unsupported('sparse tensors');
  });
}

function scanNode(bytes: Uint8Array, counts: Counts, depth: number): void {
  eachField(bytes, (field, body) => {
    if (field === NODE_INPUT || field === NODE_OUTPUT) {
      counts.edges += 1;
      if (counts.edges > MAX_GRAPH_EDGES) limit('number of edges', MAX_GRAPH_EDGES);
    } else if (field === NODE_ATTRIBUTE) {
      counts.attributes += 1;
      if (counts.attributes > MAX_GRAPH_ATTRIBUTES) limit('number of attributes', MAX_GRAPH_ATTRIBUTES);
      eachField(body, (inner, graph) => {
        if (inner === ATTRIBUTE_GRAPH || inner === ATTRIBUTE_GRAPHS) scanGraph(graph, counts, depth + 1);
        else if (ATTRIBUTE_SPARSE_TENSORS.has(inner)) unsupported('sparse tensors');
      });
    }
  });
}

/** Calls `visit` for each length-delimited field; skips the others. */
function eachField(bytes: Uint8Array, visit: (field: number, body: Uint8Array) => void): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType === WireType.LengthDelimited) visit(field, reader.bytes());
    else reader.skip(wireType, field);
  }
}

function unsupported(what: string): never {
  throw new ZkLoraError('ONNX_MALFORMED', `the model has ${what}, which is not supported; export it without`);
}

function limit(what: string, max: number): never {
  throw new ZkLoraError('ONNX_MALFORMED', `the model's ${what} passes the limit of ${max}`);
}

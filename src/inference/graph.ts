import { ZkLoraError } from '../errors.js';
import type { GraphProto, NodeProto, TensorProto } from './gen/onnx_pb.js';
import { MAX_SUBGRAPH_DEPTH } from './onnxScan.js';

/** Longest value or node name; torch's scopes stay far below. */
export const MAX_NAME_LENGTH = 2048;

/** One node of the main graph with everything it reads and writes. */
export interface GraphNode {
  readonly proto: NodeProto;
  /** Values read, captures of subgraphs included; distinct. */
  readonly reads: readonly string[];
  /** Values written; optional outputs that are left out do not appear. */
  readonly writes: readonly string[];
  readonly hasSubgraph: boolean;
}

/** The main graph of a model, checked: sorted, every value defined once and before it is read. */
export interface Graph {
  readonly nodes: readonly GraphNode[];
  /** Names without stored values, in declaration order. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly initializers: ReadonlyMap<string, TensorProto>;
  /** Value name to index of the writing node. */
  readonly producers: ReadonlyMap<string, number>;
  /** Value name to indices of the reading nodes, ascending. */
  readonly readers: ReadonlyMap<string, readonly number[]>;
}

/**
 * Indexes and checks the main graph of a model.
 *
 * @throws ZkLoraError `ONNX_MALFORMED` for duplicate, undefined or unordered values and for cycles.
 */
export function indexGraph(graph: GraphProto): Graph {
  const initializers = new Map<string, TensorProto>();
  for (const tensor of graph.initializer) {
    const name = checkName(tensor.name);
    if (initializers.has(name)) duplicate(name);
    initializers.set(name, tensor);
  }

  const inputs: string[] = [];
  const defined = new Set(initializers.keys());
  const seenInputs = new Set<string>();
  for (const input of graph.input) {
    const name = checkName(input.name);
    if (seenInputs.has(name)) duplicate(name);
    seenInputs.add(name);
    // Before IR version 4 initializers were listed as inputs as well.
    if (initializers.has(name)) continue;
    inputs.push(name);
    defined.add(name);
  }

  const written = new Set<string>();
  for (const node of graph.node) for (const name of node.output) if (name !== '') written.add(name);

  const nodes: GraphNode[] = [];
  const producers = new Map<string, number>();
  const readers = new Map<string, number[]>();
  for (const [index, proto] of graph.node.entries()) {
    const node = describeNode(proto);
    for (const name of node.reads) {
      if (!defined.has(name)) undefinedValue(name, written.has(name));
      const list = readers.get(name);
      if (list === undefined) readers.set(name, [index]);
      else list.push(index);
    }
    for (const name of node.writes) {
      if (defined.has(name)) duplicate(name);
      defined.add(name);
      producers.set(name, index);
    }
    nodes.push(node);
  }

  const outputs = graph.output.map((output) => checkName(output.name));
  if (outputs.length === 0) throw new ZkLoraError('ONNX_MALFORMED', 'the model has no output');
  for (const name of outputs) if (!defined.has(name)) undefinedValue(name, false);
  if (new Set(outputs).size !== outputs.length) {
    throw new ZkLoraError('ONNX_MALFORMED', 'the model lists one output twice');
  }
  return { nodes, inputs, outputs, initializers, producers, readers };
}

function describeNode(proto: NodeProto): GraphNode {
  const reads = new Set<string>();
  for (const name of proto.input) if (name !== '') reads.add(checkName(name));
  const writes = proto.output.filter((name) => name !== '').map(checkName);
  let hasSubgraph = false;
  for (const attribute of proto.attribute) {
    refuseExternalData(attribute.t, ...attribute.tensors);
    for (const inner of subgraphs(attribute)) {
      hasSubgraph = true;
      for (const name of captures(inner, 1)) reads.add(name);
    }
  }
  return { proto, reads: [...reads], writes, hasSubgraph };
}

/** Graphs inside an attribute of a node. */
export function subgraphs(attribute: NodeProto['attribute'][number]): GraphProto[] {
  return attribute.g === undefined ? attribute.graphs : [attribute.g, ...attribute.graphs];
}

/** Names of the outer scope that a subgraph reads (ONNX IR specification, "Nested Subgraphs"). */
function captures(graph: GraphProto, depth: number): Set<string> {
  if (depth > MAX_SUBGRAPH_DEPTH) {
    throw new ZkLoraError('ONNX_MALFORMED', `the model nests graphs deeper than ${MAX_SUBGRAPH_DEPTH}`);
  }
  const local = new Set<string>();
  for (const input of graph.input) local.add(checkName(input.name));
  for (const tensor of graph.initializer) {
    refuseExternalData(tensor);
    local.add(checkName(tensor.name));
  }
  const outer = new Set<string>();
  const read = (name: string): void => {
    if (!local.has(name)) outer.add(name);
  };
  for (const node of graph.node) {
    for (const name of node.input) if (name !== '') read(checkName(name));
    for (const attribute of node.attribute) {
      refuseExternalData(attribute.t, ...attribute.tensors);
      for (const inner of subgraphs(attribute)) for (const name of captures(inner, depth + 1)) read(name);
    }
    for (const name of node.output) if (name !== '') local.add(checkName(name));
  }
  for (const output of graph.output) read(checkName(output.name));
  return outer;
}

/** External data of the main graph is checked and hashed (externalData.ts); exporters write no other. */
function refuseExternalData(...tensors: readonly (TensorProto | undefined)[]): void {
  for (const tensor of tensors) {
    if (tensor === undefined || tensor.externalData.length === 0) continue;
    throw new ZkLoraError(
      'ONNX_MALFORMED',
      'the model keeps external data inside a node or a subgraph, which is not supported; export it again',
    );
  }
}

function checkName(name: string | undefined): string {
  if (name === undefined || name === '' || name.length > MAX_NAME_LENGTH) {
    throw new ZkLoraError(
      'ONNX_MALFORMED',
      `the model has a value whose name is missing or longer than ${MAX_NAME_LENGTH} characters`,
    );
  }
  return name;
}

function duplicate(name: string): never {
  throw new ZkLoraError('ONNX_MALFORMED', `the model defines the value ${printable(name)} twice`);
}

function undefinedValue(name: string, later: boolean): never {
  const why = later ? 'before it is written: the graph is not sorted or has a cycle' : 'that nothing writes';
  throw new ZkLoraError('ONNX_MALFORMED', `the model reads the value ${printable(name)} ${why}`);
}

/** A name from a foreign file, fit for an error message. */
export function printable(name: string): string {
  const clean = name.replace(/[^\x20-\x7e]/g, '?');
  return `"${clean.length > 120 ? `${clean.slice(0, 117)}...` : clean}"`;
}

import { equalBytes } from '../bytes.js';
import type { NodeProto, TensorProto } from './gen/onnx_pb.js';
import type { Graph } from './graph.js';

/** Longest chain of Identity, Cast and Transpose nodes between a stored weight and its use. */
const MAX_WEIGHT_CHAIN = 16;

// Operators whose output is not determined by their inputs (ONNX operator specification).
const RANDOM_OPS = new Set([
  'Bernoulli',
  'Dropout',
  'Multinomial',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
]);

/**
 * Indices of the nodes that depend on stored values only, so that they may be repeated wherever they are
 * needed.
 *
 * @param excluded nodes that never count as static
 */
export function staticNodes(graph: Graph, excluded: ReadonlySet<number>): Set<number> {
  const found = new Set<number>();
  for (const [index, node] of graph.nodes.entries()) {
    if (excluded.has(index) || node.hasSubgraph || !isDeterministic(node.proto)) continue;
    const fixed = node.reads.every((name) => {
      const producer = graph.producers.get(name);
      return producer === undefined ? graph.initializers.has(name) : found.has(producer);
    });
    if (fixed) found.add(index);
  }
  return found;
}

function isDeterministic(node: NodeProto): boolean {
  return (node.domain === '' || node.domain === 'ai.onnx') && !RANDOM_OPS.has(node.opType);
}

/** A two-dimensional weight as a node sees it. */
export interface StaticMatrix {
  readonly rows: number;
  readonly columns: number;
  /** The stored tensor it comes from. */
  readonly tensor: TensorProto;
}

/** Follows Identity, Cast and Transpose back to a stored matrix; undefined when `name` is none. */
export function staticMatrix(graph: Graph, name: string): StaticMatrix | undefined {
  let transposed = false;
  let current = name;
  for (let step = 0; step < MAX_WEIGHT_CHAIN; step += 1) {
    const stored = graph.initializers.get(current);
    if (stored !== undefined) return matrix(stored, transposed);
    const producer = graph.producers.get(current);
    if (producer === undefined) return undefined;
    const node = graph.nodes[producer]!.proto;
    if (node.opType === 'Constant') {
      const value = node.attribute.find((attribute) => attribute.name === 'value')?.t;
      return value === undefined ? undefined : matrix(value, transposed);
    }
    if (node.opType === 'Transpose') {
      const perm = node.attribute.find((attribute) => attribute.name === 'perm')?.ints ?? [1n, 0n];
      if (perm.length !== 2) return undefined;
      if (perm[0] === 1n) transposed = !transposed;
    } else if (node.opType !== 'Identity' && node.opType !== 'Cast') {
      return undefined;
    }
    const next = node.input[0];
    if (next === undefined) return undefined;
    current = next;
  }
  return undefined;
}

function matrix(tensor: TensorProto, transposed: boolean): StaticMatrix | undefined {
  if (tensor.dims.length !== 2) return undefined;
  const [first, second] = [Number(tensor.dims[0]), Number(tensor.dims[1])];
  if (!(Number.isSafeInteger(first) && first > 0 && Number.isSafeInteger(second) && second > 0))
    return undefined;
  return transposed ? { rows: second, columns: first, tensor } : { rows: first, columns: second, tensor };
}

/** Whether two stored tensors hold equal data. */
export type SameData = (a: TensorProto, b: TensorProto) => boolean;

/** {@link SameData} of tensors inside the model file. */
export const sameEmbedded: SameData = (a, b) => a.rawData.length > 0 && equalBytes(a.rawData, b.rawData);

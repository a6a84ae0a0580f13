import { ZkLoraError } from '../errors.js';
import { type Graph, printable } from './graph.js';
import { missingModule } from './missingModule.js';
import { type NodeScope, nodeScope } from './moduleNames.js';
import { type SameData, sameEmbedded, staticMatrix } from './staticValues.js';

/** A module that the adapter changes. */
export interface ModuleShape {
  /** Path in the base model, e.g. `model.layers.0.self_attn.q_proj`. */
  readonly name: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
}

/** Where one module's delta enters the graph. */
export interface Target {
  /** Index in the list of modules. */
  readonly module: number;
  /** Index of the node that writes `output`: the projection, or the bias Add behind it. */
  readonly node: number;
  /** Input activations `[.., inFeatures]`. */
  readonly input: string;
  /** Output `[.., outFeatures]` that the delta is added to. */
  readonly output: string;
}

interface Projection {
  readonly index: number;
  readonly scope: string;
  readonly path: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
}

/**
 * Finds the projections that the adapter changes, by the module that the exporter recorded for a node (never by
 * weight: equal weights are merged by exporters).
 *
 * @param sameData whether two stored tensors have equal data
 * @throws ZkLoraError `MODULE_NOT_FOUND`, `SHAPE_MISMATCH`, `ONNX_MALFORMED` for a target name that two nodes
 * carry, `BASE_MODEL_MISMATCH` for a target that runs more than once in a forward pass, runs inside a subgraph, or
 * computes with anything but a plain product.
 */
export function findTargets(
  graph: Graph,
  modules: readonly ModuleShape[],
  sameData: SameData = sameEmbedded,
): Target[] {
  const byPath = new Map<string, Projection[]>();
  const scopes = new Map<string, Projection>();
  for (const projection of projections(graph)) {
    const list = byPath.get(projection.path);
    if (list === undefined) byPath.set(projection.path, [projection]);
    else list.push(projection);
    scopes.set(projection.scope, projection);
  }
  const prefix = wrapperPrefix(byPath, modules);
  const missing = modules.filter((module) => !byPath.has(prefix + module.name));
  if (missing.length > 0) throw missingModule(graph, missing, [...byPath.keys()]);

  const taken = new Set<number>();
  return modules.map((module, index) => {
    const found = byPath.get(prefix + module.name)!;
    const projection = found[0]!;
    refuseRepeatedCall(graph, [...found.slice(1), scopes.get(`${projection.scope}_1`)], projection, sameData);
    if (found.length > 1) {
      throw new ZkLoraError(
        'ONNX_MALFORMED',
        `two nodes of the model carry the name of ${printable(module.name)}`,
      );
    }
    if (taken.has(projection.index)) {
      throw new ZkLoraError('ADAPTER_MALFORMED', `the adapter names module ${printable(module.name)} twice`);
    }
    taken.add(projection.index);
    if (projection.inFeatures !== module.inFeatures || projection.outFeatures !== module.outFeatures) {
      throw new ZkLoraError(
        'SHAPE_MISMATCH',
        `module ${printable(module.name)} maps ${projection.inFeatures} to ${projection.outFeatures} features ` +
          `in the base model but ${module.inFeatures} to ${module.outFeatures} in the adapter; use the base ` +
          'model that the adapter was trained on',
      );
    }
    const { proto } = graph.nodes[projection.index]!;
    const node = biasAdd(graph, projection) ?? projection.index;
    return { module: index, node, input: proto.input[0]!, output: graph.nodes[node]!.writes[0]! };
  });
}

/**
 * What stands before every module's name in the base model: nothing, or the path of the adapted model in a wrapper
 * that was exported around it (`m.` of `m.model.layers.0...`) if exactly one path fits all modules.
 */
function wrapperPrefix(byPath: ReadonlyMap<string, unknown>, modules: readonly ModuleShape[]): string {
  const [first] = modules;
  if (first === undefined || modules.every(({ name }) => byPath.has(name))) return '';
  const prefixes = [...byPath.keys()]
    .filter((path) => path.endsWith(`.${first.name}`))
    .map((path) => path.slice(0, path.length - first.name.length))
    .filter((prefix) => modules.every(({ name }) => byPath.has(prefix + name)));
  return prefixes.length === 1 ? prefixes[0]! : '';
}

/** Gemm and MatMul nodes with a stored weight, once for each reading of their name. */
function* projections(graph: Graph): Generator<Projection> {
  for (const [index, { proto, writes }] of graph.nodes.entries()) {
    if (!isPlainProduct(proto) || writes.length !== 1) continue;
    const [input, weightName] = proto.input;
    const scope: NodeScope | undefined = nodeScope(proto);
    if (scope === undefined || input === undefined || weightName === undefined) continue;
    const weight = staticMatrix(graph, weightName);
    if (weight === undefined) continue;
    const swap = proto.opType === 'Gemm' && flag(proto, 'transB');
    const [inFeatures, outFeatures] = swap ? [weight.columns, weight.rows] : [weight.rows, weight.columns];
    for (const path of scope.paths) yield { index, scope: scope.scope, path, inFeatures, outFeatures };
  }
}

/**
 * A product x W whose output is the module's. An exporter's alpha other than 1 would be a factor from outside the
 * module, which a delta added behind it lacks; the bias's beta is no matter.
 */
function isPlainProduct(node: Graph['nodes'][number]['proto']): boolean {
  if (node.domain !== '' && node.domain !== 'ai.onnx') return false;
  if (node.opType === 'MatMul') return true;
  if (node.opType !== 'Gemm' || flag(node, 'transA')) return false;
  const alpha = node.attribute.find(({ name }) => name === 'alpha');
  return alpha === undefined || alpha.f === 1;
}

function flag(node: Graph['nodes'][number]['proto'], name: string): boolean {
  const attribute = node.attribute.find((candidate) => candidate.name === name);
  return attribute !== undefined && attribute.i !== 0n;
}

/** Index of the Add that puts the bias of an nn.Linear on a MatMul, if there is one. */
function biasAdd(graph: Graph, projection: Projection): number | undefined {
  const { proto, writes } = graph.nodes[projection.index]!;
  const readers = graph.readers.get(writes[0]!) ?? [];
  if (proto.opType !== 'MatMul' || readers.length !== 1 || graph.outputs.includes(writes[0]!))
    return undefined;
  const add = graph.nodes[readers[0]!]!;
  if (add.proto.opType !== 'Add' || nodeScope(add.proto)?.scope !== projection.scope) return undefined;
  const bias = add.proto.input.find((name) => name !== writes[0]);
  const tensor = bias === undefined ? undefined : graph.initializers.get(bias);
  const fits = tensor?.dims.length === 1 && Number(tensor.dims[0]) === projection.outFeatures;
  return fits && add.writes.length === 1 ? readers[0] : undefined;
}

/**
 * The second call of a module is named `/scope_1/...`, or carries the first one's path in its metadata. A module that
 * is really called so has a weight of its own; the same weight there means that one delta would have to enter at
 * two places.
 */
function refuseRepeatedCall(
  graph: Graph,
  others: readonly (Projection | undefined)[],
  target: Projection,
  sameData: SameData,
): void {
  const weight = ({ index }: Projection) => staticMatrix(graph, graph.nodes[index]!.proto.input[1]!)!.tensor;
  const first = weight(target);
  for (const other of others) {
    if (other === undefined) continue;
    const second = weight(other);
    if (first !== second && !sameData(first, second)) continue;
    throw new ZkLoraError(
      'BASE_MODEL_MISMATCH',
      `module ${printable(target.path)} runs more than once in a forward pass, which is not supported`,
    );
  }
}

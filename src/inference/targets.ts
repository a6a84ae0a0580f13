import { equalBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { type Graph, printable } from './graph.js';
import { nearestNames, parseNodeName } from './moduleNames.js';
import { staticMatrix } from './staticValues.js';

/** Nodes compared by edit distance for a hint; keeps a refusal fast on large models. */
const MAX_NEAR_CANDIDATES = 5_000;
const NEAR_NAMES_SHOWN = 3;
const MISSING_SHOWN = 3;

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
 * Finds the projections that the adapter changes, by node name (never by weight: equal weights are merged
 * by exporters).
 *
 * @throws ZkLoraError `MODULE_NOT_FOUND`, `SHAPE_MISMATCH`, `ONNX_MALFORMED` for a target name that two nodes
 * carry, `BASE_MODEL_MISMATCH` for a target that runs more than once in a forward pass.
 */
export function findTargets(graph: Graph, modules: readonly ModuleShape[]): Target[] {
  const byPath = new Map<string, Projection[]>();
  const scopes = new Map<string, Projection>();
  for (const projection of projections(graph)) {
    const list = byPath.get(projection.path);
    if (list === undefined) byPath.set(projection.path, [projection]);
    else list.push(projection);
    scopes.set(projection.scope, projection);
  }
  const missing = modules.filter((module) => !byPath.has(module.name));
  if (missing.length > 0) throw notFound(missing, [...byPath.keys()]);

  const taken = new Set<number>();
  return modules.map((module, index) => {
    const found = byPath.get(module.name)!;
    const projection = found[0]!;
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
    refuseRepeatedCall(graph, scopes, projection);
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

/** Gemm and MatMul nodes with a stored weight, once for each reading of their name. */
function* projections(graph: Graph): Generator<Projection> {
  for (const [index, { proto, writes }] of graph.nodes.entries()) {
    if ((proto.opType !== 'Gemm' && proto.opType !== 'MatMul') || proto.domain !== '') continue;
    const scope = parseNodeName(proto.name);
    const [input, weightName] = proto.input;
    if (scope === undefined || input === undefined || weightName === undefined || writes.length !== 1)
      continue;
    const weight = staticMatrix(graph, weightName);
    if (weight === undefined || flag(proto, 'transA')) continue;
    const swap = proto.opType === 'Gemm' && flag(proto, 'transB');
    const [inFeatures, outFeatures] = swap ? [weight.columns, weight.rows] : [weight.rows, weight.columns];
    for (const path of scope.paths) yield { index, scope: scope.scope, path, inFeatures, outFeatures };
  }
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
  if (add.proto.opType !== 'Add' || add.proto.name !== `${projection.scope}/Add`) return undefined;
  const bias = add.proto.input.find((name) => name !== writes[0]);
  const tensor = bias === undefined ? undefined : graph.initializers.get(bias);
  const fits = tensor?.dims.length === 1 && Number(tensor.dims[0]) === projection.outFeatures;
  return fits && add.writes.length === 1 ? readers[0] : undefined;
}

/**
 * torch names the second call of one module `/scope_1/...`. A module that is really called so has a weight of
 * its own; the same weight there means that one delta would have to enter at two places.
 */
function refuseRepeatedCall(graph: Graph, scopes: ReadonlyMap<string, Projection>, target: Projection): void {
  const again = scopes.get(`${target.scope}_1`);
  if (again === undefined) return;
  const [first, second] = [target, again].map(
    ({ index }) => staticMatrix(graph, graph.nodes[index]!.proto.input[1]!)!.tensor,
  );
  const equal = first!.rawData.length > 0 && equalBytes(first!.rawData, second!.rawData);
  if (first !== second && !equal) return;
  throw new ZkLoraError(
    'BASE_MODEL_MISMATCH',
    `module ${printable(target.path)} runs more than once in a forward pass, which is not supported`,
  );
}

function notFound(missing: readonly ModuleShape[], known: readonly string[]): ZkLoraError {
  const names = missing.slice(0, MISSING_SHOWN).map((module) => {
    const near = nearestNames(module.name, known.slice(0, MAX_NEAR_CANDIDATES), NEAR_NAMES_SHOWN);
    const hint = near.length === 0 ? '' : ` (near: ${near.map(printable).join(', ')})`;
    return `${printable(module.name)}${hint}`;
  });
  const more = missing.length > MISSING_SHOWN ? ` and ${missing.length - MISSING_SHOWN} more` : '';
  const advice =
    known.length === 0
      ? 'its nodes have no module names: export it with torch 1.13 or later'
      : 'use the base model that the adapter was trained on';
  return new ZkLoraError(
    'MODULE_NOT_FOUND',
    `the base model has no module ${names.join('; ')}${more}; ${advice}`,
    { details: { missing: missing.length, module: missing[0]!.name.slice(0, 200) } },
  );
}

import { ZkLoraError } from '../errors.js';
import type { GraphProto, NodeProto } from './gen/onnx_pb.js';
import { type Graph, printable, subgraphs } from './graph.js';
import { nearestNames, nodeScope } from './moduleNames.js';

/** Nodes compared by edit distance for a hint; keeps a refusal fast on large models. */
const MAX_NEAR_CANDIDATES = 5_000;
const NEAR_NAMES_SHOWN = 3;
const MISSING_SHOWN = 3;
const OPERATORS_SHOWN = 4;

/**
 * Why modules of an adapter have no projection in the graph: they run inside a subgraph, they compute in another way,
 * or the model does not have them.
 *
 * @param missing at least one
 * @param known paths that do have one
 */
export function missingModule(
  graph: Graph,
  missing: readonly { readonly name: string }[],
  known: readonly string[],
): ZkLoraError {
  for (const { name } of missing.slice(0, MISSING_SHOWN)) {
    const holder = graph.nodes.find(({ proto }) => holdsModule(proto, name))?.proto.opType;
    if (holder !== undefined) {
      return mismatch(name, `runs inside a subgraph (${holder}), which is not supported; export it without`);
    }
    // a plain product under a longer name is a near name, no other way to compute
    if (known.some((path) => path.endsWith(`.${name}`))) continue;
    const operators = new Set<string>();
    for (const { proto } of graph.nodes) if (belongsTo(proto, name)) operators.add(proto.opType);
    if (operators.size > 0) {
      const shown = [...operators].slice(0, OPERATORS_SHOWN).map(printable).join(', ');
      return mismatch(
        name,
        `computes with ${shown}: a delta needs one MatMul or Gemm of the activations and a stored weight, without transA and with alpha 1`,
      );
    }
  }
  return notFound(missing, known);
}

function belongsTo(node: NodeProto, name: string): boolean {
  return nodeScope(node)?.paths.some((path) => path === name || path.endsWith(`.${name}`)) ?? false;
}

/** Whether a node of the module is in a graph inside this node; the decoder has bounded the depth. */
function holdsModule(node: NodeProto, name: string): boolean {
  const inside = (graph: GraphProto): boolean =>
    graph.node.some((inner) => belongsTo(inner, name) || holdsModule(inner, name));
  return node.attribute.some((attribute) => subgraphs(attribute).some(inside));
}

function mismatch(name: string, problem: string): ZkLoraError {
  return new ZkLoraError('BASE_MODEL_MISMATCH', `module ${printable(name)} of the base model ${problem}`, {
    details: { module: name.slice(0, 200) },
  });
}

function notFound(missing: readonly { readonly name: string }[], known: readonly string[]): ZkLoraError {
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

import { create } from '@bufbuild/protobuf';
import { ZkLoraError } from '../errors.js';
import {
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataType as DataType,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type ValueInfoProto,
} from './gen/onnx_pb.js';
import { type Graph, indexGraph } from './graph.js';
import { assignLevels, type Levels, MAX_STAGES } from './levels.js';
import { elementType, type Model } from './onnx.js';
import type { SameData } from './staticValues.js';
import { findTargets, type ModuleShape, type Target } from './targets.js';

/** One cut point: where a module's activations leave the base model and its delta comes back. */
export interface CutTarget extends Target {
  readonly stage: number;
  /** The target's own output, `y` without the delta. */
  readonly base: string;
  /** Input of the next stage: float32, shape of `base`. */
  readonly delta: string;
  /** Where `base` is float16: itself and the sum in float32. */
  readonly wide: string;
  readonly sum: string;
}

/** Structure of one stage, before tensor types are known. */
export interface StagePlan {
  readonly nodes: readonly NodeProto[];
  /** Values from the model's inputs, earlier stages and deltas. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly initializers: readonly string[];
  /** Values that no later stage needs. */
  readonly release: readonly string[];
}

/** A base model cut at the adapter's modules. */
export interface SplitPlan {
  readonly graph: Graph;
  /** In the order of the modules. */
  readonly targets: readonly CutTarget[];
  readonly stages: readonly StagePlan[];
  /**
   * Modules that read one tensor in one stage, as in the session header: ascending inside an input, inputs
   * ordered by their first module.
   */
  readonly inputs: readonly (readonly number[])[];
  /** Indices of the inputs asked after each stage, ascending; empty for the last stage. */
  readonly stageInputs: readonly (readonly number[])[];
}

/**
 * Cuts a model at the outputs of the given modules.
 *
 * @throws ZkLoraError as {@link findTargets} and {@link indexGraph}.
 */
export function planSplit(model: Model, modules: readonly ModuleShape[], sameData?: SameData): SplitPlan {
  const graph = indexGraph(model.graph);
  const found = findTargets(graph, modules, sameData);
  const levels = assignLevels(graph, found);
  if (levels.stages > MAX_STAGES) {
    throw new ZkLoraError('ONNX_MALFORMED', `the split has more than ${MAX_STAGES} stages`);
  }
  const fresh = freshNames(graph);
  const targets = found.map((target) => ({
    ...target,
    stage: levels.ofNode[target.node]!,
    base: fresh(`${target.output}__base`),
    delta: fresh(`${target.output}__delta`),
    wide: fresh(`${target.output}__wide`),
    sum: fresh(`${target.output}__sum`),
  }));
  const stages = planStages(graph, levels, targets);
  const inputs = groupInputs(targets);
  const stageInputs = stages.map((_, stage) =>
    [...inputs.keys()].filter((i) => targets[inputs[i]![0]!]!.stage === stage),
  );
  return { graph, targets, stages, inputs, stageInputs };
}

function freshNames(graph: Graph): (wanted: string) => string {
  const taken = new Set([...graph.initializers.keys(), ...graph.inputs, ...graph.producers.keys()]);
  return (wanted) => {
    let name = wanted;
    while (taken.has(name)) name += '_';
    taken.add(name);
    return name;
  };
}

function groupInputs(targets: readonly CutTarget[]): number[][] {
  const groups = new Map<string, number[]>();
  for (const target of targets) {
    const key = `${target.stage} ${target.input}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [target.module]);
    else group.push(target.module);
  }
  return [...groups.values()];
}

function planStages(graph: Graph, levels: Levels, targets: readonly CutTarget[]): StagePlan[] {
  const bodies = stageNodes(graph, levels, targets);
  const needs = bodies.map((body) => body.needs);
  const lastNeed = new Map<string, number>();
  for (const [stage, names] of needs.entries()) for (const name of names) lastNeed.set(name, stage);
  for (const name of graph.outputs) lastNeed.set(name, bodies.length);
  for (const target of targets) {
    // The caller reads both once the target's stage has run.
    lastNeed.set(target.input, Math.max(lastNeed.get(target.input) ?? 0, target.stage + 1));
  }

  const existing = new Set(graph.inputs);
  return bodies.map((body, stage) => {
    const inputs: string[] = [];
    const initializers: string[] = [];
    for (const name of body.needs) {
      if (graph.initializers.has(name)) initializers.push(name);
      else inputs.push(name);
    }
    const outputs = body.writes.filter((name) => (lastNeed.get(name) ?? 0) > stage && !existing.has(name));
    for (const name of outputs) existing.add(name);
    const release = [...existing].filter((name) => (lastNeed.get(name) ?? 0) <= stage);
    for (const name of release) existing.delete(name);
    return { nodes: body.nodes, inputs, outputs, initializers, release };
  });
}

interface StageBody {
  readonly nodes: readonly NodeProto[];
  readonly writes: readonly string[];
  /** Read but not written in the stage; distinct. */
  readonly needs: readonly string[];
}

function stageNodes(graph: Graph, levels: Levels, targets: readonly CutTarget[]): StageBody[] {
  const targetOf = new Map(targets.map((target) => [target.node, target]));
  const members: number[][] = Array.from({ length: levels.stages }, () => []);
  for (const [index, level] of levels.ofNode.entries()) if (level >= 0) members[level]!.push(index);

  return members.map((indices, stage) => {
    const wanted = new Set<string>();
    for (const index of indices) for (const name of graph.nodes[index]!.reads) wanted.add(name);
    for (const target of targets) if (target.stage === stage) wanted.add(target.input);
    if (stage === 0) for (const name of graph.outputs) wanted.add(name);

    const nodes: NodeProto[] = [];
    const writes: string[] = [];
    const reads: string[] = [];
    const add = (node: NodeProto, read: readonly string[], written: readonly string[]): void => {
      nodes.push(node);
      reads.push(...read);
      writes.push(...written);
    };
    for (const index of staticClosure(graph, levels, wanted)) {
      const node = graph.nodes[index]!;
      add(node.proto, node.reads, node.writes);
    }
    for (const target of targets) {
      if (target.stage === stage - 1) {
        add(addDelta(target), [target.base, target.delta], [target.output]);
      }
    }
    for (const index of indices) {
      const node = graph.nodes[index]!;
      const target = targetOf.get(index);
      if (target === undefined) add(node.proto, node.reads, node.writes);
      else add(renameOutput(node.proto, target), node.reads, [target.base]);
    }
    const written = new Set(writes);
    return { nodes, writes, needs: [...new Set(reads)].filter((name) => !written.has(name)) };
  });
}

/** Nodes on stored values that `wanted` rests on, in graph order. */
function staticClosure(graph: Graph, levels: Levels, wanted: ReadonlySet<string>): number[] {
  const found = new Set<number>();
  const open = [...wanted];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const producer = graph.producers.get(name);
    if (producer === undefined || levels.ofNode[producer]! >= 0 || found.has(producer)) continue;
    found.add(producer);
    open.push(...graph.nodes[producer]!.reads);
  }
  return [...found].sort((a, b) => a - b);
}

function addDelta(target: CutTarget): NodeProto {
  return create(NodeProtoSchema, {
    name: `${target.output}__add_delta`,
    opType: 'Add',
    input: [target.base, target.delta],
    output: [target.output],
  });
}

function renameOutput(node: NodeProto, target: CutTarget): NodeProto {
  const copy = create(NodeProtoSchema, {
    name: node.name,
    opType: node.opType,
    domain: node.domain,
    input: node.input,
    output: [target.base],
    attribute: node.attribute,
  });
  if (node.$unknown !== undefined) copy.$unknown = node.$unknown;
  return copy;
}

/** The model of one stage; `types` describes every value that crosses a cut. */
export function stageModel(
  model: Model,
  plan: SplitPlan,
  stage: number,
  types: ReadonlyMap<string, ValueInfoProto>,
): Model {
  const body = plan.stages[stage]!;
  const info = (name: string): ValueInfoProto => {
    const found = types.get(name);
    if (found === undefined) throw new ZkLoraError('INTERNAL', 'a cut tensor has no type');
    return found;
  };
  const wanted = new Set(body.initializers);
  const graph = create(GraphProtoSchema, {
    name: `stage ${stage}`,
    node: body.nodes.flatMap((node) => withCasts(node, plan, types)),
    initializer: model.graph.initializer.filter((tensor) => wanted.has(tensor.name)),
    input: body.inputs.map(info),
    output: body.outputs.map(info),
  });
  return withGraph(model, graph);
}

/**
 * The Add of a delta, which is float32, to an output in float16: in float32, rounded once, as PEFT adds a float32
 * adapter to a half-precision layer.
 */
function withCasts(
  node: NodeProto,
  plan: SplitPlan,
  types: ReadonlyMap<string, ValueInfoProto>,
): readonly NodeProto[] {
  const target = plan.targets.find(({ delta }) => node.opType === 'Add' && node.input[1] === delta);
  if (target === undefined || elementType(types.get(target.base)) !== DataType.FLOAT16) return [node];
  const { base, delta, wide, sum, output } = target;
  return [
    cast(base, wide, DataType.FLOAT),
    create(NodeProtoSchema, { opType: 'Add', name: node.name, input: [wide, delta], output: [sum] }),
    cast(sum, output, DataType.FLOAT16),
  ];
}

function cast(input: string, output: string, to: DataType): NodeProto {
  return create(NodeProtoSchema, {
    opType: 'Cast',
    name: `${output}__cast`,
    input: [input],
    output: [output],
    attribute: [{ name: 'to', type: AttributeType.INT, i: BigInt(to) }],
  });
}

/** A copy of a model with another main graph; unknown fields (metadata) stay. */
export function withGraph(model: Model, graph: GraphProto): Model {
  const copy = create(ModelProtoSchema, {
    irVersion: model.irVersion,
    opsetImport: model.opsetImport,
    graph,
  });
  if (model.$unknown !== undefined) copy.$unknown = model.$unknown;
  return copy as Model;
}

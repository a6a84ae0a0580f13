import type { Graph } from './graph.js';
import { staticNodes } from './staticValues.js';
import type { Target } from './targets.js';

/** Stages of a forward pass; more would need a model of that many adapted layers one after the other. */
export const MAX_STAGES = 4096;

/** Distribution of a graph over stages. */
export interface Levels {
  readonly stages: number;
  /** Stage of each node; -1: depends on stored values only and is repeated where it is needed. */
  readonly ofNode: Int32Array;
  /** Stage in which a value exists first; values that depend on stored values only do not appear. */
  readonly ofValue: ReadonlyMap<string, number>;
}

/**
 * Level of each node: the maximum over its inputs, where the output of a target sits one level above the
 * target. A stage is a level, so modules that can be asked at once share one.
 */
export function assignLevels(graph: Graph, targets: readonly Target[]): Levels {
  const targetNodes = new Set(targets.map((target) => target.node));
  const fixed = staticNodes(graph, targetNodes);
  const ofNode = new Int32Array(graph.nodes.length).fill(-1);
  const ofValue = new Map<string, number>();
  for (const name of graph.inputs) ofValue.set(name, 0);
  let highest = 0;
  for (const [index, node] of graph.nodes.entries()) {
    if (fixed.has(index)) continue;
    let level = 0;
    for (const name of node.reads) level = Math.max(level, ofValue.get(name) ?? 0);
    ofNode[index] = level;
    const written = targetNodes.has(index) ? level + 1 : level;
    for (const name of node.writes) ofValue.set(name, written);
    highest = Math.max(highest, written);
  }
  return { stages: highest + 1, ofNode, ofValue };
}

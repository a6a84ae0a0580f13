import { nodeKey } from './statement.js';
import type { LineageVerdict, VerdictEdge } from './verdict.js';
import type { LineageNode } from './vocabulary.js';

/** Nodes that are drawn; a picture of more says nothing. */
export const MAX_DRAWN_NODES = 1000;

/** Longest part of a foreign name that is drawn. */
const MAX_LABEL_LENGTH = 40;

/** A node ready to be drawn. Its texts are of others: each format escapes them for itself. */
export interface DrawnNode {
  readonly key: string;
  /** Kind and role, e.g. `checkpoint, expert`. */
  readonly what: string;
  readonly name: string;
  readonly digest: string;
  readonly isRoot: boolean;
  readonly isSubject: boolean;
  /** Steps from the subject, over the longest way for a graph without circles. */
  readonly rank: number;
}

export interface DrawnEdge {
  readonly from: string;
  readonly to: string;
  readonly relation: string;
  readonly status: VerdictEdge['status'];
  readonly signers: string;
}

export interface Drawing {
  readonly nodes: readonly DrawnNode[];
  readonly edges: readonly DrawnEdge[];
  /** Nodes left out because there were too many. */
  readonly leftOut: number;
}

/** What of a verdict is drawn, claimed and refused edges included. */
export function drawingOf(verdict: LineageVerdict): Drawing {
  const known = new Map(verdict.nodes.map((entry) => [nodeKey(entry.node), entry]));
  const ends = new Map<string, LineageNode>(verdict.nodes.map(({ node }) => [nodeKey(node), node]));
  for (const { parents } of verdict.edges) for (const parent of parents) ends.set(nodeKey(parent), parent);
  const all = [...ends];
  const kept = new Map(all.slice(0, MAX_DRAWN_NODES));
  const edges = verdict.edges.flatMap((edge) =>
    edge.parents.map(
      (parent): DrawnEdge => ({
        from: nodeKey(edge.subject),
        to: nodeKey(parent),
        relation: plain(edge.relation),
        status: edge.status,
        signers: edge.signers.map(({ name }) => plain(name)).join(', '),
      }),
    ),
  );
  const drawn = edges.filter(({ from, to }) => kept.has(from) && kept.has(to));
  const ranks = rankNodes([...kept.keys()], drawn, nodeKey(verdict.subject));
  const nodes = [...kept].map(([key, node]): DrawnNode => {
    const entry = known.get(key);
    const role = entry?.role ?? null;
    return {
      key,
      what: role === null || role === node.kind ? node.kind : `${node.kind}, ${plain(role)}`,
      name: plain(entry?.name ?? ''),
      digest: node.digest,
      isRoot: entry?.isRoot ?? false,
      isSubject: key === nodeKey(verdict.subject),
      rank: ranks.get(key) ?? 0,
    };
  });
  return { nodes, edges: drawn, leftOut: all.length - kept.size };
}

/** One line without control, format or separator characters (bidirectional overrides among them), shortened. */
export function plain(text: string): string {
  const shown = [...text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '?')];
  return shown.length > MAX_LABEL_LENGTH ? `${shown.slice(0, MAX_LABEL_LENGTH).join('')}...` : shown.join('');
}

/** Ranks by breadth first, then pushed down along verified edges as often as a graph without circles allows. */
function rankNodes(
  keys: readonly string[],
  edges: readonly DrawnEdge[],
  subject: string,
): ReadonlyMap<string, number> {
  const ranks = new Map<string, number>([[subject, 0]]);
  let moved = true;
  for (let round = 0; moved && round < keys.length; round++) {
    moved = false;
    for (const { from, to } of edges) {
      const rank = ranks.get(from);
      if (rank === undefined || rank + 1 >= keys.length || to === subject) continue;
      if ((ranks.get(to) ?? -1) < rank + 1) {
        ranks.set(to, rank + 1);
        moved = true;
      }
    }
  }
  // a circle pushes its nodes down for ever: ranks are then closed up
  const used = [...new Set(ranks.values())].sort((a, b) => a - b);
  return new Map([...ranks].map(([key, rank]) => [key, used.indexOf(rank)]));
}

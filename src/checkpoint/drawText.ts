import type { Drawing, DrawnEdge, DrawnNode } from './drawing.js';

/** Levels of the terminal tree; deeper ones are counted instead. */
const MAX_TREE_LEVELS = 40;

const MARKS: Readonly<Record<DrawnEdge['status'], string>> = {
  verified: 'verified',
  claimed: 'CLAIMED ONLY',
  refused: 'REFUSED',
};

/** The lineage as a tree for a terminal, the subject on top; a node met again is not repeated. */
export function drawTree({ nodes, edges, leftOut }: Drawing): string {
  const byKey = new Map(nodes.map((node) => [node.key, node]));
  const outgoing = new Map<string, DrawnEdge[]>();
  for (const edge of edges) outgoing.set(edge.from, [...(outgoing.get(edge.from) ?? []), edge]);
  const lines: string[] = [];
  const shown = new Set<string>();
  const subject = nodes.find(({ isSubject }) => isSubject);
  if (subject === undefined) return '';
  const visit = (node: DrawnNode, indent: string, lead: string, level: number) => {
    const again = shown.has(node.key);
    shown.add(node.key);
    const children = outgoing.get(node.key) ?? [];
    const more = again && children.length > 0 ? '  (see above)' : '';
    lines.push(`${lead}${describe(node)}${more}`);
    if (again || children.length === 0) return;
    if (level === MAX_TREE_LEVELS) {
      lines.push(`${indent}└─ ... deeper levels are not drawn`);
      return;
    }
    children.forEach((edge, i) => {
      const last = i === children.length - 1;
      const signers = edge.signers === '' ? '' : ` by ${edge.signers}`;
      const branch = `${indent}${last ? '└─' : '├─'} ${edge.relation} (${MARKS[edge.status]}${signers}): `;
      visit(byKey.get(edge.to)!, `${indent}${last ? '   ' : '│  '}`, branch, level + 1);
    });
  };
  visit(subject, '', '', 0);
  if (leftOut > 0) lines.push(`... and ${leftOut} further nodes`);
  return lines.join('\n');
}

/** Mermaid source (flowchart). Every character that could end a label is written as its number. */
export function drawMermaid({ nodes, edges, leftOut }: Drawing): string {
  const ids = new Map(nodes.map(({ key }, i) => [key, `n${i}`]));
  const lines = ['flowchart TD'];
  for (const node of nodes) {
    const label = [node.name, node.what, node.digest.slice(0, 16), node.isRoot ? 'allowed root' : '']
      .filter((text) => text !== '')
      .map(mermaidText)
      .join('<br/>');
    lines.push(`  ${ids.get(node.key)}["${label}"]`);
  }
  for (const { from, to, relation, status, signers } of edges) {
    const arrow = status === 'verified' ? '-->' : '-.->';
    const note = status === 'verified' ? signers : MARKS[status];
    lines.push(
      `  ${ids.get(from)} ${arrow}|"${mermaidText(relation)}<br/>${mermaidText(note)}"| ${ids.get(to)}`,
    );
  }
  if (leftOut > 0) lines.push(`  more["and ${leftOut} further nodes"]`);
  return `${lines.join('\n')}\n`;
}

function describe({ what, name, digest, isRoot }: DrawnNode): string {
  const named = name === '' ? '' : ` "${name}"`;
  return `${what} ${digest.slice(0, 16)}${named}${isRoot ? '  [allowed root]' : ''}`;
}

function mermaidText(text: string): string {
  return text.replace(/[^A-Za-z0-9 .,_/-]/gu, (char) => `#${char.codePointAt(0)};`);
}

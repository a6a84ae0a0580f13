import type { Drawing, DrawnEdge, DrawnNode } from './drawing.js';
import type { LineageVerdict } from './verdict.js';

const WIDTH = 230;
const HEIGHT = 62;
const GAP_X = 26;
const GAP_Y = 74;
const MARGIN = 20;
/** Characters of a name that fit into a box. */
const FITS = 32;

const COLOURS: Readonly<Record<DrawnEdge['status'], string>> = {
  verified: '#1a7f37',
  claimed: '#9a6700',
  refused: '#cf222e',
};

/** The lineage as an SVG image, complete in itself: no scripts, no references. */
export function drawSvg(drawing: Drawing): string {
  const { nodes, edges, leftOut } = drawing;
  const places = placeNodes(nodes);
  const width = Math.max(...[...places.values()].map(({ x }) => x + WIDTH), WIDTH) + MARGIN;
  const height = Math.max(...[...places.values()].map(({ y }) => y + HEIGHT), HEIGHT) + MARGIN + 20;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12" role="img">`,
    '<title>Lineage</title>',
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#57606a"/></marker></defs>',
  ];
  for (const edge of edges) {
    const from = places.get(edge.from)!;
    const to = places.get(edge.to)!;
    const x1 = from.x + WIDTH / 2;
    const y1 = from.y + HEIGHT;
    const x2 = to.x + WIDTH / 2;
    const y2 = to.y > from.y ? to.y : to.y + HEIGHT;
    const colour = COLOURS[edge.status];
    const dash = edge.status === 'verified' ? '' : ' stroke-dasharray="5 4"';
    const mark = edge.status === 'verified' ? edge.signers : edge.status;
    parts.push(
      `<path d="M${x1} ${y1}C${x1} ${y1 + 30} ${x2} ${y2 - 30} ${x2} ${y2}" fill="none" stroke="${colour}" stroke-width="1.5"${dash} marker-end="url(#head)"/>`,
      `<text x="${(x1 + x2) / 2}" y="${(y1 + y2) / 2}" text-anchor="middle" fill="${colour}" stroke="#ffffff" stroke-width="3" paint-order="stroke">${escapeXml(edge.relation)}${mark === '' ? '' : ` (${escapeXml(mark)})`}</text>`,
    );
  }
  for (const node of nodes) parts.push(drawNode(node, places.get(node.key)!));
  if (leftOut > 0) parts.push(`<text x="${MARGIN}" y="${height - 10}">and ${leftOut} further nodes</text>`);
  parts.push('</svg>');
  return `${parts.join('\n')}\n`;
}

/** One HTML page with the picture, the verdict and every edge; its policy forbids scripts and requests. */
export function drawHtml(drawing: Drawing, verdict: LineageVerdict): string {
  const failures = verdict.failures.map(
    ({ code, message, node }) =>
      `<li><code>${escapeXml(code)}</code> ${node === undefined ? '' : `<code>${node.digest.slice(0, 16)}</code> `}${escapeXml(message)}</li>`,
  );
  const rows = drawing.edges.map(
    ({ from, to, relation, status, signers }) =>
      `<tr class="${status}"><td><code>${escapeXml(short(from))}</code></td><td>${escapeXml(relation)}</td><td><code>${escapeXml(short(to))}</code></td><td>${status}</td><td>${escapeXml(signers)}</td></tr>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Lineage</title>
<style>
body { font-family: sans-serif; margin: 2em; color: #1f2328; }
td, th { text-align: left; padding: 0.2em 1em 0.2em 0; }
.verified { color: #1a7f37; } .claimed { color: #9a6700; } .refused, .invalid { color: #cf222e; }
</style>
</head>
<body>
<h1>Lineage of ${escapeXml(verdict.subject.kind)} <code>${escapeXml(verdict.subject.digest.slice(0, 16))}</code></h1>
<p class="${verdict.valid ? 'verified' : 'invalid'}">${verdict.valid ? 'The lineage meets the policy.' : 'The lineage does not meet the policy.'}</p>
<ul>${failures.join('')}</ul>
${drawSvg(drawing)}
<table><tr><th>subject</th><th>relation</th><th>parent</th><th>status</th><th>signed by</th></tr>
${rows.join('\n')}
</table>
</body>
</html>
`;
}

/** XML 1.0 text: markup escaped, characters that XML does not have replaced. */
export function escapeXml(text: string): string {
  return text
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '?')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

function drawNode(node: DrawnNode, { x, y }: { x: number; y: number }): string {
  const stroke = node.isSubject ? '#0969da' : node.isRoot ? '#1a7f37' : '#57606a';
  const chars = [...node.name];
  const name = chars.length > FITS ? `${chars.slice(0, FITS - 1).join('')}…` : node.name;
  const lines = [name, `${node.what}${node.isRoot ? ', allowed root' : ''}`, `${node.digest.slice(0, 24)}…`];
  const texts = lines.map(
    (line, i) =>
      `<text x="${x + 10}" y="${y + 19 + 17 * i}"${i === 0 ? ' font-weight="bold"' : i === 2 ? ' font-family="monospace" fill="#57606a"' : ''}>${escapeXml(line)}</text>`,
  );
  return `<g><rect x="${x}" y="${y}" width="${WIDTH}" height="${HEIGHT}" rx="6" fill="#f6f8fa" stroke="${stroke}" stroke-width="${node.isSubject || node.isRoot ? 2 : 1}"/>${texts.join('')}</g>`;
}

function placeNodes(nodes: readonly DrawnNode[]): ReadonlyMap<string, { x: number; y: number }> {
  const rows = new Map<number, DrawnNode[]>();
  for (const node of nodes) rows.set(node.rank, [...(rows.get(node.rank) ?? []), node]);
  const widest = Math.max(1, ...[...rows.values()].map((row) => row.length));
  const places = new Map<string, { x: number; y: number }>();
  for (const [rank, row] of rows) {
    const indent = ((widest - row.length) * (WIDTH + GAP_X)) / 2;
    row.forEach(({ key }, i) => {
      places.set(key, {
        x: MARGIN + indent + i * (WIDTH + GAP_X),
        y: MARGIN + rank * (HEIGHT + GAP_Y),
      });
    });
  }
  return places;
}

function short(key: string): string {
  const [kind, digest = ''] = key.split(':');
  return `${kind} ${digest.slice(0, 16)}`;
}

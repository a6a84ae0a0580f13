import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_DRAWN_NODES } from '../../src/checkpoint/drawing.js';
import {
  drawHtml,
  drawingOf,
  drawMermaid,
  drawSvg,
  drawTree,
  edgesStatement,
  type LineageVerdict,
  type StoredFile,
} from '../../src/checkpoint/index.js';
import {
  BASE,
  checkpoint,
  EXPERT,
  edge,
  edgeOf,
  GOOD,
  ISSUED,
  judge,
  manifestFile,
  policyOf,
  STRANGER,
  stored,
} from './lineageBuilder.js';

const HOSTILE = [
  '</text><script>alert(1)</script>',
  '"]; click n0 "javascript:alert(1)"',
  '`**x**` #quot; &amp; <b>',
  "' onload='alert(1)",
  '\u202egnirts',
  ']]> <!-- x',
  '%%{init: {}}%%',
];

const PLAIN = await judge();

function verdictNamed(name: string): Promise<LineageVerdict> {
  return judge({ files: [...GOOD, manifestFile(EXPERT, { name })] });
}

const FORBIDDEN = /<script|<b>|onload=(?!&)['"]|href=|<!-- x|\u202e/i;

describe('pictures', () => {
  it('show names, relations, signers and roots', async () => {
    const verdict = await verdictNamed('an expert');
    expect(drawTree(drawingOf(verdict)).split('\n')).toEqual([
      `adapter ${verdict.subject.digest.slice(0, 16)}`,
      `└─ adapter-of (verified by maker): checkpoint, base ${EXPERT.digest.slice(0, 16)} "an expert"`,
      `   └─ finetuned-from (verified by maker): checkpoint ${BASE.digest.slice(0, 16)}  [allowed root]`,
    ]);
    expect(drawMermaid(drawingOf(verdict))).toContain('n0 -->|"adapter-of<br/>maker"| n1');
    expect(drawSvg(drawingOf(verdict))).toContain('>an expert<');
    expect(drawHtml(drawingOf(verdict), verdict)).toContain('The lineage meets the policy.');
  });

  it('show claims as claims', async () => {
    const claim = stored(edgesStatement([edgeOf(BASE, 'trained-from', checkpoint('x'))], ISSUED), STRANGER);
    const claimed = await judge({ files: [...GOOD, claim], policy: { allowedRoots: [checkpoint('x')] } });
    expect(drawTree(drawingOf(claimed))).toContain('trained-from (CLAIMED ONLY)');
    expect(drawMermaid(drawingOf(claimed))).toContain('-.->|"trained-from<br/>CLAIMED ONLY"|');
    expect(drawHtml(drawingOf(claimed), claimed)).toContain('key-unknown');
  });

  it('are not broken by hostile names', () => {
    const names = fc.oneof(
      fc.constantFrom(...HOSTILE),
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }),
    );
    fc.assert(
      fc.property(names, (name) => {
        // names with control characters do not get into a manifest; pictures escape them all the same
        const verdict = PLAIN;
        const nodes = verdict.nodes.map((node) => ({ ...node, name, role: name }));
        const keys = verdict.edges.map((each) => ({ ...each, relation: name, signers: [{ name, key: '' }] }));
        const named: LineageVerdict = { ...verdict, nodes, edges: keys };
        const drawing = drawingOf(named);
        expect(drawing.nodes).toHaveLength(3);
        const svg = drawSvg(drawing);
        const html = drawHtml(drawing, named);
        for (const picture of [svg, html]) {
          expect(picture).not.toMatch(FORBIDDEN);
          // the tags are those of a picture with a harmless name, whatever the name is
          expect(tags(picture)).toEqual(
            tags(picture === svg ? drawSvg(harmless()) : drawHtml(harmless(), PLAIN)),
          );
        }
        const mermaid = drawMermaid(drawing).trimEnd().split('\n');
        expect(mermaid).toHaveLength(1 + 3 + 2);
        for (const line of mermaid.slice(1)) {
          expect(line).toMatch(
            /^ {2}n\d(?:\["[A-Za-z0-9 .,_/#;<>-]*"\]| --?-?>?\|"[A-Za-z0-9 .,_/#;<>-]*"\| n\d)$/,
          );
        }
        expect(drawTree(drawing).split('\n')).toHaveLength(3);
        expect(drawTree(drawing)).not.toMatch(/[\p{Cc}\p{Cf}](?<!\n)/u);
      }),
      { numRuns: 200 },
    );
  });

  it('stay small and come to an end for large lineages and circles', async () => {
    const files: StoredFile[] = [];
    const edges = Array.from({ length: 1020 }, (_, i) =>
      edgeOf(checkpoint(`c${i}`), 'trained-from', checkpoint(`c${i + 1}`)),
    );
    files.push(stored(edgesStatement(edges, ISSUED)));
    const chain = await judge({ files, subject: checkpoint('c0') });
    const drawing = drawingOf(chain);
    expect(drawing.nodes).toHaveLength(MAX_DRAWN_NODES);
    expect(drawing.leftOut).toBe(21);
    expect(drawTree(drawing)).toContain('deeper levels are not drawn');
    expect(drawTree(drawing).length).toBeLessThan(20_000);
    const circle = await judge({
      files: [edge(EXPERT, 'trained-from', checkpoint('a')), edge(checkpoint('a'), 'trained-from', EXPERT)],
      subject: EXPERT,
    });
    expect(drawTree(drawingOf(circle))).toContain('REFUSED');
    expect(drawSvg(drawingOf(circle))).toContain('refused');
    expect(policyOf().allowedRoots).toEqual([BASE]);
  });
});

function harmless() {
  const verdict = PLAIN;
  const nodes = verdict.nodes.map((node) => ({ ...node, name: 'x', role: 'x' }));
  return drawingOf({ ...verdict, nodes });
}

/** Tag names in order. */
function tags(text: string): string[] {
  return text.match(/<\/?[a-z!]+/gi) ?? [];
}

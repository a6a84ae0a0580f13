import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { edgesStatement, envelopeId, type LineageNode, type StoredFile } from '../../src/checkpoint/index.js';
import {
  ADAPTER,
  BASE,
  checkpoint,
  edge,
  edgeOf,
  ISSUED,
  judge,
  MAKER,
  STRANGER,
  stored,
} from './lineageBuilder.js';

interface Dag {
  readonly files: readonly StoredFile[];
  /** For each file, whether the adapter's lineage runs through it. */
  readonly needed: readonly boolean[];
  readonly depth: number;
}

/** Node i has parents below i; node 0 is the allowed root; the adapter belongs to the last node. */
const dags: fc.Arbitrary<Dag> = fc
  .array(fc.uniqueArray(fc.nat({ max: 1000 }), { minLength: 1, maxLength: 3 }), {
    minLength: 1,
    maxLength: 8,
  })
  .map((choices) => {
    const nodes: LineageNode[] = [BASE, ...choices.map((_, i) => checkpoint(`node ${i}`))];
    const parents = choices.map((choice, i) => [...new Set(choice.map((value) => value % (i + 1)))]);
    const reached = new Set<number>();
    const heights = [0];
    const visit = (index: number) => {
      if (index === 0 || reached.has(index)) return;
      reached.add(index);
      for (const parent of parents[index - 1]!) visit(parent);
    };
    visit(choices.length);
    for (const list of parents) heights.push(1 + Math.max(...list.map((parent) => heights[parent]!)));
    const files = parents.map((list, i) =>
      edge(nodes[i + 1]!, list.length > 1 ? 'merged-from' : 'finetuned-from', ...list.map((p) => nodes[p]!)),
    );
    return {
      files: [edge(ADAPTER, 'adapter-of', nodes.at(-1)!), ...files],
      needed: [true, ...parents.map((_, i) => reached.has(i + 1))],
      depth: 1 + heights.at(-1)!,
    };
  });

describe('random lineages', () => {
  it('hold, in any order of files, exactly up to their depth', async () => {
    await fc.assert(
      fc.asyncProperty(dags, fc.infiniteStream(fc.nat()), async ({ files, depth }, keys) => {
        const order = files.map((file) => ({ file, at: keys.next().value })).sort((a, b) => a.at - b.at);
        const shuffled = order.map(({ file }) => file);
        expect((await judge({ files: shuffled, policy: { maximumDepth: depth } })).failures).toEqual([]);
        if (depth === 1) return;
        const codes = (await judge({ files, policy: { maximumDepth: depth - 1 } })).failures.map(
          ({ code }) => code,
        );
        expect(codes).toEqual(['too-deep']);
      }),
      { numRuns: 60 },
    );
  });

  it('fail exactly when a file that they run through is lost', async () => {
    await fc.assert(
      fc.asyncProperty(dags, fc.nat(), async ({ files, needed }, choice) => {
        const lost = choice % files.length;
        const verdict = await judge({ files: files.filter((_, i) => i !== lost) });
        expect(verdict.valid).toBe(!needed[lost]);
        if (needed[lost]) expect(verdict.failures.map(({ code }) => code)).toEqual(['missing-parent']);
      }),
      { numRuns: 60 },
    );
  });

  it('never turn valid by corruption, and one flipped byte counts as the file being lost', async () => {
    await fc.assert(
      fc.asyncProperty(
        dags,
        fc.nat(),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async ({ files, needed }, which, at, flip) => {
          const target = which % files.length;
          const corrupted = files.map((file, i) => {
            if (i !== target) return file;
            const bytes = new Uint8Array(file.bytes);
            bytes[at % bytes.length]! ^= flip;
            // half of the cases as an attacker would: under the name of the new content
            return { id: flip % 2 === 0 ? file.id : envelopeId(bytes), bytes };
          });
          expect((await judge({ files: corrupted })).valid).toBe(!needed[target]);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('are not changed by what strangers sign', async () => {
    await fc.assert(
      fc.asyncProperty(
        dags,
        fc.array(fc.tuple(fc.nat({ max: 8 }), fc.nat({ max: 8 })), { maxLength: 6 }),
        async ({ files }, extra) => {
          const name = (i: number) => (i === 8 ? BASE : checkpoint(`node ${i}`));
          const noise = extra.map(([a, b]) =>
            stored(edgesStatement([edgeOf(name(a), 'trained-from', name(b))], ISSUED), STRANGER),
          );
          expect((await judge({ files: [...noise, ...files] })).failures).toEqual([]);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('with trusted back edges, fail without hanging', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat({ max: 5 }), fc.nat({ max: 5 })), { minLength: 1, maxLength: 10 }),
        async (pairs) => {
          const name = (i: number) => checkpoint(`loop ${i}`);
          const files = [
            edge(ADAPTER, 'adapter-of', name(0)),
            ...pairs.map(([a, b]) =>
              stored(edgesStatement([edgeOf(name(a), 'trained-from', name(b))], ISSUED), MAKER),
            ),
          ];
          // no edge leads to the root
          const verdict = await judge({ files });
          expect(verdict.valid).toBe(false);
          for (const { code } of verdict.failures)
            expect(['cycle', 'fork', 'missing-parent', 'root-not-allowed']).toContain(code);
        },
      ),
      { numRuns: 100 },
    );
  });
});

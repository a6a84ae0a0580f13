import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decode } from 'fast-png';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lastObject, type Ran, temporaryFolder, zklora } from './cli.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let ran: Ran;

beforeAll(async () => {
  folder = await temporaryFolder();
  ran = await zklora('demo', '--ensemble', '--json', '--out', join(folder.dir, 'demo'));
}, 300_000);
afterAll(() => folder.remove());

describe('zklora demo --ensemble --json', () => {
  it('ends well with one object: everything proven, both frauds refused', () => {
    expect(ran.code, ran.stderr).toBe(0);
    expect(ran.stdout.trimEnd().split('\n')).toHaveLength(1);
    expect(lastObject(ran)).toMatchObject({
      experts: 11,
      proofBytes: expect.any(Number),
      proveSeconds: expect.any(Number),
      verifySeconds: expect.any(Number),
      swappedExpertRejected: true,
      tamperedEdgeRejected: true,
      // image: 8 experts, a router, a conversion, 2 adapters; video: 3 experts, a router, an adapter
      lineageEdges: 12 + 5,
    });
    for (const code of ['ENSEMBLE_MISMATCH', 'BASE_MODEL_MISMATCH', 'bad-signature', 'wrong-envelope-name']) {
      expect(ran.stderr).toContain(code);
    }
  });

  it('makes digits that a judge recognises, routed to the clusters they look like', () => {
    const { ensembles } = lastObject(ran) as unknown as {
      ensembles: Record<
        'image' | 'video',
        {
          calls: number;
          meanChange: number;
          quality: Record<
            string,
            { judgement: { confidence: number; asked: number | null }; alignment: object }
          >;
        }
      >;
    };
    for (const variant of ['top-1', 'top-2', 'full']) {
      const { judgement, alignment } = ensembles.image.quality[variant]!;
      expect(judgement.confidence).toBeGreaterThan(0.8);
      expect(judgement.asked).toBeGreaterThan(0.75);
      expect(alignment).toMatchObject({ nearestToSample: expect.any(Number) });
    }
    for (const part of [ensembles.image, ensembles.video]) {
      expect(part.calls).toBeGreaterThan(0);
      expect(part.meanChange).toBeGreaterThan(0.05);
    }
  });

  it('draws the samples', async () => {
    for (const name of ['image', 'video']) {
      const picture = decode(await readFile(join(folder.dir, 'demo/user', name, 'pictures/samples.png')));
      expect(picture.channels).toBe(1);
      // paper, ink and ground
      expect(new Set(picture.data).size).toBeGreaterThan(50);
    }
  });
});

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decode } from 'fast-png';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadCommitment } from '../../cli/inputs.js';
import { adapterQuestion, loadLineagePolicy } from '../../cli/lineageInputs.js';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import { readStore, verifyAdapterLineage } from '../../src/checkpoint/index.js';
import { openParameters } from '../../src/circuit/index.js';
import { openEnsemble, type ProvenRunToVerify, verifyProvenRun } from '../../src/ensemble/index.js';
import {
  fixture,
  invalid,
  lastObject,
  PARAMETERS,
  type Ran,
  temporaryFolder,
  zklora,
  zkloraJson,
} from './cli.js';

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
    const swapped = 'ENSEMBLE_MISMATCH, ENSEMBLE_MISMATCH, ENSEMBLE_MISMATCH, BASE_MODEL_MISMATCH';
    for (const code of [swapped, 'bad-signature', 'wrong-envelope-name', 'base-mismatch']) {
      expect(ran.stderr).toContain(code);
    }
  });

  it.each([
    ['image', 3],
    ['image', 4],
    ['video', 1],
  ] as const)(
    'leaves files that zklora verify accepts with their lineage: %s, expert %i',
    async (name, expert) => {
      const user = join(folder.dir, 'demo/user', name);
      const session = join(user, `run/sessions/expert_${expert}`);
      const args = [
        ...['--proof', join(session, 'proof.zkl'), '--session', session],
        ...['--commitment', join(user, `expert_${expert}.zkl.json`)],
        ...['--parameters', PARAMETERS, '--allow-development-params', '--require-registration-proof'],
        ...['--require-signed', '--policy', join(user, 'policy.json'), '--lineage'],
      ];
      const model = (index: number) => fixture(`ensemble/${name}/model/expert_${index}/model.onnx`);
      const verdict = await zkloraJson('verify', ...args, join(user, 'lineage'), '--base', model(expert));
      expect(verdict).toMatchObject({
        valid: true,
        lineage: { valid: true, failures: [], modelChecked: true },
      });
      await invalid('LINEAGE_INVALID', [...args, join(user, 'lineage'), '--base', model(expert - 1)]);
    },
  );

  it('keeps the forged stores, each with nothing but what was refused', async () => {
    const user = join(folder.dir, 'demo/user/video');
    const adapter = await loadCommitment(join(user, 'expert_1.zkl.json'));
    const policy = await loadLineagePolicy(join(user, 'policy.json'));
    const honest = await readStore(join(user, 'lineage'));
    for (const [name, expected] of [
      ['edited-edge', 'wrong-envelope-name'],
      ['renamed-edge', 'bad-signature'],
      ['edge-signed-again', 'base-mismatch'],
    ] as const) {
      const store = join(folder.dir, 'demo/frauds/video', `lineage-with-${name}`);
      const question = await adapterQuestion(store, policy, adapter);
      expect(question.files).toHaveLength(honest.length);
      const { valid, failures, edges, ignored } = await verifyAdapterLineage({ ...question, adapter });
      expect(valid).toBe(false);
      const reasons = [...failures, ...edges.flatMap((edge) => edge.reasons), ...ignored];
      expect(reasons.map(({ code }) => code)).toContain(expected);
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

describe('verifyProvenRun', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await loadEngine();
  });
  afterAll(() => engine.terminate());

  it('holds on the run of the demo, and refuses it for each thing that is missing', async () => {
    const user = join(folder.dir, 'demo/user/video');
    const adapter = await loadCommitment(join(user, 'expert_1.zkl.json'));
    const parameters = await openParameters(PARAMETERS);
    const policy = await loadLineagePolicy(join(user, 'policy.json'));
    const question = await adapterQuestion(join(user, 'lineage'), policy, adapter);
    const proofOf = async (session: string) =>
      new Uint8Array(await readFile(join(folder.dir, 'demo/user', session, 'proof.zkl')));
    const own = await proofOf('video/run/sessions/expert_1');
    const ensemble = await openEnsemble(fixture('ensemble/video/model'), new Map([[1, adapter.modules]]));
    const verify = (changes: Partial<ProvenRunToVerify> = {}) =>
      verifyProvenRun({
        ...{ dir: join(user, 'run'), ensemble, engine, adapters: new Map([[1, adapter]]) },
        parameters: parameters.set,
        verificationKeys: parameters.vkey,
        allowDevelopmentParameters: true,
        proofs: new Map([[1, own]]),
        lineages: new Map([[1, question]]),
        ...changes,
      });
    const refused = async (changes: Partial<ProvenRunToVerify>, reason: string) =>
      expect(await verify(changes)).toMatchObject({ valid: false, reason });
    try {
      const asked: number[] = [];
      const verdict = await verify({ onProof: (expert) => asked.push(expert) });
      expect(verdict).toMatchObject({
        valid: true,
        steps: 13,
        unused: [],
        sessions: [{ expert: 1, proof: { valid: true, integerWeights: true }, lineage: { valid: true } }],
      });
      expect(asked).toEqual([1]);
      await refused({ proofs: new Map() }, 'PROOF_MISSING');
      await refused(
        { proofs: new Map([[1, await proofOf('image/run/sessions/expert_3')]]) },
        'WRONG_ADAPTER',
      );
      const unregistered = { ...adapter, registrationProof: null };
      await refused({ adapters: new Map([[1, unregistered]]) }, 'REGISTRATION_MISSING');
      await refused({ allowDevelopmentParameters: false }, 'PARAMETERS_DEVELOPMENT');
      await refused({ lineages: new Map([[1, { ...question, head: undefined }]]) }, 'LINEAGE_INVALID');
      // the replay's own reasons come first
      await refused({ adapters: new Map(), proofs: new Map() }, 'PLAN_DIFFERS');
      await expect(verify({ lineages: new Map() })).rejects.toMatchObject({ code: 'USAGE' });
    } finally {
      await ensemble.close();
    }
  }, 60_000);
});

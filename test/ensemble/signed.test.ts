import { writeFileSync } from 'node:fs';
import { copyFile, cp, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { bytesToHex, sha256 } from '../../src/bytes.js';
import {
  digestCheckpoint,
  type EnsembleManifest,
  importEnsemble,
  parseEnsembleDescription,
} from '../../src/checkpoint/index.js';
import {
  checkSignedEnsemble,
  ensembleFileDigest,
  openEnsemble,
  openSignedEnsemble,
  parseEnsembleFile,
} from '../../src/ensemble/index.js';
import { decodeModel, encodeModel } from '../../src/inference/onnx.js';
import { ISSUED } from '../checkpoint/lineageBuilder.js';
import { temporaryFolder } from '../inference/fixtures.js';
import { modelFolder } from './support.js';

const DESCRIPTION = 'fixtures/ensemble/image/describe.json';

let manifest: EnsembleManifest;
beforeAll(async () => {
  const description = parseEnsembleDescription(new Uint8Array(await readFile(DESCRIPTION)));
  const parentFolder = dirname(DESCRIPTION);
  const folder = modelFolder('image');
  ({ manifest } = await importEnsemble({ folder, description, parentFolder, issuedAt: ISSUED }));
});

async function copied(): Promise<string> {
  const folder = join(await temporaryFolder(), 'model');
  await cp(modelFolder('image'), folder, { recursive: true });
  return folder;
}

const describedIn = async (folder: string) =>
  parseEnsembleFile(await readFile(join(folder, 'ensemble.json')));
const mismatch = (message: RegExp) =>
  expect.objectContaining({ code: 'ENSEMBLE_MISMATCH', message: expect.stringMatching(message) });

async function swapExperts(folder: string): Promise<void> {
  const [one, two] = [0, 1].map((expert) => join(folder, `expert_${expert}`, 'model.onnx'));
  await rename(one!, `${one}.aside`);
  await rename(two!, one!);
  await rename(`${one}.aside`, two!);
}

describe('checkSignedEnsemble', () => {
  it('gives the digest of the ensemble that it checked', async () => {
    const folder = modelFolder('image');
    const digest = await checkSignedEnsemble(folder, manifest);
    expect(digest).toBe(ensembleFileDigest(await describedIn(folder)));
    const ensemble = await openSignedEnsemble(folder, manifest);
    await ensemble.close();
    expect(ensemble.digest).toBe(digest);
  });

  it('refuses experts and a router that were replaced, ensemble.json left as it was', async () => {
    const swapped = await copied();
    await swapExperts(swapped);
    await expect(checkSignedEnsemble(swapped, manifest)).rejects.toEqual(
      mismatch(/^expert 0 is not the file/),
    );

    const rerouted = await copied();
    await copyFile(join(rerouted, 'expert_0/model.onnx'), join(rerouted, 'router/model.onnx'));
    await expect(checkSignedEnsemble(rerouted, manifest)).rejects.toEqual(
      mismatch(/^the router is not the file/),
    );
  });

  it('refuses another graph with the same weights', async () => {
    const folder = await copied();
    const path = join(folder, 'expert_2/model.onnx');
    const { digest } = await digestCheckpoint(path);
    const model = decodeModel(new Uint8Array(await readFile(path)));
    model.graph.name += ' with another name';
    await writeFile(path, encodeModel(model));
    expect((await digestCheckpoint(path)).digest).toBe(digest);
    await expect(checkSignedEnsemble(folder, manifest)).rejects.toEqual(
      mismatch(/^expert 2 is not the file/),
    );
  });

  it('refuses an ensemble.json that was made to fit, in which the folder opens', async () => {
    const folder = await copied();
    await swapExperts(folder);
    const path = join(folder, 'ensemble.json');
    const { experts, ...rest } = await describedIn(folder);
    const [one, two, ...others] = experts;
    const swapped = [{ ...one!, sha256: two!.sha256 }, { ...two!, sha256: one!.sha256 }, ...others];
    await writeFile(path, JSON.stringify({ ...rest, experts: swapped }));
    await (await openEnsemble(folder)).close();
    await expect(checkSignedEnsemble(folder, manifest)).rejects.toEqual(mismatch(/^ensemble\.json is not/));
  });

  it('refuses swapped objectives, in the file and in the manifest', async () => {
    const folder = await copied();
    const path = join(folder, 'ensemble.json');
    const { experts, ...rest } = await describedIn(folder);
    const [one, two, ...others] = experts;
    expect(one!.objective).not.toBe(two!.objective);
    const { objective, schedule } = one!;
    const swapped = [
      { ...one!, objective: two!.objective, schedule: two!.schedule },
      { ...two!, objective, schedule },
      ...others,
    ];
    await writeFile(path, JSON.stringify({ ...rest, experts: swapped }));
    await expect(checkSignedEnsemble(folder, manifest)).rejects.toEqual(mismatch(/^ensemble\.json is not/));

    const [first, second, ...last] = manifest.experts;
    const relabelled = [
      { ...first!, objective: second!.objective },
      { ...second!, objective: first!.objective },
      ...last,
    ];
    await expect(
      checkSignedEnsemble(modelFolder('image'), { ...manifest, experts: relabelled }),
    ).rejects.toEqual(mismatch(/^expert 0 is signed: as /));
  });

  it('refuses other weights, another router or number of experts in the manifest', async () => {
    const check = (changes: Partial<EnsembleManifest>) =>
      checkSignedEnsemble(modelFolder('image'), { ...manifest, ...changes });
    const { experts, router } = manifest;
    const digest = experts[0]!.digest;
    await expect(check({ experts: experts.slice(1) })).rejects.toEqual(mismatch(/another number of experts/));
    await expect(
      check({ experts: experts.map((each, i) => (i === 5 ? { ...each, digest } : each)) }),
    ).rejects.toEqual(mismatch(/^expert 5 does not have the weights/));
    await expect(check({ router: { ...router, digest } })).rejects.toEqual(
      mismatch(/^the router does not have the weights/),
    );
  });

  it('refuses changed centroids', async () => {
    const folder = await copied();
    const path = join(folder, 'centroids.f32');
    const bytes = await readFile(path);
    bytes[0]! ^= 1;
    await writeFile(path, bytes);
    await expect(checkSignedEnsemble(folder, manifest)).rejects.toEqual(mismatch(/^centroids\.f32 is not/));
    // signed for the same path, but not the ones that ensemble.json names
    const files = manifest.files.map((file) =>
      file.path === 'centroids.f32' ? { ...file, sha256: bytesToHex(sha256(bytes)) } : file,
    );
    await expect(openSignedEnsemble(folder, { ...manifest, files })).rejects.toEqual(mismatch(/centroids/));
  });
});

describe('openSignedEnsemble', () => {
  it('refuses a folder that is replaced between check and use', async () => {
    const folder = await copied();
    const path = join(folder, 'ensemble.json');
    const description = await describedIn(folder);
    const { router } = manifest;
    // read after the check of the description: where an attacker would come in between
    const watched = Object.defineProperty({ ...manifest }, 'router', {
      get: () => {
        writeFileSync(path, JSON.stringify({ ...description, name: 'another' }));
        return router;
      },
    });
    await expect(openSignedEnsemble(folder, watched)).rejects.toEqual(mismatch(/replaced meanwhile/));
  });
});

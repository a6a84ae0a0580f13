import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { loadEngine } from '../../src/algebra/index.js';
import { hexToBytes } from '../../src/bytes.js';
import { processProver } from '../../src/inference/processProver.js';
import type { ProveSession } from '../../src/inference/proofJobs.js';
import { openSessionRecord } from '../../src/inference/record.js';
import { toBytes } from '../../src/littleEndian.js';
import { verifyProof } from '../../src/protocol/index.js';
import { sessionDigest } from '../../src/protocol/sessionPass.js';
import { developmentParameters, makeScenario } from '../support/scenario.js';
import { temporaryFolder } from './fixtures.js';
import { randomRows, serve, sessionFolders, USER } from './parties.js';

const SHAPES = [{ rank: 2, inFeatures: 6, outFeatures: 5 }];
const parametersDir = new URL('../../fixtures/params/development', import.meta.url).pathname;

it('a proof in a process of its own blocks no answer, can be cancelled, and verifies', async () => {
  const engine = await loadEngine();
  onTestFinished(() => engine.terminate());
  const parameters = await developmentParameters();
  const scenario = await makeScenario(engine, parameters, { shapes: SHAPES, calls: [1] });
  const { adapter, modules, secret } = scenario;
  const dir = await temporaryFolder();
  const prover = processProver({ parametersDir, adapter, modules, secret });
  const under = { proofs: 0, most: 0, made: 0 };
  const prove: ProveSession = async (...args) => {
    under.proofs += 1;
    under.most = Math.max(under.most, under.proofs);
    try {
      const proof = await prover(...args);
      under.made += 1;
      return proof;
    } finally {
      under.proofs -= 1;
    }
  };
  const served = await serve({
    dir,
    modules,
    commitment: adapter,
    prove,
    serving: { secretKey: hexToBytes(secret.contributorSecretKey) },
  });
  const open = () => served.client.openSession({ commitment: adapter, user: USER, inputs: [[0]] });
  const session = await open();
  await session.apply(0, 0, 3, [{ input: 0, rows: randomRows(3, 6) }]);
  const [folder] = await sessionFolders(join(dir, 'contributor'));
  await session.finish(1, await sessionDigest(await openSessionRecord(folder!), modules));
  const other = await open();
  onTestFinished(() => other.abandon());

  // Cancelled while the process works: it is gone, and nothing was made.
  await session.startProof();
  let cancelled: Promise<unknown> | undefined;
  const last = await session.watchProof(({ progress }) => {
    if (progress !== undefined) cancelled ??= session.cancelProof();
  });
  expect([last, await cancelled]).toEqual(['cancelled', 'cancelled']);
  expect(under).toEqual({ proofs: 0, most: 1, made: 0 });

  await session.startProof();
  const done = session.watchProof(() => undefined);
  await expect.poll(() => under.proofs).toBe(1);
  const answered = await other.apply(0, 0, 2, [{ input: 0, rows: randomRows(2, 6, 5) }]);
  expect(toBytes(answered.get(0)!)).toHaveLength(80);
  // The process had hardly begun.
  expect(under).toMatchObject({ proofs: 1, made: 0 });
  expect(await done).toBe('done');
  const proof = await session.prove();
  const verdict = await verifyProof({
    engine,
    parameters: parameters.set,
    verificationKeys: parameters.vkey,
    adapter,
    session: await openSessionRecord(folder!),
    proof,
    allowDevelopmentParameters: true,
  });
  expect(verdict).toMatchObject({ valid: true });
  expect(under).toEqual({ proofs: 0, most: 1, made: 1 });
});

it('a failure in the process comes as its own error', async () => {
  const engine = await loadEngine();
  onTestFinished(() => engine.terminate());
  const { adapter, modules, secret } = await makeScenario(engine, await developmentParameters(), {
    shapes: SHAPES,
    calls: [1],
  });
  const dir = await temporaryFolder();
  const prover = processProver({ parametersDir: join(dir, 'none'), adapter, modules, secret });
  const record = { dir, callCount: 0 } as Parameters<ProveSession>[0];
  const failed = prover(record, () => undefined, new AbortController().signal);
  await expect(failed).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  const gone = prover(record, () => undefined, AbortSignal.abort());
  await expect(gone).rejects.toMatchObject({
    code: 'INTERNAL',
    message: expect.stringMatching(/ended before its proof/),
  });
});

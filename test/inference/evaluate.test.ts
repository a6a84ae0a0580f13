import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseAdapterCommitment } from '../../src/adapter/commitment.js';
import { quantizeModule } from '../../src/adapter/quantize.js';
import { openBaseModel } from '../../src/inference/baseModel.js';
import { connectContributor } from '../../src/inference/client.js';
import { type EvaluationProgress, evaluateAdapter } from '../../src/inference/evaluate.js';
import { localLora } from '../../src/inference/localLora.js';
import { measureLoss } from '../../src/inference/loss.js';
import { checkClosing, openSessionRecord } from '../../src/inference/record.js';
import { openRecordedSession } from '../../src/inference/recordedSession.js';
import { byteWindows } from '../../src/inference/windows.js';
import { type FixtureName, heldOutText, loadFixture, maxDifference, temporaryFolder } from './fixtures.js';
import { commitTo, serve, sessionFolders, USER } from './parties.js';

/** Base model, contributor and an empty folder for one fixture. */
async function parties(name: FixtureName) {
  const fixture = await loadFixture(name);
  const dir = await temporaryFolder();
  const modules = fixture.adapter.modules.map(quantizeModule);
  const model = await openBaseModel(fixture.modelPath, modules);
  onTestFinished(() => model.close());
  const served = await serve({ dir, modules, commitment: commitTo(modules, model.digest) });
  return { fixture, dir, modules, model, ...served, sessionDir: join(dir, 'user') };
}

describe.each(['gpt2-tiny', 'llama-tiny'] as const)('%s with a remote adapter', (name) => {
  it('gives the logits of torch within the rounding of int16', async () => {
    const { fixture, model, client, commitment, sessionDir } = await parties(name);
    const { ids, batch, sequence, adaptedLogits } = fixture;
    const session = await openRecordedSession({ model, client, commitment, dir: sessionDir });
    const logits = await session.forward(ids, batch, sequence);
    await session.close();
    expect(maxDifference(logits.values, adaptedLogits)).toBeLessThan(2e-2);
    expect(session.record.callCount).toBe(1);
    expect((await session.record.readCall(0)).tokens).toBe(batch * sequence);
  });
});

describe('evaluateAdapter', () => {
  it("reproduces torch's losses, records every token on both sides and closes", async () => {
    const { fixture, dir, modules, model, client, commitment, sessionDir } = await parties('gpt2-tiny');
    const windows = byteWindows(await heldOutText(), 96, 8);
    const progress: EvaluationProgress[] = [];
    const result = await evaluateAdapter({
      model,
      client,
      commitment,
      dir: sessionDir,
      user: USER,
      windows,
      batch: 3,
      onProgress: (event) => progress.push(event),
    });
    const { base, adapted } = fixture.oracle.losses!;
    expect(Math.abs(result.baseLoss - base.first8)).toBeLessThan(1e-3);
    expect(Math.abs(result.adapterLoss - adapted.first8)).toBeLessThan(1e-3);
    const float = await measureLoss(localLora(model, fixture.adapter.modules), windows, { batch: 3 });
    expect(Math.abs(result.adapterLoss - float.loss)).toBeLessThan(1e-3);
    expect(result).toMatchObject({ predictions: 760, tokens: 768, calls: 3 });
    expect(progress.map(({ part, done, total }) => `${part} ${done}/${total}`)).toEqual([
      'base 3/8',
      'base 6/8',
      'base 8/8',
      'adapter 3/8',
      'adapter 6/8',
      'adapter 8/8',
    ]);

    const mine = await openSessionRecord(sessionDir);
    const [folder] = await sessionFolders(join(dir, 'contributor'));
    const theirs = await openSessionRecord(folder!);
    expect(mine.header).toEqual(theirs.header);
    expect(mine.closing).toEqual(theirs.closing);
    expect(await checkClosing(mine, modules)).toEqual(await checkClosing(theirs, modules));
    let tokens = 0;
    for (let call = 0; call < mine.callCount; call += 1) tokens += (await mine.readCall(call)).tokens;
    expect(tokens).toBe(result.tokens);
    expect([...(await result.session.prove())]).toEqual([1, 2, 3]);
  });

  it('refuses another base model before it asks anybody', async () => {
    const { model, modules, client, sessionDir, events } = await parties('llama-tiny');
    const other = commitTo(modules, 'ab'.repeat(32));
    const windows = byteWindows(new Uint8Array(32), 16);
    await expect(
      evaluateAdapter({ model, client, commitment: other, dir: sessionDir, windows, batch: 1 }),
    ).rejects.toMatchObject({ code: 'BASE_MODEL_MISMATCH' });
    expect(events).toEqual([]);
  });

  it('refuses a folder that holds something', async () => {
    const { model, client, commitment, dir } = await parties('llama-tiny');
    const windows = byteWindows(new Uint8Array(32), 16);
    await expect(
      evaluateAdapter({ model, client, commitment, dir, windows, batch: 1 }),
    ).rejects.toMatchObject({ code: 'FILE_EXISTS' });
  });
});

describe('a contributor that dies', () => {
  it('leaves the record at its last whole call (service ended)', async () => {
    const { fixture, model, client, commitment, server, sessionDir, modules } = await parties('llama-tiny');
    const { ids, batch, sequence } = fixture;
    const session = await openRecordedSession({ model, client, commitment, dir: sessionDir });
    const first = await session.forward(ids, batch, sequence);
    const dying = expect(session.forward(ids, batch, sequence)).rejects.toMatchObject({
      code: 'CONTRIBUTOR_UNREACHABLE',
    });
    await server.close();
    await dying;
    await expect(session.forward(ids, batch, sequence)).rejects.toMatchObject({
      code: 'CONTRIBUTOR_UNREACHABLE',
    });
    await expect(session.close()).rejects.toMatchObject({ code: 'CONTRIBUTOR_UNREACHABLE' });
    await session.abandon();
    const record = await openSessionRecord(sessionDir);
    expect(record.callCount).toBe(1);
    expect(record.closing).toBeNull();
    expect((await record.readCall(0)).tokens).toBe(ids.length);
    await expect(checkClosing(record, modules)).rejects.toMatchObject({ code: 'SESSION_MISMATCH' });
    // The base model is still of use.
    expect(first.values).toHaveLength((await model.forwardBase(ids, batch, sequence)).values.length);
  });

  it('leaves the record at its last whole call (process killed)', async () => {
    const fixture = await loadFixture('llama-tiny');
    const { ids, batch, sequence } = fixture;
    const model = await openBaseModel(fixture.modelPath, fixture.adapter.modules);
    onTestFinished(() => model.close());
    const dir = await temporaryFolder();
    const { process: contributor, port } = await contributorProcess(model.digest, join(dir, 'contributor'));
    const client = await connectContributor({
      address: { host: '127.0.0.1', port },
      retry: { attempts: 0 },
    });
    onTestFinished(() => client.close());
    const commitment = parseAdapterCommitment(await client.describe());
    const session = await openRecordedSession({ model, client, commitment, dir: join(dir, 'user') });
    await session.forward(ids, batch, sequence);
    await session.forward(ids, batch, sequence);
    contributor.kill('SIGKILL');
    await expect(session.forward(ids, batch, sequence)).rejects.toMatchObject({
      code: 'CONTRIBUTOR_UNREACHABLE',
      message: `no answer from the contributor at 127.0.0.1:${port}; is it running there?`,
    });
    await session.abandon();
    const record = await openSessionRecord(join(dir, 'user'));
    expect(record.callCount).toBe(2);
    const [folder] = await sessionFolders(join(dir, 'contributor'));
    const theirs = await openSessionRecord(folder!);
    expect(await theirs.readCall(1)).toEqual(await record.readCall(1));
  });
});

async function contributorProcess(
  digest: string,
  dir: string,
): Promise<{ process: ChildProcess; port: number }> {
  const child = spawn(
    process.execPath,
    ['test/inference/contributorProcess.mjs', 'fixtures/llama-tiny/adapter', digest, dir],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  onTestFinished(() => void child.kill('SIGKILL'));
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout!.once('data', (line: Buffer) => resolve(Number(line.toString())));
    child.once('exit', () => reject(new Error('the contributor process ended')));
  });
  return { process: child, port };
}

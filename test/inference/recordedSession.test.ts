import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { ZkLoraError } from '../../src/errors.js';
import type { BaseModel } from '../../src/inference/baseModel.js';
import { callBytes, requireCallFits, stageBytes } from '../../src/inference/callSizes.js';
import type { ContributorClient, RemoteSession } from '../../src/inference/client.js';
import { evaluateAdapter } from '../../src/inference/evaluate.js';
import { MAX_CALL_FILE_BYTES, MAX_MESSAGE_BYTES } from '../../src/inference/limits.js';
import { createSessionRecord, openSessionRecord } from '../../src/inference/record.js';
import { openRecordedSession } from '../../src/inference/recordedSession.js';
import { byteWindows } from '../../src/inference/windows.js';
import { recordCall } from '../support/recordCall.js';
import { fakeModel } from './fakeModel.js';
import { temporaryFolder } from './fixtures.js';
import { header, MODULES, randomCall, randomModule, SEED, serve, USER } from './parties.js';

/** A client whose sessions are counted and may be meddled with. */
function watched(client: ContributorClient, meddle: (session: RemoteSession) => RemoteSession = (s) => s) {
  const opened: RemoteSession[] = [];
  const openSession: ContributorClient['openSession'] = async (request) => {
    const session = meddle(await client.openSession(request));
    opened.push(session);
    onTestFinished(() => session.abandon());
    return session;
  };
  return { opened, client: { ...client, openSession } };
}

const IDS = BigInt64Array.of(1n, 2n, 3n, 4n);
const WIDE = Array.from({ length: 17 }, (_, i) => randomModule(`wide.${i}`, 1, 2 ** 14, 1));
const WIDE_INPUTS = WIDE.map((_, i) => [i]);
const usage = expect.objectContaining({
  code: 'USAGE',
  message: expect.stringMatching(/use a smaller batch$/),
});

describe('a recorded session', () => {
  it.each([
    ['the whole call', 500],
    ['the message of a stage', 512],
    ['the tokens of a call', 32_769],
  ])('asks nothing when %s would be too large', async (_, tokens) => {
    const dir = await temporaryFolder();
    const served = await serve({ dir, modules: WIDE });
    const model = fakeModel(WIDE, WIDE_INPUTS);
    const apply = vi.fn();
    const { client } = watched(served.client, (session) => {
      session.apply = apply;
      return session;
    });
    const session = await openRecordedSession({
      model,
      client,
      commitment: served.commitment,
      dir: join(dir, 'user'),
    });
    await expect(session.forward(new BigInt64Array(tokens), 1, tokens)).rejects.toEqual(usage);
    expect(model.passes).toBe(0);
    expect(apply).not.toHaveBeenCalled();
  });

  it('is refused by the client as well, stage by stage', async () => {
    const served = await serve({ dir: await temporaryFolder(), modules: WIDE });
    const { client } = watched(served.client);
    const session = await client.openSession({
      commitment: served.commitment,
      user: USER,
      inputs: WIDE_INPUTS,
    });
    const rows = { x: new Int16Array(500), exponents: new Int16Array(500) };
    await expect(session.apply(0, 0, 500, [{ input: 0, rows }])).rejects.toEqual(usage);
    expect(served.events.map(({ method }) => method)).toEqual(['openSession']);
  });

  it('opens nothing when its folder cannot be had', async () => {
    const dir = await temporaryFolder();
    const served = await serve({ dir });
    const { client, opened } = watched(served.client);
    const options = { model: fakeModel(), client, commitment: served.commitment };
    await writeFile(join(dir, 'file'), '');
    await expect(openRecordedSession({ ...options, dir })).rejects.toMatchObject({ code: 'FILE_EXISTS' });
    await expect(openRecordedSession({ ...options, dir: join(dir, 'file', 'x') })).rejects.toMatchObject({
      code: 'FILE_UNWRITABLE',
    });
    expect(opened).toEqual([]);
  });

  it('lets go of the contributor when its record cannot begin', async () => {
    const dir = await temporaryFolder();
    const served = await serve({ dir });
    const abandoned = vi.fn();
    const { client } = watched(served.client, (session) => {
      session.abandon = abandoned;
      return session;
    });
    const inTheWay: ContributorClient = {
      ...client,
      openSession: async (request) => {
        const session = await client.openSession(request);
        await mkdir(join(dir, 'user', 'calls'));
        return session;
      },
    };
    await expect(
      openRecordedSession({
        model: fakeModel(),
        client: inTheWay,
        commitment: served.commitment,
        dir: join(dir, 'user'),
      }),
    ).rejects.toMatchObject({ code: 'FILE_EXISTS' });
    expect(abandoned).toHaveBeenCalledTimes(1);
  });

  it('gives no result of a pass that cannot be recorded', async () => {
    const dir = await temporaryFolder();
    const served = await serve({ dir });
    const { client } = watched(served.client);
    const { commitment } = served;
    const options = { model: fakeModel(), client, commitment, dir: join(dir, 'user') };
    const session = await openRecordedSession(options);
    await session.forward(IDS, 1, 4);
    await rm(join(dir, 'user', 'calls'), { recursive: true });
    await expect(session.forward(IDS, 1, 4)).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
    expect(session.record.callCount).toBe(1);
    await mkdir(join(dir, 'user', 'calls'));
    // the contributor has the call, and answers the same questions again
    await session.forward(IDS, 1, 4);
    expect(session.record.callCount).toBe(2);
  });

  it('records passes that are started at once one after the other', async () => {
    const dir = await temporaryFolder();
    const served = await serve({ dir });
    const { client } = watched(served.client);
    const { commitment } = served;
    const userDir = join(dir, 'user');
    const model = fakeModel();
    const { forward } = model;
    // one pass at a time, as the real model's thread has it: the next begins while the one before is recorded
    let last: Promise<unknown> = Promise.resolve();
    const queued: BaseModel['forward'] = (...args) => {
      const pass = last.then(() => forward(...args));
      last = pass;
      return pass;
    };
    const options = { model: { ...model, forward: queued }, client, commitment, dir: userDir };
    const session = await openRecordedSession(options);
    await Promise.all(
      [0n, 1n, 2n].map((step) =>
        session.forward(
          IDS.map((id) => id + step),
          1,
          4,
        ),
      ),
    );
    expect(await session.close()).toMatchObject({ calls: 3 });
    expect((await openSessionRecord(userDir)).callCount).toBe(3);
  });

  it('runs a pass again whose answer was lost, at every stage', async () => {
    for (const lost of [0, 1]) {
      const dir = await temporaryFolder();
      const served = await serve({ dir });
      let losses = 1;
      const { client } = watched(served.client, (session) => {
        const apply = session.apply.bind(session);
        session.apply = async (call, stage, tokens, inputs) => {
          const answer = await apply(call, stage, tokens, inputs);
          if (call === 1 && stage === lost && losses > 0) {
            losses -= 1;
            throw new ZkLoraError('CONTRIBUTOR_UNREACHABLE', 'the answer was lost');
          }
          return answer;
        };
        return session;
      });
      const session = await openRecordedSession({
        model: fakeModel(),
        client,
        commitment: served.commitment,
        dir: join(dir, 'user'),
      });
      await session.forward(IDS, 1, 4);
      const second = IDS.map((id) => id + 9n);
      await expect(session.forward(second, 1, 4)).rejects.toMatchObject({ code: 'CONTRIBUTOR_UNREACHABLE' });
      await session.forward(second, 1, 4);
      await session.forward(IDS, 1, 4);
      expect(await session.close()).toMatchObject({ calls: 3 });
    }
  });
});

describe('evaluateAdapter', () => {
  it('opens no session when the base model fails', async () => {
    const dir = await temporaryFolder();
    const served = await serve({ dir });
    const { client, opened } = watched(served.client);
    const failing: BaseModel = {
      ...fakeModel(),
      forwardBase: async () => {
        throw new ZkLoraError('BASE_MODEL_MISMATCH', 'no');
      },
    };
    await expect(
      evaluateAdapter({
        model: failing,
        client,
        commitment: served.commitment,
        dir: join(dir, 'user'),
        windows: byteWindows(new Uint8Array(32), 16),
        batch: 1,
      }),
    ).rejects.toMatchObject({ code: 'BASE_MODEL_MISMATCH' });
    expect(opened).toEqual([]);
  });
});

describe('session folder', () => {
  it("is its owner's alone; one that was there keeps its mode", async () => {
    const dir = await temporaryFolder();
    const mode = async (...names: string[]) => ((await stat(join(dir, ...names))).mode & 0o777).toString(8);
    const record = await createSessionRecord(join(dir, 'new'), { header: header(), seed: SEED }, MODULES);
    await recordCall(record, randomCall(header(), 2));
    expect(await mode('new')).toBe('700');
    expect(await mode('new', 'session.json')).toBe('600');
    expect(await mode('new', 'session.secret')).toBe('600');
    expect(await mode('new', 'calls', '000000.safetensors')).toBe('600');
    await mkdir(join(dir, 'there'), { mode: 0o755 });
    await createSessionRecord(join(dir, 'there'), { header: header(), seed: SEED }, MODULES);
    expect(await mode('there', 'calls')).toBe('700');
    expect((await openSessionRecord(join(dir, 'there'))).callCount).toBe(0);
    expect(await readdir(join(dir, 'there'))).toHaveLength(3);
  });
});

describe('sizes of a call', () => {
  it('bound the file from above, closely', async () => {
    const dir = join(await temporaryFolder(), 'session');
    const record = await createSessionRecord(dir, { header: header(), seed: SEED }, MODULES);
    for (const tokens of [1, 100]) {
      await recordCall(record, randomCall(header(), tokens));
      const name = `00000${record.callCount - 1}.safetensors`;
      const { size } = await stat(join(dir, 'calls', name));
      const bound = callBytes(header(), MODULES, tokens);
      expect(size).toBeLessThanOrEqual(bound);
      expect(bound - size).toBeLessThan(8 * 128);
    }
  });

  it('are held at their limits', () => {
    const one = { inputs: [[0]] };
    const modules = [{ inFeatures: 1, outFeatures: 2 ** 14 }];
    const largest = Math.floor((MAX_MESSAGE_BYTES - 128) / (8 * 2 ** 14));
    expect(stageBytes(one, modules, largest, [0]).response).toBeLessThanOrEqual(MAX_MESSAGE_BYTES);
    requireCallFits(one, modules, largest, [[0]]);
    expect(() => requireCallFits(one, modules, largest + 1, [[0]])).toThrow(usage);
    const narrow = [{ inFeatures: 2 ** 14, outFeatures: 1 }];
    expect(() => requireCallFits(one, narrow, 2048, [[0]])).toThrow(usage);
    expect(callBytes(one, narrow, 2 ** 15)).toBeGreaterThan(MAX_CALL_FILE_BYTES);
  });
});

import { mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { bytesToHex, equalBytes } from '../../src/bytes.js';
import { lockFolder } from '../../src/folderLock.js';
import { connectContributor } from '../../src/inference/client.js';
import { SESSION_IDLE_MS } from '../../src/inference/limits.js';
import { checkClosing, openSessionRecord } from '../../src/inference/record.js';
import { openRecordedSession, type RecordedSession } from '../../src/inference/recordedSession.js';
import { serveContributor } from '../../src/inference/service.js';
import { keyPairFromSeed, resumingMessage, sign } from '../../src/inference/signatures.js';
import { TestClock } from './contributor.js';
import { fakeModel } from './fakeModel.js';
import { temporaryFolder } from './fixtures.js';
import {
  CONTRIBUTOR,
  commitTo,
  header,
  LOOPBACK,
  MODULES,
  type Served,
  serve,
  sessionFolders,
  USER,
} from './parties.js';

const ids = (call: number) => BigInt64Array.of(BigInt(call), 2n, 3n);

/** Passes from the session's next one up to `calls`. */
async function passes(session: RecordedSession, calls: number): Promise<void> {
  for (let call = session.record.callCount; call < calls; call += 1) await session.forward(ids(call), 1, 3);
}

/** A user's session with a contributor of its own; `again` is what another process of the user does. */
async function user(connecting: Parameters<typeof serve>[0]['connecting'] = {}) {
  const dir = await temporaryFolder();
  const served = await serve({ dir, connecting });
  const folder = join(dir, 'user');
  const options = { model: fakeModel(), client: served.client, commitment: served.commitment, dir: folder };
  return {
    dir,
    folder,
    served,
    options,
    session: await openRecordedSession(options),
    again: (change: object = {}) => openRecordedSession({ ...options, resume: true, ...change }),
  };
}

async function bothRecords(dir: string) {
  const mine = await openSessionRecord(join(dir, 'user'));
  const [folder] = await sessionFolders(join(dir, 'contributor'));
  return { mine, theirs: await openSessionRecord(folder!) };
}

/** Both records are closed, and the same. */
async function expectSame(dir: string, calls: number): Promise<void> {
  const { mine, theirs } = await bothRecords(dir);
  expect([mine.callCount, theirs.callCount]).toEqual([calls, calls]);
  expect(mine.closing).toEqual(theirs.closing);
  expect(equalBytes(await checkClosing(mine, MODULES), await checkClosing(theirs, MODULES))).toBe(true);
}

const mismatch = (message: RegExp) =>
  expect.objectContaining({ code: 'SESSION_MISMATCH', message: expect.stringMatching(message) });

describe('a user that comes back', () => {
  it('goes on at its last whole call', async () => {
    const { dir, session, again } = await user();
    await passes(session, 2);
    await session.abandon();
    const next = await again();
    expect(next.record.callCount).toBe(2);
    await passes(next, 3);
    await next.close();
    await expectSame(dir, 3);
  });

  it('goes on in the middle of a call, also when the contributor is a call ahead', async () => {
    for (const lost of [0, 1]) {
      const { dir, session, served, options, again } = await user();
      await passes(session, 1);
      await session.abandon();
      // The answer of a stage comes, and the user is gone before it writes anything.
      const dying = await openRecordedSession({ ...options, resume: true, model: dyingAfter(lost) });
      await expect(passes(dying, 2)).rejects.toThrow('killed');
      await dying.abandon();
      expect((await bothRecords(dir)).theirs.callCount).toBe(1 + lost);
      const next = await again();
      await passes(next, 3);
      await next.close();
      await expectSame(dir, 3);
      await served.server.close();
    }
  });

  it('closes again what was signed on one side only, and gets its proof', async () => {
    const { dir, session, folder, again } = await user();
    await passes(session, 2);
    const closing = await session.close();
    // As a crash before the user's own close.json leaves it.
    await rm(join(folder, 'close.json'));
    const next = await again();
    await expect(next.forward(ids(2), 1, 3)).rejects.toMatchObject({ code: 'CONTRIBUTOR_REFUSED' });
    expect(await next.close()).toEqual(closing);
    expect(await next.close()).toEqual(closing);
    await expectSame(dir, 2);
    const last = await again();
    expect(await last.close()).toEqual(closing);
    expect([...(await last.prove())]).toEqual([1, 2, 3]);
  });

  it('loses a last call that was not written to its end, and asks it again', async () => {
    const { dir, session, folder, again } = await user();
    await passes(session, 2);
    await session.abandon();
    await truncate(join(folder, 'calls', '000001.safetensors'), 300);
    const next = await again();
    expect(next.record.callCount).toBe(1);
    await passes(next, 3);
    await next.close();
    await expectSame(dir, 3);
  });

  it('keeps what it needs for itself alone', async () => {
    const { session, folder } = await user();
    const path = join(folder, 'session.access');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const access = JSON.parse(await readFile(path, 'utf8'));
    expect(access).toEqual({
      format: 'zklora/session-access/v1',
      sessionId: expect.stringMatching(/^[0-9a-f]{32}$/),
      userSecretKey: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    await session.abandon();
  });

  it('brings a key of its own itself', async () => {
    const { options, dir, served } = await user();
    const own = { ...options, dir: join(dir, 'own'), user: USER };
    const session = await openRecordedSession(own);
    await passes(session, 1);
    await session.abandon();
    expect(JSON.parse(await readFile(join(dir, 'own', 'session.access'), 'utf8')).userSecretKey).toBeNull();
    const other = keyPairFromSeed(new Uint8Array(32).fill(77));
    const again = { ...own, resume: true };
    await expect(openRecordedSession({ ...again, user: other })).rejects.toEqual(
      mismatch(/another user key/),
    );
    const { user: _, ...without } = again;
    await expect(openRecordedSession(without)).rejects.toEqual(mismatch(/another user key/));
    await (await openRecordedSession(again)).abandon();
    await served.server.close();
  });

  it('leaves alone what another process has only begun', async () => {
    const { again, dir } = await user();
    const begun = join(dir, 'begun');
    const lock = await lockFolder(begun);
    await writeFile(join(begun, 'session.secret'), 'the seed of the other');
    await expect(again({ dir: begun })).rejects.toMatchObject({ code: 'FOLDER_IN_USE' });
    expect(await readFile(join(begun, 'session.secret'), 'utf8')).toBe('the seed of the other');
    await lock.release();
  });

  it('is refused where it does not belong', async () => {
    const { session, again, served, dir, folder } = await user();
    await passes(session, 1);
    await expect(again()).rejects.toMatchObject({ code: 'FOLDER_IN_USE' });
    await session.abandon();
    await expect(again({ nonce: new Uint8Array(32) })).rejects.toEqual(mismatch(/another adapter or model/));
    const other = commitTo(MODULES, undefined, keyPairFromSeed(new Uint8Array(32).fill(8)));
    await expect(again({ commitment: other })).rejects.toEqual(mismatch(/another adapter or model/));
    // A contributor without the session, and one that lost a call of it.
    const stranger = await serve({ dir: join(dir, 'stranger') });
    await expect(again({ client: stranger.client })).rejects.toMatchObject({
      code: 'CONTRIBUTOR_REFUSED',
      details: { status: 'NOT_FOUND' },
    });
    await served.server.close();
    const [theirs] = await sessionFolders(join(dir, 'contributor'));
    await rm(join(theirs!, 'calls', '000000.safetensors'));
    const behind = await serve({ dir });
    await expect(again({ client: behind.client })).rejects.toEqual(
      mismatch(/record has 0 calls, this one 1/),
    );
    await writeFile(join(folder, 'session.access'), '{}');
    await expect(again()).rejects.toMatchObject({ code: 'SESSION_MALFORMED' });
    await rm(join(folder, 'session.access'));
    await expect(again()).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it('begins in a folder whose opening was cut short, not in one that holds something else', async () => {
    const { options, dir } = await user();
    const folder = join(dir, 'cut');
    await mkdir(join(folder, 'calls'), { recursive: true });
    await writeFile(join(folder, 'session.secret'), '{}');
    await writeFile(join(folder, 'session.access'), '{}');
    await writeFile(join(folder, '.session.json.aa.tmp'), '{');
    const session = await openRecordedSession({ ...options, dir: folder, resume: true });
    expect((await readdir(folder)).sort()).toEqual(
      ['.lock', 'calls', 'session.access', 'session.json', 'session.secret'].sort(),
    );
    await session.abandon();
    for (const name of ['notes.txt', 'calls/000000.safetensors']) {
      const taken = join(dir, name.slice(0, 5));
      await mkdir(join(taken, 'calls'), { recursive: true });
      await writeFile(join(taken, name), 'mine');
      await expect(openRecordedSession({ ...options, dir: taken, resume: true })).rejects.toMatchObject({
        code: 'FILE_EXISTS',
      });
      expect(await readFile(join(taken, name), 'utf8')).toBe('mine');
    }
  });
});

/** The model of these tests, in a process that is killed when the answer of a stage of call 1 has come. */
function dyingAfter(stage: number) {
  const model = fakeModel();
  const { forward } = model;
  model.forward = (rows, batch, sequence, applyStage) =>
    forward(rows, batch, sequence, async (at, inputs) => {
      if (at <= stage) {
        const last = model.stages.length - 1;
        // Under another number the last stage is not recorded by the user.
        const deltas = await applyStage(at, inputs).catch((error: unknown) => error);
        if (at === stage && at !== last) throw new Error('killed');
        if (at === last) throw new Error('killed');
        return deltas as Map<number, Float32Array>;
      }
      throw new Error('killed');
    });
  return model;
}

/** A contributor that is stopped, and started again at the same address by the first pause of its client. */
async function restarting() {
  const dir = await temporaryFolder();
  let served: Served | undefined;
  let restarts = 0;
  const pauses: number[] = [];
  const pause = async (ms: number): Promise<void> => {
    pauses.push(ms);
    if (restarts > 0) return;
    restarts += 1;
    const server = await serveContributor({
      commitment: served!.commitment,
      modules: MODULES,
      secretKey: CONTRIBUTOR.secretKey,
      sessionsDir: join(dir, 'contributor'),
      prove: async () => Uint8Array.of(4),
      address: served!.server.address,
    });
    onTestFinished(() => server.close());
  };
  served = await serve({ dir, connecting: { retry: { attempts: 20, pause } } });
  return { dir, served, pauses };
}

describe('a connection that is lost', () => {
  it('sends a call again that left the memory of the contributor between two stages', async () => {
    const dir = await temporaryFolder();
    const clock = new TestClock();
    const retry = { attempts: 1, firstPause: 1, longestPause: 1, pause: async () => undefined };
    const { client, commitment } = await serve({ dir, serving: { clock }, connecting: { retry } });
    const model = fakeModel();
    const { forward } = model;
    model.forward = (rows, batch, sequence, applyStage) =>
      forward(rows, batch, sequence, async (stage, inputs) => {
        // no timer runs, so that the stream is still there
        if (stage === 1) clock.time += SESSION_IDLE_MS;
        return applyStage(stage, inputs);
      });
    const session = await openRecordedSession({ model, client, commitment, dir: join(dir, 'user') });
    await passes(session, 2);
    await session.close();
    await expectSame(dir, 2);
  });

  it('is made again in the middle of a call, whose stages are asked again', async () => {
    const { dir, served, pauses } = await restarting();
    const model = fakeModel();
    const { forward } = model;
    let asked = 0;
    model.forward = (rows, batch, sequence, applyStage) =>
      forward(rows, batch, sequence, async (stage, inputs) => {
        asked += 1;
        if (asked === 4) await served.server.close();
        return applyStage(stage, inputs);
      });
    const { client, commitment } = served;
    const session = await openRecordedSession({ model, client, commitment, dir: join(dir, 'user') });
    await passes(session, 3);
    await session.close();
    await expectSame(dir, 3);
    expect([...(await session.prove())]).toEqual([4]);
    expect(pauses.length).toBeGreaterThan(0);
    expect(pauses[0]).toBeGreaterThanOrEqual(125);
    expect(pauses[0]).toBeLessThanOrEqual(250);
  });

  it('is given up after a bounded number of tries, with growing pauses', async () => {
    const pauses: number[] = [];
    const retry = { attempts: 6, pause: async (ms: number) => void pauses.push(ms) };
    const { session, served } = await user({ retry });
    await served.server.close();
    await expect(passes(session, 1)).rejects.toMatchObject({ code: 'CONTRIBUTOR_UNREACHABLE' });
    expect(pauses).toHaveLength(6);
    for (const [i, pause] of pauses.entries()) {
      const most = Math.min(250 * 2 ** i, 5000);
      expect(pause).toBeGreaterThanOrEqual(most / 2);
      expect(pause).toBeLessThanOrEqual(most);
    }
    await session.abandon();
  });

  it('is not made again for a refusal', async () => {
    const pauses: number[] = [];
    const retry = { attempts: 6, pause: async (ms: number) => void pauses.push(ms) };
    const { session, served, options, dir } = await user({ retry });
    await expect(
      openRecordedSession({
        ...options,
        dir: join(dir, 'x'),
        commitment: commitTo(MODULES, undefined, USER),
      }),
    ).rejects.toMatchObject({ code: 'CONTRIBUTOR_REFUSED' });
    expect(pauses).toEqual([]);
    await session.abandon();
    await served.server.close();
  });

  it('does not hide a contributor that answers the same question otherwise', async () => {
    const { dir, served } = await restarting();
    const model = fakeModel();
    const { forward } = model;
    let asked = 0;
    model.forward = (rows, batch, sequence, applyStage) =>
      forward(rows, batch, sequence, async (stage, inputs) => {
        asked += 1;
        if (asked === 2) {
          await served.server.close();
          // Another adapter of the same shapes from now on: what was answered before comes out otherwise.
          MODULES[0]!.a[0]! ^= 1;
        }
        return applyStage(stage, inputs);
      });
    onTestFinished(() => {
      MODULES[0]!.a[0]! ^= 1;
    });
    const { client, commitment } = served;
    const session = await openRecordedSession({ model, client, commitment, dir: join(dir, 'user') });
    await expect(passes(session, 1)).rejects.toEqual(mismatch(/another answer to the same question/));
    await session.abandon();
  });
});

it('a stranger cannot stand in for the contributor at a resume', async () => {
  const { session, again, served, dir } = await user();
  await passes(session, 1);
  await session.abandon();
  const attach = (key: Uint8Array) => {
    const remote = { ...served.client };
    remote.attachSession = (request) => {
      const real = served.client.attachSession({
        ...request,
        commitment: { ...request.commitment, contributorKey: bytesToHex(keyPairFromSeed(key).publicKey) },
      });
      return real;
    };
    return remote;
  };
  await expect(again({ client: attach(new Uint8Array(32).fill(9)) })).rejects.toEqual(
    mismatch(/does not hold the key of the pinned adapter commitment/),
  );
  const [one, two] = [0, 1].map((calls) =>
    resumingMessage(new Uint8Array(32), header(), { calls, closed: false }),
  );
  expect(bytesToHex(sign(one!, USER.secretKey))).not.toBe(bytesToHex(sign(two!, USER.secretKey)));
  expect((await bothRecords(dir)).theirs.callCount).toBe(1);
});

it('a client without a contributor says so at once', async () => {
  await expect(
    connectContributor({ address: { ...LOOPBACK, port: 1 }, timeouts: { connect: 200 } }),
  ).rejects.toMatchObject({ code: 'CONTRIBUTOR_UNREACHABLE' });
});

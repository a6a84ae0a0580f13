import { once } from 'node:events';
import type { FileHandle, open } from 'node:fs/promises';
import { createServer, connect as dial, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { connectContributor } from '../../src/inference/client.js';
import { systemClock } from '../../src/inference/clock.js';
import { SESSION_IDLE_MS } from '../../src/inference/limits.js';
import { checkClosing, openSessionRecord } from '../../src/inference/record.js';
import { openRecordedSession } from '../../src/inference/recordedSession.js';
import { closed, contributor, onlyFolder, opened, stageOf, TestClock } from './contributor.js';
import { fakeModel } from './fakeModel.js';
import { temporaryFolder } from './fixtures.js';
import { MODULES, serve } from './parties.js';

/** What happens to writes and flushes of files. */
const disk = vi.hoisted(() => ({
  write: async (_path: string): Promise<void> => undefined,
  /** Bytes of a write that still get onto a full disk. */
  kept: 0,
  sync: async (_path: string): Promise<void> => undefined,
}));

vi.mock('node:fs/promises', async (original) => {
  const real = await original<{ open: typeof open }>();
  return {
    ...real,
    open: async (...args: Parameters<typeof open>): Promise<FileHandle> => {
      const handle = await real.open(...args);
      const path = String(args[0]);
      const [writeFile, sync] = [handle.writeFile.bind(handle), handle.sync.bind(handle)];
      const write = handle.write.bind(handle);
      handle.write = (async (data: Uint8Array, offset: number, length: number, position: number) => {
        try {
          await disk.write(path);
        } catch (error) {
          await write(data, offset, Math.min(length, disk.kept), position);
          throw error;
        }
        return write(data, offset, length, position);
      }) as FileHandle['write'];
      handle.writeFile = async (data, ...rest) => {
        try {
          await disk.write(path);
        } catch (error) {
          await writeFile(Buffer.from(data as Uint8Array).subarray(0, disk.kept));
          throw error;
        }
        await writeFile(data, ...rest);
      };
      handle.sync = async () => {
        await disk.sync(path);
        await sync();
      };
      return handle;
    },
  };
});

afterEach(() => {
  disk.write = async () => undefined;
  disk.sync = async () => undefined;
  disk.kept = 0;
});

const noSpace = () => Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });

/** Fails the `at`-th of what it is asked for, counted from 0. */
function failing(at: number) {
  let count = 0;
  return async (): Promise<void> => {
    count += 1;
    if (count - 1 === at) throw noSpace();
  };
}

describe('a full disk', () => {
  // Two stages and the close: a journal line, a line and a call file, close.json.
  it.each([0, 1, 2, 3].flatMap((at) => [0, 40].map((kept) => [at, kept] as const)))(
    'at write %i of a session, %i bytes of it kept: no answer, and later all goes on',
    async (at, kept) => {
      const { sessions, dir } = await contributor();
      const id = await opened(sessions);
      const folder = await onlyFolder(dir);
      disk.write = failing(at);
      disk.kept = kept;
      let failures = 0;
      const again = async <T>(work: () => Promise<T>): Promise<T> => {
        try {
          return await work();
        } catch (error) {
          expect(error).toMatchObject({
            code: 'FILE_UNWRITABLE',
            message: expect.stringMatching(/disk is full/),
          });
          failures += 1;
          return work();
        }
      };
      for (const stage of [0, 1]) {
        await again(async () => {
          // After a failure the stages of the call come again from the first on.
          for (let s = 0; s <= stage; s += 1) await sessions.apply(id, stageOf(0, s, s));
        });
      }
      const { signature } = await again(() => closed(sessions, id, folder));
      expect(signature).toHaveLength(64);
      expect(failures).toBe(1);
      await checkClosing(await openSessionRecord(folder), MODULES);
    },
  );

  it('when flushing fails: no answer, and later all goes on', async () => {
    for (const at of [0, 1, 2, 3]) {
      const { sessions, dir } = await contributor();
      const id = await opened(sessions);
      disk.sync = failing(at);
      let answered = 0;
      for (let attempt = 0; attempt < 2 && answered < 2; attempt += 1) {
        answered = 0;
        for (const stage of [0, 1]) {
          const outputs = await sessions.apply(id, stageOf(0, stage, stage)).catch((error: unknown) => error);
          if (Array.isArray(outputs)) answered += 1;
          else expect(outputs).toMatchObject({ code: 'FILE_UNWRITABLE' });
          if (!Array.isArray(outputs)) break;
        }
      }
      expect(answered).toBe(2);
      await closed(sessions, id, await onlyFolder(dir));
    }
  });

  it("of the user: the pass fails, and the session goes on from the user's record", async () => {
    const dir = await temporaryFolder();
    const { client, commitment } = await serve({ dir });
    const options = { model: fakeModel(), client, commitment, dir: join(dir, 'user') };
    const ids = BigInt64Array.of(1n, 2n);
    const session = await openRecordedSession(options);
    disk.write = async (path) => {
      if (path.includes(join('user', 'calls'))) throw noSpace();
    };
    await expect(session.forward(ids, 1, 2)).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
    await session.abandon();
    disk.write = async () => undefined;
    const next = await openRecordedSession({ ...options, resume: true });
    expect(next.record.callCount).toBe(0);
    await next.forward(ids, 1, 2);
    expect((await next.close()).calls).toBe(1);
  });
});

it('a slow disk holds back the answers of its session, and no others', async () => {
  const { sessions } = await contributor();
  const [slow, other] = [await opened(sessions), await opened(sessions)];
  let release: () => void = () => undefined;
  let isWaiting = false;
  disk.sync = async () => {
    if (isWaiting) return;
    isWaiting = true;
    await new Promise<void>((resolve) => {
      release = resolve;
    });
  };
  let isAnswered = false;
  const answer = sessions.apply(slow, stageOf(0, 0, 1)).then((outputs) => {
    isAnswered = true;
    return outputs;
  });
  await expect.poll(() => isWaiting).toBe(true);
  expect(await sessions.apply(other, stageOf(0, 0, 2))).toHaveLength(2);
  expect(isAnswered).toBe(false);
  release();
  expect(await answer).toHaveLength(2);
});

it('a clock that jumps ends no session and keeps none', async () => {
  const clock = new TestClock();
  const { sessions } = await contributor({ clock });
  const id = await opened(sessions);
  await sessions.apply(id, stageOf(0, 0, 1));
  for (const time of [10 * SESSION_IDLE_MS, -10 * SESSION_IDLE_MS, 0]) {
    clock.advance(time - clock.time);
    await sessions.apply(id, stageOf(0, 0, 1));
  }
  await sessions.apply(id, stageOf(0, 1, 1));
  // The wall clock is not what idle time is measured by.
  const before = systemClock.now();
  vi.useFakeTimers({ toFake: ['Date'], now: 0 });
  onTestFinished(() => void vi.useRealTimers());
  for (const now of [0, 2 ** 40]) {
    vi.setSystemTime(now);
    expect(systemClock.now() - before).toBeGreaterThanOrEqual(0);
    expect(systemClock.now() - before).toBeLessThan(SESSION_IDLE_MS);
  }
});

it('a half-open connection ends in a typed error, and the pass goes on over another', async () => {
  const dir = await temporaryFolder();
  const { server, commitment } = await serve({ dir });
  const sockets: Socket[] = [];
  let isForwarding = true;
  const proxy = createServer((near) => {
    const far = dial(server.address.port, server.address.host);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.push(from);
      from.on('data', (part) => isForwarding && to.write(part)).on('error', () => undefined);
      from.on('close', () => to.destroy());
    }
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    proxy.close();
  });
  const { port } = proxy.address() as { port: number };
  const connectTo = async (to: number, answer: number) => {
    const client = await connectContributor({
      address: { host: '127.0.0.1', port: to },
      timeouts: { answer },
      retry: { attempts: 0 },
    });
    onTestFinished(() => client.close());
    return client;
  };
  const options = { model: fakeModel(), commitment, dir: join(dir, 'user') };
  const session = await openRecordedSession({ ...options, client: await connectTo(port, 3000) });
  const ids = BigInt64Array.of(3n);
  await session.forward(ids, 1, 1);
  isForwarding = false;
  await expect(session.forward(ids, 1, 1)).rejects.toMatchObject({ code: 'CONTRIBUTOR_UNREACHABLE' });
  await session.abandon();
  const client = await connectTo(server.address.port, 60_000);
  const next = await openRecordedSession({ ...options, client, resume: true });
  await next.forward(ids, 1, 1);
  expect((await next.close()).calls).toBe(2);
});

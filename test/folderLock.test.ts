import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { lockFolder, mayBeAlive } from '../src/folderLock.js';

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'zklora-lock-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** Another process that holds the folder. */
async function holder(dir: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['test/lockHolder.mjs', dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout!, 'data');
  return child;
}

const inUse = (pid: number) =>
  expect.objectContaining({
    code: 'FOLDER_IN_USE',
    message: expect.stringMatching(new RegExp(`is used by process ${pid} on `)),
  });

/** What a lock of this process says, and where: it is released. */
async function releasedLock(dir: string) {
  const lock = await lockFolder(dir);
  const [name] = await readdir(join(dir, '.lock'));
  const path = join(dir, '.lock', name!);
  const own = JSON.parse(await readFile(path, 'utf8'));
  await lock.release();
  return { path, own };
}

describe('the lock of a folder', () => {
  it('is held by one, and free again afterwards', async () => {
    const dir = await folder();
    const lock = await lockFolder(dir);
    await expect(lockFolder(dir)).rejects.toEqual(inUse(process.pid));
    await lock.release();
    expect(await readdir(join(dir, '.lock'))).toEqual([]);
    await (await lockFolder(dir)).release();
    expect((await stat(join(dir, '.lock'))).mode & 0o777).toBe(0o700);
  });

  it('is never held by two of many that ask at once', async () => {
    const dir = await folder();
    for (let round = 0; round < 20; round += 1) {
      const asked = await Promise.allSettled(Array.from({ length: 4 }, () => lockFolder(dir)));
      const held = asked.filter((one) => one.status === 'fulfilled');
      expect(held.length).toBeLessThanOrEqual(1);
      for (const { value } of held) await value.release();
    }
    await (await lockFolder(dir)).release();
  });

  it('ends with kill -9 of its process, however it was killed', async () => {
    const dir = await folder();
    const child = await holder(dir);
    await expect(lockFolder(dir)).rejects.toEqual(inUse(child.pid!));
    child.kill('SIGKILL');
    await once(child, 'exit');
    await (await lockFolder(dir)).release();
    expect(await readdir(join(dir, '.lock'))).toEqual([]);
  });

  it('is void when its number belongs to another process', async () => {
    const dir = await folder();
    const { path, own } = await releasedLock(dir);
    const { machine: _, ...unnamed } = own;
    for (const lock of [
      { ...own, started: '1' },
      { ...own, pid: 2 ** 30 },
      { ...unnamed, started: '1' },
    ]) {
      await writeFile(path, JSON.stringify(lock));
      await (await lockFolder(dir)).release();
      expect(await readdir(join(dir, '.lock'))).toEqual([]);
    }
  });

  it('is void after a reboot of the same machine alone', async () => {
    const self = {
      host: 'h',
      namespace: 'pid:[4026531836]',
      boot: 'b',
      machine: 'm',
      pid: process.pid,
      started: '1',
    };
    const { machine: _, ...unnamed } = self;
    const container = { ...self, namespace: 'pid:[4026532000]' };
    expect(await mayBeAlive({ ...self, boot: 'a' }, self)).toBe(false);
    for (const [holder, own] of [
      [{ ...self, boot: 'a', machine: 'n' }, self],
      [
        { ...self, boot: 'a', machine: '' },
        { ...self, machine: '' },
      ],
      [{ ...unnamed, boot: 'a' }, self],
      [{ ...self, boot: '' }, self],
      [{ ...self, boot: 'a', host: 'g' }, self],
      [container, self],
      [self, container],
      [{ ...container, boot: 'a' }, container],
    ] as const) {
      expect(await mayBeAlive(holder, own)).toBe(true);
    }
  });

  it('holds, with the file to remove, where the process cannot be looked at', async () => {
    const dir = await folder();
    const { path, own } = await releasedLock(dir);
    const { machine: _, ...unnamed } = own;
    for (const holder of [
      { ...own, host: 'elsewhere' },
      { ...own, namespace: 'pid:[1]', started: '1' },
      { ...own, boot: 'another', machine: 'another' },
      { ...own, boot: 'another', machine: '' },
      { ...unnamed, boot: 'another' },
      { ...own, boot: '', machine: 'another' },
    ]) {
      const text = JSON.stringify(holder);
      await writeFile(path, text);
      await expect(lockFolder(dir)).rejects.toMatchObject({
        code: 'FOLDER_IN_USE',
        message: expect.stringMatching(/; stop it, or remove .*\.json if that process is gone$/),
      });
      expect(await readFile(path, 'utf8')).toBe(text);
    }
  });

  it('is refused when its file is not one', async () => {
    const dir = await folder();
    await mkdir(join(dir, '.lock'));
    for (const text of ['', '{}', '[]', '{"pid":1}', 'x'.repeat(5000)]) {
      await writeFile(join(dir, '.lock', `${'ab'.repeat(16)}.json`), text);
      await expect(lockFolder(dir)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
      expect(await readdir(join(dir, '.lock'))).toHaveLength(1);
    }
  });
});

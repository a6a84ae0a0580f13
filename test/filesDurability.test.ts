import type { FileHandle, open } from 'node:fs/promises';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ChecksummedLines } from '../src/checksummedLines.js';
import { appendFileDurable, ensureNewFolder, writeFileAtomic } from '../src/files.js';

/** Paths whose handles were flushed, in order. */
const flushed = vi.hoisted(() => [] as string[]);

vi.mock('node:fs/promises', async (original) => {
  const real = await original<{ open: typeof open }>();
  return {
    ...real,
    open: async (...args: Parameters<typeof open>): Promise<FileHandle> => {
      const handle = await real.open(...args);
      const sync = handle.sync.bind(handle);
      handle.sync = async () => {
        flushed.push(String(args[0]));
        await sync();
      };
      return handle;
    },
  };
});

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'zklora-durable-'));
  flushed.length = 0;
});
afterEach(() => rm(dir, { recursive: true }));

describe('what is written', () => {
  it.each([false, true])('keeps its name after a power cut (overwrite %s)', async (overwrite) => {
    await writeFileAtomic(join(dir, 'x'), 'text', { overwrite });
    expect(flushed).toHaveLength(2);
    expect(flushed[0]).toMatch(/\.tmp$/);
    expect(flushed[1]).toBe(dir);
  });

  it('keeps the names of new folders', async () => {
    await ensureNewFolder(join(dir, 'a', 'b', 'c'));
    expect([...flushed].sort()).toEqual([dir, join(dir, 'a'), join(dir, 'a', 'b')]);
    flushed.length = 0;
    await ensureNewFolder(join(dir, 'a', 'b', 'c'));
    expect(flushed).toEqual([]);
  });

  it('is flushed with each addition, the name with the first', async () => {
    const path = join(dir, 'log');
    await appendFileDurable(path, Buffer.from('a'), 0o600);
    expect(flushed).toEqual([path, dir]);
    await appendFileDurable(path, Buffer.from('bc'), 0o600);
    expect(flushed).toEqual([path, dir, path]);
    expect(await readFile(path, 'utf8')).toBe('abc');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('is flushed before lines of an earlier process are relied on', async () => {
    const format = { name: 'lines', label: 'zklora/test/v1', maxBytes: 1000, code: 'INTERNAL' } as const;
    const root = new Uint8Array(32);
    await ChecksummedLines.begin(dir, format, root).append({ a: 1 });
    flushed.length = 0;
    expect((await ChecksummedLines.resume(dir, format, root))!.entries).toEqual([{ a: 1 }]);
    expect(flushed).toEqual([join(dir, 'lines'), dir]);
  });

  it('is refused with a typed error where there is no folder', async () => {
    await expect(appendFileDurable(join(dir, 'none', 'log'), Buffer.from('a'))).rejects.toMatchObject({
      code: 'FILE_UNWRITABLE',
    });
  });
});

describe('ensureNewFolder', () => {
  it('gives a new folder its mode, its parents and an existing one none', async () => {
    const mode = async (path: string) => (await stat(path)).mode & 0o777;
    await ensureNewFolder(join(dir, 'a', 'b'), { mode: 0o700 });
    expect(await mode(join(dir, 'a', 'b'))).toBe(0o700);
    expect(await mode(join(dir, 'a'))).toBe(0o777 & ~process.umask());
    await ensureNewFolder(join(dir, 'c'));
    await ensureNewFolder(join(dir, 'c'), { mode: 0o700 });
    expect(await mode(join(dir, 'c'))).toBe(0o777 & ~process.umask());
  });
});

import type { FileHandle, open } from 'node:fs/promises';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AppendedFile } from '../src/appendedFile.js';
import { ChecksummedLines } from '../src/checksummedLines.js';
import { ensureNewFolder, writeFileAtomic } from '../src/files.js';
import { GrowingFile } from '../src/growingFile.js';

/** Paths whose handles were opened, flushed and closed, in order. */
const { opened, flushed, closed } = vi.hoisted(() => ({
  opened: [] as string[],
  flushed: [] as string[],
  closed: [] as string[],
}));
/** A path whose flush fails. */
const broken = vi.hoisted(() => ({ path: '' }));

vi.mock('node:fs/promises', async (original) => {
  const real = await original<{ open: typeof open }>();
  return {
    ...real,
    open: async (...args: Parameters<typeof open>): Promise<FileHandle> => {
      const handle = await real.open(...args);
      const path = String(args[0]);
      const [sync, close] = [handle.sync.bind(handle), handle.close.bind(handle)];
      opened.push(path);
      handle.sync = async () => {
        flushed.push(path);
        if (path === broken.path) throw new Error('no power');
        await sync();
      };
      handle.close = async () => {
        closed.push(path);
        await close();
      };
      return handle;
    },
  };
});

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'zklora-durable-'));
  for (const paths of [opened, flushed, closed]) paths.length = 0;
  broken.path = '';
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
    const file = new AppendedFile(path, 0o600);
    await file.append(Buffer.from('a'));
    expect(flushed).toEqual([path, dir]);
    await file.append(Buffer.from('bc'));
    expect(flushed).toEqual([path, dir, path]);
    expect(await readFile(path, 'utf8')).toBe('abc');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await file.rest();
  });

  it('stays open between two additions until it is let go of, and after one that failed no longer', async () => {
    const path = join(dir, 'log');
    const file = new AppendedFile(path, 0o600);
    // asked for at once, written one after the other
    await Promise.all(['a', 'b', 'c'].map((text) => file.append(Buffer.from(text))));
    expect(opened.filter((one) => one === path)).toHaveLength(1);
    await file.rest();
    expect(closed).toContain(path);
    await file.rest();
    broken.path = path;
    await expect(file.append(Buffer.from('d'))).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
    expect(closed.filter((one) => one === path)).toHaveLength(2);
    expect(await readFile(path, 'utf8')).toBe('abcd');
  });

  it('has no name where that could not be flushed', async () => {
    const file = new GrowingFile(join(dir, 'call'), 0o600);
    file.write(0, Uint8Array.of(1));
    broken.path = dir;
    await expect(file.finish()).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
    expect(await readdir(dir)).toEqual([]);
    broken.path = '';
    const again = new GrowingFile(join(dir, 'call'), 0o600);
    again.write(0, Uint8Array.of(1));
    await again.finish();
    expect(await readdir(dir)).toEqual(['call']);
  });

  it('is flushed before lines of an earlier process are relied on', async () => {
    const format = { name: 'lines', label: 'zklora/test/v1', maxBytes: 1000, code: 'INTERNAL' } as const;
    const root = new Uint8Array(32);
    const lines = ChecksummedLines.begin(dir, format, root);
    await lines.append({ a: 1 });
    await lines.rest();
    flushed.length = 0;
    expect((await ChecksummedLines.resume(dir, format, root))!.entries).toEqual([{ a: 1 }]);
    expect(flushed).toEqual([join(dir, 'lines'), dir]);
  });

  it('is refused with a typed error where there is no folder', async () => {
    const file = new AppendedFile(join(dir, 'none', 'log'), 0o600);
    await expect(file.append(Buffer.from('a'))).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
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

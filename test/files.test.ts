import { execFileSync } from 'node:child_process';
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ensureNewFolder,
  readFileBounded,
  readFileStart,
  readFileWithMode,
  writeFileAtomic,
} from '../src/files.js';
import { refusalOf } from './adapter/refusal.js';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'zklora-files-'));
});
afterEach(() => rm(dir, { recursive: true }));

const codeOf = async (promise: Promise<unknown>) => (await refusalOf(promise)).code;

describe('readFileBounded', () => {
  it('reads a file up to its limit and no further', async () => {
    const path = join(dir, 'x');
    await writeFile(path, 'hello');
    expect(new TextDecoder().decode(await readFileBounded(path, 5, 'greeting'))).toBe('hello');
    const error = await refusalOf(readFileBounded(path, 4, 'greeting'));
    expect(error.code).toBe('FILE_UNREADABLE');
    expect(error.message).toContain('greeting');
    expect(error.message).toContain('larger than the limit of 4 bytes');
  });

  it('reads empty files and files of several chunks', async () => {
    const path = join(dir, 'x');
    await writeFile(path, '');
    expect((await readFileBounded(path, 0, 'x')).length).toBe(0);
    await truncate(path, 2 ** 24 + 3);
    const bytes = await readFileBounded(path, 2 ** 25, 'x');
    expect(bytes.length).toBe(2 ** 24 + 3);
  });

  it('says what is missing or no file', async () => {
    expect(await codeOf(readFileBounded(join(dir, 'none'), 9, 'x'))).toBe('FILE_NOT_FOUND');
    await writeFile(join(dir, 'x'), '');
    expect(await codeOf(readFileBounded(join(dir, 'x', 'y'), 9, 'x'))).toBe('FILE_NOT_FOUND');
    expect(await codeOf(readFileBounded(dir, 9, 'x'))).toBe('FILE_UNREADABLE');
    expect(await codeOf(readFileBounded('/dev/zero', 9, 'x'))).toBe('FILE_UNREADABLE');
    expect(await codeOf(readFileBounded('bad\0path', 9, 'x'))).toBe('FILE_UNREADABLE');
    await symlink('loop', join(dir, 'loop'));
    expect(await codeOf(readFileBounded(join(dir, 'loop'), 9, 'x'))).toBe('FILE_UNREADABLE');
  });

  it('does not wait for a named pipe', async () => {
    execFileSync('mkfifo', [join(dir, 'pipe')]);
    expect(await codeOf(readFileBounded(join(dir, 'pipe'), 9, 'x'))).toBe('FILE_UNREADABLE');
  });

  it.runIf(process.platform === 'linux')('refuses what starts at zero size but holds data', async () => {
    // Files under /proc have size 0 and content.
    expect(await codeOf(readFileBounded('/proc/self/status', 2 ** 20, 'x'))).toBe('FILE_UNREADABLE');
  });

  it('gives the permission bits', async () => {
    const path = join(dir, 'x');
    await writeFile(path, 'a');
    await chmod(path, 0o640);
    expect((await readFileWithMode(path, 9, 'x')).mode).toBe(0o640);
  });

  it('reads the start of a file alone', async () => {
    const path = join(dir, 'x');
    await writeFile(path, 'hello');
    const start = async (bytes: number) => new TextDecoder().decode(await readFileStart(path, bytes, 'x'));
    expect([await start(2), await start(9)]).toEqual(['he', 'hello']);
    expect(await codeOf(readFileStart(join(dir, 'none'), 9, 'x'))).toBe('FILE_NOT_FOUND');
    expect(await codeOf(readFileStart(dir, 9, 'x'))).toBe('FILE_UNREADABLE');
  });
});

describe('writeFileAtomic', () => {
  it('writes text and bytes and leaves nothing else', async () => {
    await writeFileAtomic(join(dir, 'text'), 'h\u00e9');
    await writeFileAtomic(join(dir, 'bytes'), Uint8Array.of(1, 2));
    expect(await readFile(join(dir, 'text'), 'utf8')).toBe('h\u00e9');
    expect([...(await readFile(join(dir, 'bytes')))]).toEqual([1, 2]);
    expect((await readdir(dir)).sort()).toEqual(['bytes', 'text']);
  });

  it('replaces a file only when told', async () => {
    const path = join(dir, 'x');
    await writeFile(path, 'old');
    expect(await codeOf(writeFileAtomic(path, 'new'))).toBe('FILE_EXISTS');
    expect(await readFile(path, 'utf8')).toBe('old');
    await writeFileAtomic(path, 'new', { overwrite: true });
    expect(await readFile(path, 'utf8')).toBe('new');
    expect(await readdir(dir)).toEqual(['x']);
  });

  it('does not write through a dangling link', async () => {
    await symlink(join(dir, 'target'), join(dir, 'x'));
    expect(await codeOf(writeFileAtomic(join(dir, 'x'), 'new'))).toBe('FILE_EXISTS');
    expect(await readdir(dir)).toEqual(['x']);
  });

  it('lets one of several writers win', async () => {
    const path = join(dir, 'x');
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, (_, i) => writeFileAtomic(path, String(i).repeat(1000))),
    );
    expect(results.filter(({ status }) => status === 'fulfilled').length).toBe(1);
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason.code).toBe('FILE_EXISTS');
    }
    expect(await readFile(path, 'utf8')).toMatch(/^(\d)\1{999}$/);
    expect(await readdir(dir)).toEqual(['x']);
  });

  it('sets exactly the mode it is given', async () => {
    for (const mode of [0o600, 0o644, 0o666]) {
      const path = join(dir, mode.toString(8));
      await writeFileAtomic(path, '', { mode });
      expect((await stat(path)).mode & 0o777).toBe(mode);
    }
  });

  it('says why it cannot write', async () => {
    expect(await codeOf(writeFileAtomic(join(dir, 'none', 'x'), ''))).toBe('FILE_UNWRITABLE');
    await writeFile(join(dir, 'file'), '');
    expect(await codeOf(writeFileAtomic(join(dir, 'file', 'x'), ''))).toBe('FILE_UNWRITABLE');
    await mkdir(join(dir, 'folder'));
    expect(await codeOf(writeFileAtomic(join(dir, 'folder'), ''))).toBe('FILE_EXISTS');
    expect(await codeOf(writeFileAtomic(join(dir, 'folder'), '', { overwrite: true }))).toBe(
      'FILE_UNWRITABLE',
    );
    expect(await codeOf(writeFileAtomic(join(dir, 'n'.repeat(300)), ''))).toBe('FILE_UNWRITABLE');
    expect((await readdir(dir)).sort()).toEqual(['file', 'folder']);
  });

  it('takes long names that the file system takes', async () => {
    const name = 'n'.repeat(255);
    await writeFileAtomic(join(dir, name), 'x');
    expect(await readdir(dir)).toEqual([name]);
  });
});

describe('ensureNewFolder', () => {
  it('makes a folder with its parents, and takes an empty one', async () => {
    const path = join(dir, 'a', 'b');
    await ensureNewFolder(path);
    await ensureNewFolder(path);
    expect(await readdir(path)).toEqual([]);
  });

  it('refuses a folder with content, and a file', async () => {
    await writeFile(join(dir, 'x'), '');
    expect(await codeOf(ensureNewFolder(dir))).toBe('FILE_EXISTS');
    expect(await codeOf(ensureNewFolder(join(dir, 'x')))).toBe('FILE_EXISTS');
    expect(await codeOf(ensureNewFolder(join(dir, 'x', 'y')))).toBe('FILE_UNWRITABLE');
  });
});

import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeDemoFolder } from '../../cli/demo/folder.js';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'zklora-demo-folder-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const exists = expect.objectContaining({ code: 'FILE_EXISTS' });

describe("the demo's folder", () => {
  it('is made, and made again over an earlier demo', async () => {
    const out = join(dir, 'out');
    await makeDemoFolder(out);
    await mkdir(join(out, 'user'));
    await writeFile(join(out, 'user', 'proof.zkl'), 'x');
    await makeDemoFolder(out);
    expect(await readdir(out)).toEqual(['.zklora-demo']);
  });

  it('never replaces a file, a link or a folder with other contents', async () => {
    const file = join(dir, 'thesis.txt');
    await writeFile(file, 'years of work');
    await expect(makeDemoFolder(file)).rejects.toEqual(exists);
    expect(await readFile(file, 'utf8')).toBe('years of work');

    const full = join(dir, 'full');
    await mkdir(full);
    await writeFile(join(full, 'notes'), 'x');
    await expect(makeDemoFolder(full)).rejects.toEqual(exists);
    const link = join(dir, 'link');
    await symlink(full, link);
    await expect(makeDemoFolder(link)).rejects.toEqual(exists);

    const demo = join(dir, 'demo');
    await makeDemoFolder(demo);
    await writeFile(join(demo, 'keep.txt'), 'mine');
    await expect(makeDemoFolder(demo)).rejects.toEqual(exists);
    expect(await readFile(join(demo, 'keep.txt'), 'utf8')).toBe('mine');
  });
});

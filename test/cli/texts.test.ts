import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readTexts } from '../../cli/texts.js';
import { temporaryFolder } from '../inference/fixtures.js';

async function folder() {
  const dir = await temporaryFolder();
  await mkdir(join(dir, 'b', 'deep'), { recursive: true });
  await mkdir(join(dir, '.git'));
  for (const name of ['z.txt', 'a.txt', 'b/deep/c.txt', '.hidden', '.git/config'])
    await writeFile(join(dir, name), name);
  await symlink('/etc/passwd', join(dir, 'link.txt'));
  return dir;
}

describe('readTexts', () => {
  it('takes files in their order and folders in the order of paths, without links and hidden files', async () => {
    const dir = await folder();
    const own = join(dir, '.hidden');
    const texts = await readTexts([own, dir]);
    expect(texts.map(({ name }) => name)).toEqual(
      ['.hidden', 'a.txt', 'b/deep/c.txt', 'z.txt'].map((name) => join(dir, name)),
    );
    expect(texts.map(({ bytes }) => new TextDecoder().decode(bytes))).toEqual([
      '.hidden',
      'a.txt',
      'b/deep/c.txt',
      'z.txt',
    ]);
  });

  it('refuses what is not there, what is empty, and a text twice', async () => {
    const dir = await folder();
    await mkdir(join(dir, 'empty'));
    const code = (expected: string) => expect.objectContaining({ code: expected });
    await expect(readTexts([join(dir, 'none.txt')])).rejects.toThrow(code('FILE_NOT_FOUND'));
    await expect(readTexts([join(dir, 'empty')])).rejects.toThrow(code('TEXT_INVALID'));
    await expect(readTexts([dir, join(dir, 'a.txt')])).rejects.toThrow(code('USAGE'));
    await expect(readTexts(['/dev/null'])).rejects.toThrow(code('FILE_UNREADABLE'));
  });
});

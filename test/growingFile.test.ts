import { constants } from 'node:fs';
import { access, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GrowingFile } from '../src/growingFile.js';

const MEGABYTE = 2 ** 20;

let dir: string;
let path: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'zklora-growing-'));
  path = join(dir, 'call');
});
afterEach(() => rm(dir, { recursive: true }));

/** Writes parts one after the other in the file, given in another order. */
async function written(sizes: readonly number[], order: readonly number[]): Promise<Buffer> {
  const parts = sizes.map((size, i) => new Uint8Array(size).fill(i + 1));
  const file = new GrowingFile(path, 0o600);
  for (const i of order) {
    file.write(
      sizes.slice(0, i).reduce((sum, size) => sum + size, 0),
      parts[i]!,
    );
  }
  await file.finish();
  expect(await readdir(dir)).toEqual(['call']);
  expect((await readFile(path)).equals(Buffer.concat(parts))).toBe(true);
  return Buffer.concat(parts);
}

describe('a file that grows', () => {
  it('is what its parts say, small and large ones in any order', async () => {
    const sizes = [1, 0, 70_000, 65_536, 3, 5, 65_535, MEGABYTE, 2];
    await written(sizes, [8, 0, 7, 1, 6, 2, 5, 4, 3]);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('is what its parts say when some were written before others came', async () => {
    await written([3, 5 * MEGABYTE, 9, 5 * MEGABYTE, 4 * MEGABYTE, 1], [3, 1, 5, 4, 2, 0]);
  });

  it('has no name before its end, and touches no disk before it has much', async () => {
    const file = new GrowingFile(path, 0o600);
    file.write(0, Uint8Array.of(1));
    expect(await readdir(dir)).toEqual([]);
    file.write(1, new Uint8Array(5 * MEGABYTE));
    await expect(access(path, constants.F_OK)).rejects.toThrow('ENOENT');
    await file.finish();
    expect((await stat(path)).size).toBe(5 * MEGABYTE + 1);
  });

  it('leaves nothing when it is discarded, and cannot be finished then', async () => {
    const file = new GrowingFile(path, 0o600);
    file.write(0, new Uint8Array(5 * MEGABYTE));
    await file.discard();
    file.write(0, Uint8Array.of(1));
    await expect(file.finish()).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(await readdir(dir)).toEqual([]);
  });

  it('replaces nothing', async () => {
    await writeFile(path, 'old');
    const file = new GrowingFile(path, 0o600);
    file.write(0, Uint8Array.of(1));
    await expect(file.finish()).rejects.toMatchObject({ code: 'FILE_EXISTS' });
    expect(await readFile(path, 'utf8')).toBe('old');
    expect(await readdir(dir)).toEqual(['call']);
  });

  it('tells at its end that an early part could not be written', async () => {
    const file = new GrowingFile(join(dir, 'none', 'call'), 0o600);
    file.write(0, new Uint8Array(5 * MEGABYTE));
    file.write(5 * MEGABYTE, Uint8Array.of(1));
    await expect(file.finish()).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
  });
});

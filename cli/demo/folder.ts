import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ZkLoraError } from '../../src/errors.js';

/** Marks a folder as one that a demo made, so that the next demo may replace it. */
const MARKER = '.zklora-demo';

/**
 * Makes the demo's folder; replaces an earlier demo's, touches nothing else.
 *
 * @throws ZkLoraError `FILE_EXISTS` for a folder with other contents, `FILE_UNWRITABLE`.
 */
export async function makeDemoFolder(dir: string): Promise<void> {
  const entries = await readdir(dir).catch(() => [] as string[]);
  if (entries.length > 0 && !entries.includes(MARKER)) {
    throw new ZkLoraError('FILE_EXISTS', `${dir} holds other files: choose another --out`);
  }
  try {
    await rm(dir, { recursive: true, force: true });
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, MARKER), '');
  } catch (cause) {
    throw new ZkLoraError('FILE_UNWRITABLE', `cannot write ${dir}: choose another --out`, { cause });
  }
}

/** Bytes of all files below a folder. */
export async function folderBytes(dir: string): Promise<number> {
  let total = 0;
  for (const name of await readdir(dir, { recursive: true })) {
    const info = await stat(join(dir, name));
    if (info.isFile()) total += info.size;
  }
  return total;
}

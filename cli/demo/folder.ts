import { lstat, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ZkLoraError } from '../../src/errors.js';

/** Marks a folder as one that a demo made, so that the next demo may replace what is in it. */
const MARKER = '.zklora-demo';

/** What a demo writes; nothing else is ever removed. */
const OWN_ENTRIES = ['contributor', 'user', 'frauds', 'honest', 'wrong-weight', 'no-key', 'again'];

/**
 * Makes the demo's folder; replaces an earlier demo's contents, touches nothing else.
 *
 * @throws ZkLoraError `FILE_EXISTS` for anything that is not an earlier demo's folder, `FILE_UNWRITABLE`.
 */
export async function makeDemoFolder(dir: string): Promise<void> {
  const taken = new ZkLoraError(
    'FILE_EXISTS',
    `${dir} is no folder of an earlier demo: choose another --out`,
  );
  try {
    const info = await lstat(dir).catch(nullIfAbsent);
    if (info && !info.isDirectory()) throw taken;
    const entries = info ? await readdir(dir) : [];
    const known = new Set([MARKER, ...OWN_ENTRIES]);
    const foreign = entries.some((name) => !known.has(name));
    if (foreign || (entries.length > 0 && !entries.includes(MARKER))) throw taken;
    for (const name of OWN_ENTRIES) await rm(join(dir, name), { recursive: true, force: true });
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, MARKER), '');
  } catch (cause) {
    if (cause instanceof ZkLoraError) throw cause;
    throw new ZkLoraError('FILE_UNWRITABLE', `cannot write ${dir}: choose another --out`, { cause });
  }
}

function nullIfAbsent(error: unknown): null {
  if ((error as { code?: string }).code === 'ENOENT') return null;
  throw error;
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

import { opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ZkLoraError } from '../src/errors.js';
import { readFileBounded } from '../src/files.js';
import type { PlainText } from '../src/inference/index.js';

/** Text of one evaluation, all files together; tokens take four times as much. */
const MAX_TEXT_BYTES = 64 * 2 ** 20;
/** Files of one evaluation; each is named in the report. */
const MAX_TEXT_FILES = 10_000;
/** Names looked at in folders. */
const MAX_FOLDER_ENTRIES = 100_000;
/** Folders inside folders. */
const MAX_DEPTH = 32;

const STDIN = '-';

/**
 * Reads the texts of an evaluation: files, the files of folders (sorted by path; what begins with a dot, and links, left out), and
 * standard input for `-`.
 *
 * @throws ZkLoraError `USAGE`, `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `TEXT_INVALID` for a folder without files
 */
export async function readTexts(paths: readonly string[]): Promise<PlainText[]> {
  const names: string[] = [];
  for (const path of paths) names.push(...(path === STDIN ? [STDIN] : await filesOf(path)));
  if (names.length > MAX_TEXT_FILES) {
    throw new ZkLoraError('USAGE', `an evaluation takes at most ${MAX_TEXT_FILES} files of text`);
  }
  const repeated = names.find((name, i) => names.indexOf(name) !== i);
  if (repeated !== undefined) throw new ZkLoraError('USAGE', `the text ${repeated} is named twice`);
  const texts: PlainText[] = [];
  let left = MAX_TEXT_BYTES;
  for (const name of names) {
    const bytes = name === STDIN ? await readStdin(left) : await readFileBounded(name, left, 'text');
    left -= bytes.length;
    texts.push({ name, bytes });
  }
  return texts;
}

async function filesOf(path: string): Promise<string[]> {
  const isFolder = await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  // what is no folder is refused, if it must be, where it is read
  if (!isFolder) return [path];
  const files: string[] = [];
  await walk(path, 0, { left: MAX_FOLDER_ENTRIES }, files);
  if (files.length === 0) throw new ZkLoraError('TEXT_INVALID', `the folder ${path} holds no file of text`);
  // by code units: the same order everywhere
  return files.sort((a, b) => (a < b ? -1 : 1));
}

async function walk(
  folder: string,
  depth: number,
  entries: { left: number },
  files: string[],
): Promise<void> {
  if (depth > MAX_DEPTH) throw new ZkLoraError('USAGE', `${folder} lies deeper than ${MAX_DEPTH} folders`);
  try {
    for await (const entry of await opendir(folder)) {
      entries.left -= 1;
      if (entries.left < 0) {
        throw new ZkLoraError('USAGE', `a folder of texts has at most ${MAX_FOLDER_ENTRIES} entries`);
      }
      if (entry.name.startsWith('.')) continue;
      const path = join(folder, entry.name);
      if (entry.isDirectory()) await walk(path, depth + 1, entries, files);
      else if (entry.isFile()) files.push(path);
    }
  } catch (cause) {
    if (cause instanceof ZkLoraError) throw cause;
    throw new ZkLoraError('FILE_UNREADABLE', `the folder ${folder} cannot be read; check its permissions`, {
      cause,
    });
  }
}

async function readStdin(maxBytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of process.stdin) {
    parts.push(part as Uint8Array);
    size += (part as Uint8Array).length;
    if (size > maxBytes) {
      throw new ZkLoraError('FILE_UNREADABLE', `standard input holds more than ${maxBytes} bytes of text`);
    }
  }
  return new Uint8Array(Buffer.concat(parts));
}

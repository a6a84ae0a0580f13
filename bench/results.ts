/** Result files of the benchmark: bench/results/NAME.json. */
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { writeFileAtomic } from '../src/files.js';

/** Root folder of the repository, from the sources as from dist/. */
export const ROOT = dirname(createRequire(import.meta.url).resolve('zklora/package.json'));

/** Folder of the committed results. */
export const RESULTS = join(ROOT, 'bench/results');

/** Folder for parameters and scratch files, outside the repository's history. */
export const CACHE = join(ROOT, 'bench/.cache');

/** Reads bench/results/`name`.json; undefined if there is none. */
export async function readResult<T>(name: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(join(RESULTS, `${name}.json`), 'utf8')) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Writes bench/results/`name`.json. */
export async function writeResult(name: string, result: object): Promise<void> {
  await mkdir(RESULTS, { recursive: true });
  await writeFileAtomic(join(RESULTS, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`, {
    overwrite: true,
  });
}

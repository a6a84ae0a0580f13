import { join } from 'node:path';
import { MAX_ZKEY_BYTES, PARAMETER_FILES } from '../circuit/parameterFiles.js';
import { readFileBounded, writeFileAtomic } from '../files.js';

/** Reads the current key of one size from the folder of a ceremony. */
export function readKey(dir: string, pairs: number): Promise<Uint8Array> {
  return readFileBounded(join(dir, PARAMETER_FILES.zkey(pairs)), MAX_ZKEY_BYTES, 'proving key');
}

/** Replaces it. */
export async function writeKey(dir: string, pairs: number, zkey: Uint8Array): Promise<void> {
  await writeFileAtomic(join(dir, PARAMETER_FILES.zkey(pairs)), zkey, { overwrite: true });
}

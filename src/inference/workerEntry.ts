import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ZkLoraError } from '../errors.js';

/** A compiled worker: beside this file, or in dist/ when this file runs uncompiled (tests). */
export function workerEntry(name: string): URL {
  const compiled = import.meta.url.endsWith('.ts')
    ? new URL(`../../dist/src/inference/${name}.js`, import.meta.url)
    : new URL(`./${name}.js`, import.meta.url);
  if (!existsSync(fileURLToPath(compiled))) {
    throw new ZkLoraError('INTERNAL', 'the compiled worker is missing; run `npm run build` first');
  }
  return compiled;
}

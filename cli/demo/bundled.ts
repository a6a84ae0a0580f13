import { fileURLToPath } from 'node:url';

/** Path of a bundled fixture; the compiled command lies in dist/cli/demo. */
export function bundled(path: string): string {
  return fileURLToPath(new URL(`../../../fixtures/${path}`, import.meta.url));
}

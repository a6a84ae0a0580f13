import { fileURLToPath } from 'node:url';

/** A file that comes with the package; the compiled command lies in dist/cli/demo. */
export const bundled = (path: string): string =>
  fileURLToPath(new URL(`../../../fixtures/${path}`, import.meta.url));

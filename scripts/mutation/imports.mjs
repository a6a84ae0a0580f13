// Which source files a test file loads, directly or not.
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

const IMPORT = /(?:from|import\()\s*'(\.[^']+)\.js'/g;

/** @returns for each file the set of files that it reaches, paths relative to `dir` */
export async function reachableFrom(dir, files) {
  const direct = new Map();
  const read = async (file) => {
    if (!direct.has(file)) {
      // the compiled text: imports of types are gone from it
      const text = await readFile(join(dir, file.replace(/\.ts$/, '.js')), 'utf8').catch(() => '');
      const quoted = text.replaceAll('"', "'");
      direct.set(
        file,
        [...quoted.matchAll(IMPORT)].map(([, path]) => `${join(dirname(file), path)}.ts`),
      );
    }
    return direct.get(file);
  };
  const result = new Map();
  for (const start of files) {
    const seen = new Set([start]);
    const queue = [start];
    for (let file = queue.pop(); file; file = queue.pop()) {
      for (const next of await read(file)) {
        if (seen.has(next)) continue;
        seen.add(next);
        queue.push(next);
      }
    }
    result.set(start, seen);
  }
  return result;
}

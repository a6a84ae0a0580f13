// A copy of the sources and tests with every mutant of Stryker's instrumenter inside, switched off.
import { execFile } from 'node:child_process';
import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const root = fileURLToPath(new URL('../..', import.meta.url));

const quiet = Object.fromEntries(
  ['trace', 'debug', 'info', 'warn', 'error', 'fatal'].map((k) => [k, () => undefined]),
);
const logger = {
  ...quiet,
  isDebugEnabled: () => false,
  isTraceEnabled: () => false,
  isInfoEnabled: () => false,
};

/**
 * Copies, instruments and compiles.
 *
 * @param dir empty folder outside the repository
 * @param mutate paths relative to the repository
 * @returns mutants: id, file, index in the file, line and column (from 1), mutator, replacement, source line
 */
export async function makeSandbox(dir, mutate) {
  for (const folder of ['src', 'test', 'cli']) {
    await cp(join(root, folder), join(dir, folder), { recursive: true });
  }
  for (const folder of ['fixtures', 'circuits', 'docs', 'dist', 'examples']) {
    await symlink(join(root, folder), join(dir, folder)).catch(() => undefined);
  }
  await mkdir(join(dir, 'tmp'));
  await cp(join(root, 'package.json'), join(dir, 'package.json'));
  await linkPackages(dir);

  const { Instrumenter } = await loadInstrumenter();
  const sources = await Promise.all(
    mutate.map(async (name) => ({ name, mutate: true, content: await readFile(join(dir, name), 'utf8') })),
  );
  const options = { plugins: null, excludedMutations: [], ignorers: [] };
  const { files, mutants } = await new Instrumenter(logger).instrument(sources, options);
  for (const { name, content } of files) await writeFile(join(dir, name), content);
  await compile(dir);

  const lines = new Map(sources.map(({ name, content }) => [name, content.split('\n')]));
  const next = new Map();
  return mutants.map(({ id, fileName, location, mutatorName, replacement }) => {
    const { line, column } = location.start;
    const index = next.get(fileName) ?? 0;
    next.set(fileName, index + 1);
    return {
      id,
      file: fileName,
      index,
      line: line + 1,
      column: column + 1,
      mutator: mutatorName,
      replacement: replacement.slice(0, 120),
      source: lines.get(fileName)[line].trim(),
    };
  });
}

/** Not among the development dependencies: nothing but this script needs it. */
async function loadInstrumenter() {
  try {
    // the variable names an installation elsewhere: .../node_modules/@stryker-mutator/instrumenter/dist/src/index.js
    return await import(process.env.STRYKER_INSTRUMENTER ?? '@stryker-mutator/instrumenter');
  } catch {
    throw new Error('run: npm install --no-save @stryker-mutator/instrumenter@9.6.1');
  }
}

/** All packages but vitest, in whose place stands ./vitest.mjs. */
async function linkPackages(dir) {
  const packages = join(dir, 'node_modules');
  await mkdir(join(packages, 'vitest'), { recursive: true });
  for (const name of await readdir(join(root, 'node_modules'))) {
    if (name !== 'vitest' && !name.startsWith('.bin')) {
      await symlink(join(root, 'node_modules', name), join(packages, name));
    }
  }
  const stub = new URL('vitest.mjs', import.meta.url).href;
  await writeFile(
    join(packages, 'vitest/package.json'),
    JSON.stringify({ name: 'vitest', type: 'module', main: 'index.js' }),
  );
  await writeFile(join(packages, 'vitest/index.js'), `export * from ${JSON.stringify(stub)};\n`);
}

/** The instrumented text has no sound types any more: it is translated without looking at them. */
async function compile(dir) {
  const options = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: {
      rootDir: '.',
      outDir: '.',
      noCheck: true,
      declaration: false,
      sourceMap: false,
      types: [],
    },
    include: ['src', 'test', 'cli'],
    exclude: ['node_modules'],
  };
  await writeFile(join(dir, 'tsconfig.json'), JSON.stringify(options));
  await promisify(execFile)(join(root, 'node_modules/.bin/tsc'), ['-p', dir]);
}

/** Files below `folder` whose path relative to the repository passes the test. */
export async function listFiles(folder, wanted) {
  const names = await readdir(join(root, folder), { recursive: true }).catch(() => []);
  return names
    .map((name) => relative(root, join(root, folder, name)))
    .filter(wanted)
    .sort();
}

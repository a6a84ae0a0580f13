// One process that runs collected tests with one mutant after the other switched on; see ../mutation.mjs.
//
// With ACTIVE in the environment the mutant is on from the start, so that it is in force while modules load and
// while `beforeAll` hooks run; then the process serves one mutant only.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';

const [sandbox] = process.argv.slice(2);
const active = process.env.ACTIVE;
const url = (path) => pathToFileURL(join(sandbox, path.replace(/\.ts$/, '.js'))).href;

globalThis.__stryker__ = { activeMutant: active ?? null };
const state = globalThis.__stryker__;
// promises that a killed test left behind
process.on('unhandledRejection', () => undefined);

const kit = await import(pathToFileURL(join(sandbox, 'node_modules/vitest/index.js')).href);
await import(url('test/support/deterministic.ts'));
// a failure is enough: no search for a smaller one
fc.configureGlobal({ ...fc.readConfigureGlobal(), endOnFailure: true });

const imported = new Set();
async function load(file) {
  if (imported.has(file)) return;
  kit.beginFile(file);
  await import(url(file));
  imported.add(file);
}

const find = async (id) => {
  await load(id.slice(0, id.indexOf('#')));
  return kit.collected.find((test) => test.id === id);
};

/** Hooks make what tests share: without a mutant, which would outlive its turn. */
async function prepareUnmutated(test) {
  const before = state.activeMutant;
  state.activeMutant = active ?? null;
  state.currentTestId = `hook:${test.file}`;
  await kit.prepare(test);
  state.activeMutant = before;
}

async function dryRun(files) {
  const tests = [];
  for (const file of files) {
    try {
      await load(file);
    } catch (error) {
      process.stderr.write(`left out, cannot be loaded: ${file}: ${error}\n`);
    }
  }
  for (const test of kit.collected) {
    let error = null;
    let ms = 0;
    try {
      await prepareUnmutated(test);
      state.currentTestId = test.id;
      const start = process.cpuUsage();
      await kit.run(test);
      const { user, system } = process.cpuUsage(start);
      ms = (user + system) / 1000;
    } catch (cause) {
      error = String(cause).split('\n')[0];
    }
    state.currentTestId = undefined;
    tests.push({ id: test.id, file: test.file, name: test.name, ms, error });
  }
  return { tests, coverage: state.mutantCoverage };
}

async function tryMutant({ mutant, tests, hitLimit, verify }) {
  for (const id of tests) {
    process.send({ type: 'test', id });
    let test;
    try {
      test = await find(id);
      await prepareUnmutated(test);
    } catch (error) {
      return {
        status: active === undefined ? 'dirty' : 'killed',
        by: id,
        error: String(error).slice(0, 200),
      };
    }
    state.currentTestId = id;
    state.hitCount = 0;
    state.hitLimit = hitLimit;
    state.activeMutant = mutant;
    let failure;
    try {
      await kit.run(test);
    } catch (error) {
      failure = String(error).slice(0, 200);
    }
    const endless = state.hitCount > hitLimit;
    state.activeMutant = active ?? null;
    if (endless) return { status: 'timeout', by: id };
    if (failure === undefined) continue;
    if (active === undefined && verify) {
      // what the mutant broke must not outlive it
      try {
        await kit.run(test);
      } catch {
        return { status: 'dirty', by: id, error: failure };
      }
    }
    return { status: 'killed', by: id, error: failure };
  }
  return { status: 'survived' };
}

process.on('message', async (message) => {
  if (message.type === 'dry') process.send({ type: 'dry', ...(await dryRun(message.files)) });
  else if (message.type === 'mutant') process.send({ type: 'done', ...(await tryMutant(message)) });
  else if (message.type === 'stop') {
    await kit.finish().catch(() => undefined);
    process.exit(0);
  }
});
process.send({ type: 'ready' });

// Worker processes that test mutants, with a limit of processor time for each test.
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { watch } from './patience.mjs';

const WORKER = fileURLToPath(new URL('worker.mjs', import.meta.url));
/** A process that grows beyond this is stopped: the mutant then counts as one that does not end. */
const MEMORY_MB = 3000;
/** Time for loading modules and running hooks before a test. */
const START_MS = 90_000;
const TEST_MS = 20_000;
const SLOWDOWN = 8;
/** Every so many mutants, the test that noticed one must pass again without it. */
const VERIFY_EVERY = 8;

function start(sandbox, active) {
  const child = fork(WORKER, [sandbox], {
    cwd: sandbox,
    execArgv: [`--max-old-space-size=${MEMORY_MB}`],
    env: {
      ...process.env,
      TMPDIR: join(sandbox, 'tmp'),
      ...(active === undefined ? {} : { ACTIVE: active }),
    },
    stdio: ['ignore', 'ignore', process.env.MUTATION_DEBUG ? 'inherit' : 'ignore', 'ipc'],
  });
  return child;
}

/** Sends one message and waits for its answer; `tick` may change the time limit with every message. */
function ask(child, message, answer, firstLimit, tick = () => firstLimit) {
  return new Promise((resolve) => {
    let stopWatch = () => undefined;
    const finish = (value) => {
      stopWatch();
      child.off('message', onMessage);
      child.off('exit', onExit);
      resolve(value);
    };
    const arm = (ms) => {
      stopWatch();
      stopWatch = watch(child.pid, ms, () => {
        child.kill('SIGKILL');
        finish({ type: 'gone', why: 'time' });
      });
    };
    const onExit = () => finish({ type: 'gone', why: 'exit' });
    const onMessage = (reply) => {
      if (reply.type === answer) finish(reply);
      else arm(tick(reply));
    };
    child.on('message', onMessage);
    child.on('exit', onExit);
    arm(firstLimit);
    if (message) child.send(message, (error) => error && onExit());
  });
}

async function started(sandbox, active) {
  const child = start(sandbox, active);
  const ready = await ask(child, null, 'ready', START_MS);
  return ready.type === 'ready' ? child : null;
}

/** Runs all tests once without a mutant: durations and which test reaches which mutant. */
export async function dryRun(sandbox, files, workers) {
  const parts = await Promise.all(
    Array.from({ length: workers }, async (_, part) => {
      const child = await started(sandbox);
      const own = files.filter((_, i) => i % workers === part);
      const reply = await ask(child, { type: 'dry', files: own }, 'dry', 15 * 60_000);
      await stop(child);
      if (reply.type !== 'dry') throw new Error(`the run without mutants ended early (${reply.why})`);
      return reply;
    }),
  );
  const covered = parts.map(({ coverage }) => coverage ?? { static: {}, perTest: {} });
  return {
    tests: parts.flatMap(({ tests }) => tests),
    coverage: {
      static: Object.assign({}, ...covered.map((part) => part.static)),
      perTest: Object.assign({}, ...covered.map((part) => part.perTest)),
    },
  };
}

async function stop(child) {
  if (!child || child.exitCode !== null || child.killed) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.send({ type: 'stop' }, () => undefined);
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await exited;
  clearTimeout(timer);
}

/**
 * Takes tasks from `next` until there are none.
 *
 * A task: { mutant, tests, hitLimit, fresh }; `fresh` asks for a process of its own in which the mutant is on from
 * the start. Its result goes to `done`.
 */
export async function serve(sandbox, milliseconds, next, done) {
  const limit = ({ id }) => START_MS + TEST_MS + SLOWDOWN * (milliseconds.get(id) ?? 0);
  const tight = ({ id }) => TEST_MS + SLOWDOWN * (milliseconds.get(id) ?? 0);
  let shared = null;
  let turn = 0;
  const warm = new Set();
  /** Kills by each test since it last passed without a mutant. */
  let unverified = new Map();
  const kept = (task, result, ms) => {
    const kills = unverified.get(result.by) ?? [];
    if (result.verified) kills.length = 0;
    else kills.push(task);
    unverified.set(result.by, kills);
    done(task, result, ms);
  };
  for (let task = next(); task; task = next()) {
    const began = performance.now();
    const { fresh, mutant, tests, hitLimit } = task;
    if (!fresh && !shared) {
      shared = await started(sandbox);
      warm.clear();
      unverified = new Map();
    }
    const child = fresh ? await started(sandbox, mutant) : shared;
    let result;
    if (!child) result = { status: 'killed', by: 'loading' };
    else {
      const tick = (reply) => {
        const file = reply.id.slice(0, reply.id.indexOf('#'));
        const known = !fresh && warm.has(file);
        warm.add(file);
        return known ? tight(reply) : limit(reply);
      };
      turn += 1;
      const verify = turn % VERIFY_EVERY === 0;
      const reply = await ask(
        child,
        { type: 'mutant', mutant, tests, hitLimit, verify },
        'done',
        START_MS,
        tick,
      );
      if (reply.type === 'done') result = { ...reply, verified: verify };
      // a process that ends by itself ran out of memory, or the mutant ended it
      else result = { status: reply.why === 'time' ? 'timeout' : 'killed', by: 'the end of the process' };
      if (fresh) child.kill('SIGKILL');
      else if (reply.type !== 'done') shared = null;
      else if (reply.status === 'dirty') {
        // the killing test fails without the mutant, too: decide again in a clean process
        await stop(shared);
        shared = null;
        // so is what this test has killed meanwhile
        for (const suspect of [task, ...(unverified.get(reply.by) ?? [])])
          done({ ...suspect, fresh: true }, null, 0);
        result = null;
      }
    }
    if (result?.status === 'killed' && !fresh) kept(task, result, performance.now() - began);
    else if (result) done(task, result, performance.now() - began);
  }
  await stop(shared);
}

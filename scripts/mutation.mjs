// Mutation testing: changes the code in small ways, one at a time, and asks whether a test notices.
//
//   npm run mutation -- [--file src/protocol/proof.ts]... [--workers 2] [--resume [--unexplained]] [--budget-seconds 8]
//
// The mutants are those of Stryker's instrumenter, all of them compiled into one copy of the sources; a long-lived
// process switches them on one after the other and runs the tests that reach them, the fastest first, up to the
// first that fails. Mutants that are in force only while modules load or hooks run get a process of their own.
//
// Results: test/mutation/result.json and survivors.md, written every minute and at the end. --resume goes on
// from the result: it tests what was not noticed, first what was not tested, and files that have changed since.
// --unexplained leaves out survivors that scripts/mutation/reasons.mjs has a reason for.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { reachableFrom } from './mutation/imports.mjs';
import { dryRun, serve } from './mutation/pool.mjs';
import { reasonFor } from './mutation/reasons.mjs';
import { digestsOf, earlierStatus, writeReport } from './mutation/report.mjs';
import { listFiles, makeSandbox } from './mutation/sandbox.mjs';

const SAVE_MS = 60_000;

const { values: options } = parseArgs({
  options: {
    file: { type: 'string', multiple: true },
    workers: { type: 'string', default: '2' },
    resume: { type: 'boolean', default: false },
    unexplained: { type: 'boolean', default: false },
    /** With --resume: tests to run, by the start of their path; what they do not reach stays as it was. */
    test: { type: 'string', multiple: true },
    /** Run no test: write the report from what earlier runs have found. */
    report: { type: 'boolean', default: false },
    /** Seconds of tests for one mutant at most. */
    'budget-seconds': { type: 'string', default: '8' },
    /** Stop after so many minutes; what is left counts as not tested. */
    minutes: { type: 'string', default: '600' },
  },
});

const PARSERS = [
  'src/adapter/safetensors.ts',
  'src/adapter/commitment.ts',
  'src/jsonText.ts',
  'src/inference/sessionHeader.ts',
  'src/inference/callFile.ts',
];
const TEST_FOLDERS = ['test/protocol', 'test/kzg', 'test/circuit', 'test/adversarial'];
const TEST_FILES =
  /^test\/(jsonText|adapter\/(safetensors|commitment|jsonText|parserEdges|register)|inference\/(sessionHeader|record|callFile))\b.*\.test\.ts$/;
/** Uses vitest's module mocks, which this runner does not have. */
const LEFT_OUT = new Set([
  'test/circuit/secrecy.test.ts',
  // slow, and about the same lines as test/protocol
  'test/adversarial/fuzz/proof.test.ts',
  // is about the benchmark's circuit, and imports it from bench/
  'test/circuit/direct.test.ts',
]);

/** Their mutants stop worker threads, which shows only when the time is over: they come last. */
const HANGING = new Set(['src/kzg/fixedBase.ts']);

const isSource = (path) => path.endsWith('.ts') && !path.endsWith('.d.ts');
const everything = [
  ...(await listFiles('src/protocol', isSource)),
  ...(await listFiles('src/kzg', isSource)),
  ...(await listFiles('src/circuit', isSource)),
  ...PARSERS,
];
const mutate = options.file ?? everything;
const isTest = (path) =>
  path.endsWith('.test.ts') &&
  !LEFT_OUT.has(path) &&
  (options.test?.some((start) => path.startsWith(start)) ?? true);
const testFiles = (
  await Promise.all([
    ...TEST_FOLDERS.map((folder) => listFiles(folder, isTest)),
    listFiles('test', (path) => isTest(path) && TEST_FILES.test(path)),
  ])
).flat();

const began = performance.now();
const note = (text) =>
  process.stderr.write(`[${Math.round((performance.now() - began) / 1000)} s] ${text}\n`);
const digests = await digestsOf(mutate);
const earlier = options.resume || options.report ? await earlierStatus(digests) : () => 'notTested';
const sandbox = await mkdtemp(join(tmpdir(), 'zklora-mutation-'));
try {
  const mutants = await makeSandbox(sandbox, mutate);
  note(`${mutants.length} mutants in ${mutate.length} files`);
  const results = options.report
    ? mutants.map((mutant) => ({ ...mutant, status: earlier(mutant) }))
    : await testAll(mutants);
  const counts = await writeReport(results, everything, digests);
  process.stdout.write(`${JSON.stringify(counts)}\n`);
} finally {
  await rm(sandbox, { recursive: true, force: true });
}

async function testAll(mutants) {
  const { tests, coverage } = await dryRun(sandbox, testFiles, Number(options.workers));
  for (const { id, name, error } of tests)
    if (error) note(`left out, fails by itself: ${id} ${name}: ${error}`);
  const sound = tests.filter(({ error }) => error === null);
  const milliseconds = new Map(sound.map(({ id, ms }) => [id, ms]));
  note(`${sound.length} tests, ${Math.round(sound.reduce((sum, { ms }) => sum + ms, 0) / 1000)} s in all`);
  if (process.env.MUTATION_DEBUG) {
    for (const { id, name, ms } of [...sound].sort((a, b) => b.ms - a.ms).slice(0, 25))
      note(`${Math.round(ms)} ms ${id} ${name}`);
  }

  const plan = await makePlan(mutants, sound, coverage);
  const save = () => writeReport(resultsOf(plan), everything, digests);
  const timer = setInterval(() => save().catch(note), SAVE_MS);
  try {
    await runPlan(plan, milliseconds);
  } finally {
    clearInterval(timer);
  }
  return resultsOf(plan);
}

/** What stands now; what this run has not come to keeps its status. */
function resultsOf(plan) {
  return plan.map(({ mutant, done, before }) => ({ ...mutant, status: done ?? before }));
}

/** Fastest tests first, as many as the budget allows, but one at least. */
function affordable(tests) {
  const budget = 1000 * Number(options['budget-seconds']);
  const chosen = [];
  let sum = 0;
  for (const { id, ms } of [...tests].sort((a, b) => a.ms - b.ms)) {
    if (chosen.length > 0 && sum + ms > budget) break;
    sum += ms;
    chosen.push(id);
  }
  return chosen;
}

async function makePlan(mutants, tests, { static: atLoad, perTest }) {
  const reach = await reachableFrom(sandbox, [...new Set(tests.map(({ file }) => file))]);
  return mutants.map((mutant) => {
    const before = earlier(mutant);
    if (before === 'killed' || before === 'timeout') return { mutant, before, done: before };
    if (options.unexplained && before !== 'notTested' && reasonFor(mutant) !== '')
      return { mutant, before, done: before };
    const covering = tests.filter(({ id }) => perTest[id]?.[mutant.id]);
    const inHooks = new Set(
      tests.filter(({ file }) => perTest[`hook:${file}`]?.[mutant.id]).map(({ file }) => file),
    );
    const hits = covering.reduce((sum, { id }) => Math.max(sum, perTest[id][mutant.id]), 0);
    const hitLimit = 1000 + 100 * hits;
    // its own folder's tests are the likeliest to notice
    const nearby = dirname(mutant.file).replace(/^src/, 'test');
    const whole = tests
      .filter(({ file }) => inHooks.has(file) || (atLoad[mutant.id] && reach.get(file).has(mutant.file)))
      .map((test) => ({ ...test, ms: test.ms + (test.file.startsWith(nearby) ? 0 : 1_000) }));
    return { mutant, hitLimit, before, steps: [affordable(covering), affordable(whole)], done: null };
  });
}

async function runPlan(plan, milliseconds) {
  const todo = [];
  for (const entry of plan) {
    if (entry.done) continue;
    const [shared, fresh] = entry.steps;
    if (shared.length > 0)
      todo.push({ entry, mutant: entry.mutant.id, tests: shared, hitLimit: entry.hitLimit });
    else if (fresh.length > 0) todo.push(freshTask(entry));
    else if (entry.before === 'notTested' && !options.test) entry.done = 'noCoverage';
  }
  // what was not tested before comes first, then what needs only short tests
  const cost = ({ tests }) => tests.reduce((sum, id) => sum + milliseconds.get(id), 0);
  const known = ({ entry }) =>
    Number(entry.before !== 'notTested') + 2 * Number(HANGING.has(entry.mutant.file));
  todo.sort((a, b) => known(a) - known(b) || cost(a) - cost(b));
  note(
    `${todo.length} mutants to test, ${plan.filter(({ done }) => done === 'noCoverage').length} that no test reaches`,
  );
  let count = 0;
  const deadline = began + 60_000 * Number(options.minutes);
  const finished = (task, result, ms) => {
    if (result === null) {
      todo.push(task);
      return;
    }
    const { entry } = task;
    if (result.status === 'survived' && !task.fresh && entry.steps[1].length > 0) {
      todo.push(freshTask(entry));
      return;
    }
    entry.done = result.status;
    count += 1;
    if (process.env.MUTATION_DEBUG) {
      const { file, line, mutator, source, replacement } = entry.mutant;
      note(
        `${result.status} ${Math.round(ms)} ms ${file}:${line} ${mutator} | ${source} | ${replacement.replaceAll('\n', ' ')} | ${result.by ?? ''} ${result.error ?? ''}`,
      );
    }
    if (count % 100 === 0) note(`${count} done, ${todo.length} to go`);
  };
  let stopped = false;
  process.once('SIGINT', () => {
    note('stopping after the mutants under way');
    stopped = true;
  });
  const next = () => (stopped || performance.now() > deadline ? undefined : todo.shift());
  await Promise.all(
    Array.from({ length: Number(options.workers) }, () => serve(sandbox, milliseconds, next, finished)),
  );
}

function freshTask(entry) {
  const { mutant, steps, hitLimit } = entry;
  return { entry, mutant: mutant.id, tests: steps[1], hitLimit: 100 * hitLimit, fresh: true };
}

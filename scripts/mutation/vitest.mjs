// The part of vitest's interface that the tests use, for scripts/mutation/worker.mjs: it collects tests instead of
// running them, so that one process can run any of them any number of times.
import {
  ASYMMETRIC_MATCHERS_OBJECT,
  GLOBAL_EXPECT,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
} from '@vitest/expect';
import { format } from '@vitest/pretty-format';
import { fn, isMockFunction, restoreAllMocks, spyOn } from '@vitest/spy';
import * as chai from 'chai';

chai.use(JestExtend);
chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);

export const expect = (value, message) => chai.expect(value, message);
Object.assign(expect, chai.expect, globalThis[ASYMMETRIC_MATCHERS_OBJECT]);
Object.defineProperty(globalThis, GLOBAL_EXPECT, { value: expect, configurable: true });

const withoutIndent = (text) =>
  text
    .split('\n')
    .map((line) => line.trim())
    .join('\n')
    .trim();
chai.use((_, utils) => {
  utils.addMethod(chai.Assertion.prototype, 'toMatchInlineSnapshot', function (expected) {
    const actual = format(utils.flag(this, 'object'), { printBasicPrototype: false, escapeString: false });
    chai.expect(withoutIndent(actual)).toBe(withoutIndent(expected));
  });
});

/** Without the mocks of whole modules, which need vitest's own loader. */
export const vi = { fn, isMockFunction, restoreAllMocks, spyOn };

/** Everything that the imported test files have declared. */
export const collected = [];

let file = '';
let suite = newSuite(null, '');
/** Called before a test file is imported. */
export function beginFile(name) {
  file = name;
  suite = newSuite(null, '');
}

function newSuite(parent, name) {
  return { parent, name, beforeAll: [], afterAll: [], beforeEach: [], afterEach: [], ready: false };
}

function declareSuite(name, ...rest) {
  const body = rest.find((argument) => typeof argument === 'function');
  const outer = suite;
  suite = newSuite(outer, name);
  const result = body?.();
  if (result instanceof Promise) throw new Error('asynchronous describe is not supported');
  suite = outer;
}

function declareTest(name, ...rest) {
  const body = rest.find((argument) => typeof argument === 'function');
  if (!body) return;
  const index = collected.filter((test) => test.file === file).length;
  collected.push({ id: `${file}#${index}`, file, name: String(name), suite, body });
}

function withVariants(declare) {
  const skip = () => undefined;
  const each =
    (rows) =>
    (name, ...rest) => {
      const body = rest.find((argument) => typeof argument === 'function');
      rows.forEach((row, i) => {
        declare(`${name} [${i}]`, () => (Array.isArray(row) ? body(...row) : body(row)));
      });
    };
  return Object.assign(declare, {
    each,
    for:
      (rows) =>
      (name, ...rest) => {
        const body = rest.find((argument) => typeof argument === 'function');
        for (const [i, row] of rows.entries()) declare(`${name} [${i}]`, () => body(row));
      },
    skip: Object.assign(skip, { each: () => skip }),
    todo: skip,
    runIf: (condition) => (condition ? declare : skip),
    skipIf: (condition) => (condition ? skip : declare),
    sequential: declare,
    concurrent: declare,
  });
}

export const describe = withVariants(declareSuite);
export const it = withVariants(declareTest);
export const test = it;
export const beforeAll = (hook) => suite.beforeAll.push(hook);
export const afterAll = (hook) => suite.afterAll.push(hook);
export const beforeEach = (hook) => suite.beforeEach.push(hook);
export const afterEach = (hook) => suite.afterEach.push(hook);

let finishers = [];
export const onTestFinished = (hook) => finishers.push(hook);
export const onTestFailed = () => undefined;

const chain = (innermost) => {
  const suites = [];
  for (let at = innermost; at; at = at.parent) suites.unshift(at);
  return suites;
};

/** Runs the `beforeAll` hooks that a test needs and that have not run yet. */
export async function prepare({ suite: innermost }) {
  for (const one of chain(innermost)) {
    if (one.ready) continue;
    for (const hook of one.beforeAll) {
      const cleanup = await hook();
      if (typeof cleanup === 'function') one.afterAll.push(cleanup);
    }
    one.ready = true;
  }
}

/** Runs one prepared test; throws what the test throws. */
export async function run({ suite: innermost, body }) {
  const suites = chain(innermost);
  finishers = [];
  try {
    for (const one of suites) for (const hook of one.beforeEach) await hook();
    await body({ expect, onTestFinished, task: {} });
  } finally {
    for (const one of suites.reverse()) for (const hook of one.afterEach) await hook();
    for (const hook of finishers.reverse()) await hook();
  }
}

/** Runs all `afterAll` hooks of suites that were prepared. */
export async function finish() {
  const suites = new Set(collected.flatMap(({ suite: innermost }) => chain(innermost).reverse()));
  for (const one of suites) {
    if (!one.ready) continue;
    for (const hook of one.afterAll) await hook().catch?.(() => undefined);
  }
}

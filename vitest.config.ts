import { defineConfig } from 'vitest/config';

/** Tests of computations alone. */
const PURE = ['adapter', 'algebra', 'circuit', 'kzg'].map((name) => `test/${name}/**/*.test.ts`);
/** Not among them: files that replace what others in the process use. */
const REPLACING = ['test/algebra/poolGuard.test.ts', 'test/circuit/secrecy.test.ts'];

export default defineConfig({
  test: {
    setupFiles: ['test/support/deterministic.ts', 'test/support/bytesEqual.ts'],
    pool: 'forks',
    // one more than the cores of the machine it is meant for: some tests wait for the other side
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      // their files share processes, which load the modules once: a quarter of these folders' processor time
      { extends: true, test: { name: 'pure', isolate: false, include: PURE, exclude: REPLACING } },
      { extends: true, test: { name: 'isolated', include: ['test/**/*.test.ts'], exclude: PURE } },
      { extends: true, test: { name: 'replacing', include: REPLACING } },
    ],
  },
});

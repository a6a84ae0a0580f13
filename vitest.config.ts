import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/support/deterministic.ts', 'test/support/bytesEqual.ts'],
    pool: 'forks',
    // one more than the cores of the machine it is meant for: some tests wait for the other side
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});

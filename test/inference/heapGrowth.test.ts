import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const MODULE = new URL('../../dist/src/inference/heapGrowth.js', import.meta.url).href;

/** Collections of the whole heap while 400 MB of buffers come and go beside 34 MB that stay. @param first code run before */
async function collections(first: string): Promise<number> {
  const code = `
    import { constants, PerformanceObserver } from 'node:perf_hooks';
    import { growHeapFreely } from ${JSON.stringify(MODULE)};
    ${first}
    const held = Array.from({ length: 300000 }, (_, i) => ({ i, rest: [i] }));
    globalThis.gc();
    let count = 0;
    const seen = new PerformanceObserver((list) => {
      count += list.getEntries().filter(({ detail }) => detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR).length;
    });
    await new Promise(setImmediate);
    seen.observe({ entryTypes: ['gc'] });
    for (let i = 0; i < 400; i++) {
      Buffer.alloc(2 ** 20);
      await new Promise(setImmediate);
    }
    console.log(count, held.length);`;
  // V8 is as sparing as it is in a process that was idle
  const flags = ['--expose-gc', '--optimize-for-size', '--input-type=module', '-e', code];
  const { stdout } = await promisify(execFile)(process.execPath, flags);
  return Number(stdout.split(' ')[0]);
}

it('buffers that come and go do not make the collector look through a heap that stays', async () => {
  expect(await collections('')).toBeGreaterThan(3);
  expect(await collections('growHeapFreely();')).toBeLessThan(2);
});

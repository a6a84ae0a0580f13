import { buildBn128 } from 'ffjavascript';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TaskStep } from '../../src/algebra/curve.js';
import { type Curve, callStep } from '../../src/algebra/curve.js';
import { BlockQueue, type Engine, loadEngine } from '../../src/algebra/index.js';
import { guardPool, type WorkerPool } from '../../src/algebra/poolGuard.js';
import { runningEngine } from '../../src/algebra/running.js';
import { refusalOf } from '../adapter/refusal.js';

/** Reads behind the end of a worker's memory. */
const TRAP: readonly TaskStep[] = [
  callStep('g1m_timesScalar', { val: 0 }, { val: 0x7ffffff0 }, { val: 32 }, { val: 0 }),
];
const HARMLESS: readonly TaskStep[] = [
  { cmd: 'ALLOCSET', var: 0, buff: Uint8Array.of(1, 2, 3) },
  { cmd: 'GET', out: 0, var: 0, len: 3 },
];
const ANSWER = [Uint8Array.of(1, 2, 3)];
const shared = globalThis as { curve_bn128?: Curve | null };

let engine: Engine;
let pool: WorkerPool;
beforeEach(async () => {
  engine = await loadEngine();
  pool = engine.curve.tm as WorkerPool;
});
afterEach(async () => (await loadEngine()).terminate());

/** The engine is of no use, and the next one is another and works. */
async function expectReplaced(): Promise<void> {
  expect(runningEngine()).toBeUndefined();
  expect(shared.curve_bn128).toBeNull();
  expect((await refusalOf(pool.queueAction(HARMLESS))).code).toBe('INTERNAL');
  const next = await loadEngine();
  expect(next).not.toBe(engine);
  expect(shared.curve_bn128).toBe(next.curve);
  // does not take the new one with it
  await engine.terminate();
  expect(await loadEngine()).toBe(next);
  expect(shared.curve_bn128).toBe(next.curve);
  expect(await next.curve.tm.queueAction(HARMLESS)).toEqual(ANSWER);
}

describe('a worker thread that fails', () => {
  it('by a trap: what it was asked, what waits behind it and what comes later is refused', async () => {
    const busy = pool.workers.map(() => refusalOf(pool.queueAction(TRAP)));
    const waiting = [refusalOf(pool.queueAction(HARMLESS)), refusalOf(pool.queueAction(TRAP))];
    for (const { code, message } of await Promise.all([...busy, ...waiting])) {
      expect(code).toBe('INTERNAL');
      expect(message).toContain('a worker thread of the arithmetic');
    }
    await expectReplaced();
  });

  it('by its end', async () => {
    const [worker] = pool.workers;
    const asked = refusalOf(pool.queueAction(TRAP));
    worker!.terminate();
    expect((await asked).code).toBe('INTERNAL');
    await expectReplaced();
  });

  it('inside a queue of blocks, which then has none with a worker', async () => {
    const queue = new BlockQueue(engine);
    queue.share();
    for (let i = 0; i < 20; i++) {
      queue.add({
        pieces: [new Uint8Array(64)],
        steps: TRAP,
        answer: { var: 0, len: 1 },
        done: () => undefined,
      });
    }
    // no help from this thread, where the same step would trap
    await queue.stop();
    expect((await refusalOf(queue.finish())).code).toBe('INTERNAL');
    await expectReplaced();
  });

  it('inside a multi-scalar multiplication of the library', async () => {
    const { G1 } = engine.curve;
    const trapped = refusalOf(pool.queueAction(TRAP));
    const bases = new Uint8Array(64 * 64);
    for (let i = 0; i < 64; i++) bases.set(G1.gAffine, 64 * i);
    const sum = refusalOf(
      (async () => {
        for (;;) await G1.multiExpAffine(bases, new Uint8Array(64 * 2).fill(7));
      })(),
    );
    expect((await trapped).code).toBe('INTERNAL');
    expect((await sum).code).toBe('INTERNAL');
    await expectReplaced();
  });
});

it('an engine that is terminated leaves no watch behind, and the next one works', async () => {
  await engine.terminate();
  expect(runningEngine()).toBeUndefined();
  const next = await loadEngine();
  expect(await next.curve.tm.queueAction(HARMLESS)).toEqual(ANSWER);
});

it('probes do not disturb honest tasks, however often they come', async () => {
  const curve = (await buildBn128(false, undefined)) as Curve;
  const { tm, G1 } = curve;
  // every tick of the event loop
  const end = guardPool(tm as WorkerPool, () => expect.fail('the pool is sound'), 0);
  const bases = new Uint8Array(64 * 3000);
  for (let i = 0; i < 3000; i++) bases.set(G1.gAffine, 64 * i);
  const scalars = new Uint8Array(32 * 3000);
  for (let i = 0; i < 3000; i++) scalars[32 * i] = 1;
  const expected = G1.toAffine(G1.timesScalar(G1.g, 3000n));
  const sums = await Promise.all(Array.from({ length: 12 }, () => G1.multiExpAffine(bases, scalars)));
  for (const sum of sums) expect(G1.toAffine(sum)).toEqual(expected);
  const tasks = Array.from({ length: 300 }, () => tm.queueAction(HARMLESS));
  for (const answer of await Promise.all(tasks)) expect(answer).toEqual(ANSWER);
  end();
});

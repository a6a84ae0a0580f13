import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, loadEngine, warmProver, warmVerifier } from '../../src/algebra/index.js';

let engine: Engine;
beforeAll(async () => {
  engine = await loadEngine();
});
afterAll(() => engine.terminate());

/** Functions that the workers run while `work` is under way. */
async function calledBy(work: (engine: Engine) => Promise<void>): Promise<Set<string>> {
  const names = new Set<string>();
  const { tm } = engine.curve;
  const queueAction = tm.queueAction.bind(tm);
  tm.queueAction = (task) => {
    for (const step of task) if (step.cmd === 'CALL') names.add(step.fnName);
    return queueAction(task);
  };
  try {
    await work(engine);
  } finally {
    tm.queueAction = queueAction;
  }
  return names;
}

describe('warming up', () => {
  it('runs what a proof needs, then what verification needs besides, and nothing twice', async () => {
    const forProving = await calledBy(warmProver);
    for (const name of ['zk_multiplyRows', 'zk_combineRows', 'zk_cutLong', 'zg_recode', 'zq_fft']) {
      expect(forProving).toContain(name);
    }
    const forVerifying = await calledBy(warmVerifier);
    expect(forVerifying).toContain('bn128_millerLoop');
    expect(forVerifying).not.toContain('zg_recode');
    expect(await calledBy(warmProver)).toEqual(new Set());
    expect(await calledBy(warmVerifier)).toEqual(new Set());
  });

  it('leaves the engine as it was: what is multiplied afterwards is right', async () => {
    await Promise.all([warmProver(engine), warmVerifier(engine)]);
    const { G1 } = engine.curve;
    const points = new Uint8Array(16 * 64);
    const scalars = new Uint8Array(16 * 32);
    let expected = G1.zero;
    for (let i = 0; i < 16; i++) {
      const point = G1.timesScalar(G1.g, BigInt(i + 1));
      points.set(G1.toAffine(point), 64 * i);
      scalars[32 * i] = i + 3;
      expected = G1.add(expected, G1.timesScalar(point, BigInt(i + 3)));
    }
    expect(G1.eq(await G1.multiExpAffine(points, scalars), expected)).toBe(true);
  });

  it('does not reject when a worker cannot do it', async () => {
    const tm = { ...engine.curve.tm, queueAction: () => Promise.reject(new Error('gone')) };
    const failing: Engine = { ...engine, curve: { ...engine.curve, tm } };
    await expect(warmProver(failing)).resolves.toBeUndefined();
  });
});

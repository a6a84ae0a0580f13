import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import { openParameters } from '../../src/circuit/parameterFiles.js';
import { proveRankCheck } from '../../src/circuit/rankCheck.js';
import { ZkLoraError } from '../../src/errors.js';
import { codeOf, DEVELOPMENT_DIR, honestInputs } from './helpers.js';

let engine: Engine;
let zkey: Uint8Array;

beforeAll(async () => {
  engine = await loadEngine();
  zkey = await (await openParameters(DEVELOPMENT_DIR)).zkey(15);
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => engine.terminate());

describe('wires of a proof', () => {
  const inputs = honestInputs(15);

  /** Scalars of the multiplication in G2: all wires. */
  function watchWires(): { seen: Uint8Array | undefined } {
    const watched: { seen: Uint8Array | undefined } = { seen: undefined };
    const { G2 } = engine.curve;
    const original = G2.multiExpAffine;
    vi.spyOn(G2, 'multiExpAffine').mockImplementation((bases, scalars) => {
      expect(scalars.some((byte) => byte !== 0)).toBe(true);
      watched.seen = scalars;
      return original(bases, scalars);
    });
    return watched;
  }

  test('are overwritten after the proof, and nothing is printed', async () => {
    const console_ = [vi.spyOn(console, 'log'), vi.spyOn(console, 'error'), vi.spyOn(console, 'warn')];
    const wires = watchWires();
    await proveRankCheck(engine, zkey, inputs);
    for (const call of console_) expect(call).not.toHaveBeenCalled();
    expect(wires.seen).toHaveLength(32 * (3 * 15 + 5));
    expect(wires.seen!.every((byte) => byte === 0)).toBe(true);
  });

  test('are overwritten when proving fails', async () => {
    const wires = watchWires();
    vi.spyOn(engine.curve.G1, 'multiExpAffine').mockRejectedValue(new ZkLoraError('INTERNAL', 'no proof'));
    expect(await codeOf(() => proveRankCheck(engine, zkey, inputs))).toBe('INTERNAL');
    expect(wires.seen!.every((byte) => byte === 0)).toBe(true);
  });
});

import type { MemoryFile } from 'snarkjs';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { loadEngine } from '../../src/algebra/index.js';
import { witnessWasm } from '../../src/circuit/circuitFiles.js';
import { openParameters } from '../../src/circuit/parameterFiles.js';
import { proveRankCheck } from '../../src/circuit/rankCheck.js';
import { codeOf, DEVELOPMENT_DIR, honestInputs } from './helpers.js';

const seen = vi.hoisted(() => ({
  file: null as MemoryFile | null,
  reserved: null as Uint8Array | null,
  fail: false,
}));

vi.mock('snarkjs', async (importOriginal) => {
  const original = await importOriginal<typeof import('snarkjs')>();
  return {
    ...original,
    wtns: {
      ...original.wtns,
      calculate: async (...args: Parameters<typeof original.wtns.calculate>) => {
        seen.file = args[2];
        await original.wtns.calculate(...args);
      },
    },
    groth16: {
      ...original.groth16,
      prove: (zkey: Uint8Array, witness: Uint8Array) => {
        seen.reserved = witness;
        if (witness.every((byte) => byte === 0)) throw new Error('the witness is empty');
        if (seen.fail) throw new Error('no proof today');
        return original.groth16.prove(zkey, witness);
      },
    },
  };
});

const engine = await loadEngine();
afterAll(() => engine.terminate());

describe('witness buffer', () => {
  const inputs = honestInputs(15);

  test('is reserved once, never copied by growing, and overwritten after the proof', async () => {
    const console_ = [vi.spyOn(console, 'log'), vi.spyOn(console, 'error'), vi.spyOn(console, 'warn')];
    const store = await openParameters(DEVELOPMENT_DIR);
    await proveRankCheck(engine, await store.zkey(15), await witnessWasm(15), inputs);
    for (const call of console_) expect(call).not.toHaveBeenCalled();
    expect(seen.file?.initialSize).toBe(seen.reserved?.length);
    expect(seen.file?.data).toBe(seen.reserved);
    expect(seen.reserved?.every((byte) => byte === 0)).toBe(true);
  });

  test('is overwritten when proving fails', async () => {
    const store = await openParameters(DEVELOPMENT_DIR);
    const zkey = await store.zkey(15);
    const wasm = await witnessWasm(15);
    seen.reserved = null;
    seen.fail = true;
    expect(await codeOf(() => proveRankCheck(engine, zkey, wasm, inputs))).toBe('PARAMETERS_MISMATCH');
    expect(seen.reserved!.length).toBeGreaterThan(0);
    expect(seen.reserved!.every((byte) => byte === 0)).toBe(true);
  });
});
